"""antiphon chat: turns about pictures and recordings, errors that end nothing, an answer that is stopped, a saved
conversation that the data step reads. On a pipe, and on a terminal with its editor."""
import json
import os
import pty
import select
import signal
import time
import unittest

from harness import Case, main


class Chat(Case):
    TRAIN = HELD = 6

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.picture = next((cls.folder / "data").rglob("*.png"))
        cls.sound = next((cls.folder / "data").rglob("*.wav"))

    def talk(self, *lines):
        return self.call("chat", self.config, "--history", "", input="\n".join(lines) + "\n")

    def test_turns_answer_as_generate_does(self):
        done = self.talk(f"/image {self.picture}", "What is this?", "And now?", "/reset", f"/audio {self.sound}", "What is this?")
        answers = done.stdout.split("\n")[:-1]
        asked = self.call("generate", self.config, "--image", self.picture, "What is this?").stdout
        heard = self.call("generate", self.config, "--audio", self.sound, "What is this?").stdout
        self.assertTrue(done.stdout.startswith(asked))
        self.assertTrue(done.stdout.endswith(heard))
        self.assertGreaterEqual(len(answers), 3)

    def test_the_cache_is_kept(self):
        """What a turn reads anew does not grow with what was said before."""
        done = self.talk("one two three four five six seven eight nine ten", "a", "a", "a", "a")
        read = [int(line.split()[0].lstrip("[")) for line in done.stderr.splitlines() if "new tokens read" in line]
        self.assertEqual(len(read), 5)
        self.assertLess(max(read[1:]), read[0])

    def test_mistakes_end_nothing(self):
        done = self.talk("/image nowhere.png", f"/image {self.config}", "what?", "/reset", "/dance", "still here?")
        self.assertIn("there is no file 'nowhere.png'", done.stderr)
        self.assertIn("there is no /dance", done.stderr)
        self.assertIn("tiny.toml", done.stderr)  # no picture: said when it is read
        self.assertEqual(done.stderr.count("new tokens read"), 1)

    def test_saved(self):
        path = self.folder / "saved.jsonl"
        self.talk("/save", f"/image {self.picture}", "What is this?", f"/save {path}")
        record = json.loads(path.read_text())
        self.assertEqual([turn["role"] for turn in record["messages"]], ["user", "assistant"])
        self.assertEqual(record["messages"][0]["content"][0], {"type": "image", "image": str(self.picture)})
        self.call("eval", self.config, "--set", f'data.eval.held.sources=[{{path="{path}"}}]', "--set", "eval.controls=[]", "--output", self.folder / "saved_eval")

    def terminal(self, *flags):
        """(process id, function that writes a line, function that reads until a word or fails)"""
        pid, handle = pty.fork()
        if pid == 0:
            command = self.command("chat", self.config, *flags)
            os.execvpe(command[0], command, {**os.environ, "TERM": "xterm"})
        self.addCleanup(lambda: (os.kill(pid, signal.SIGKILL), os.waitpid(pid, 0)))
        seen = bytearray()

        def until(word, seconds=30):
            end = time.monotonic() + seconds
            while word.encode() not in seen:
                self.assertLess(time.monotonic(), end, bytes(seen[-2000:]))
                if select.select([handle], [], [], 0.1)[0]:
                    seen.extend(os.read(handle, 65536))
            del seen[:seen.index(word.encode()) + len(word)]
        return handle, until

    def test_on_a_terminal(self):
        history = self.folder / "history"
        handle, until = self.terminal("--history", history, "--set", "generate.max_tokens=300", "--set", "generate.temperature=2.0")
        until("/quit")
        until("> ")
        os.write(handle, b"tell me all\r")
        until("tell me all")
        time.sleep(0.3)
        os.write(handle, b"\x03")  # Ctrl-C stops the answer, not the program
        until("new tokens read")
        until("> ")
        os.write(handle, b"\x10")  # the line before
        until("tell me all")
        os.write(handle, b"\x15/quit\r")
        time.sleep(0.5)
        self.assertIn("tell\\040me\\040all", history.read_text())


if __name__ == "__main__":
    main()
