"""antiphon chat: turns about pictures and recordings, errors that end nothing, an answer that is stopped, a saved
conversation that the data step reads. On a pipe, and on a terminal with its editor."""
import json
import os
import pty
import select
import signal
import subprocess
import time
import unittest
import wave

from harness import ROOT, Case, main


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
        self.assertIn("tiny.toml", done.stderr)  # no picture
        self.assertEqual(done.stderr.count("new tokens read"), 2)  # the questions are asked without it

    def test_saved(self):
        path = self.folder / "saved.jsonl"
        self.talk("/save", f"/image {self.picture}", "What is this?", f"/save {path}")
        record = json.loads(path.read_text())
        self.assertEqual([turn["role"] for turn in record["messages"]], ["user", "assistant"])
        self.assertEqual(record["messages"][0]["content"][0], {"type": "image", "image": str(self.picture)})
        self.call("eval", self.config, "--set", f'data.eval.held.sources=[{{path="{path}"}}]', "--set", "eval.controls=[]", "--output", self.folder / "saved_eval")

    def test_a_video_is_asked_about(self):
        clip = self.folder / "clip.mp4"
        subprocess.run(["ffmpeg", "-v", "error", "-y", "-loop", "1", "-i", self.picture, "-i", self.sound, "-shortest", "-r", "8",
                        "-pix_fmt", "yuv420p", "-vf", "scale=64:64", clip], check=True)
        path = self.folder / "saved_video.jsonl"
        sampling = ("--set", "data.video.frames=2", "--set", "data.video.interleave=true")
        done = self.call("chat", self.config, "--history", "", *sampling, input=f"/video {clip}\nWhat is this?\n/save {path}\n")
        self.assertEqual(done.stdout, self.call("generate", self.config, "--video", clip, *sampling, "What is this?").stdout)
        parts = json.loads(path.read_text())["messages"][0]["content"]
        self.assertEqual(parts, [{"type": "video", "video": str(clip)}, {"type": "text", "text": "What is this?"}])
        self.call("eval", self.config, "--set", f'data.eval.held.sources=[{{path="{path}"}}]', "--set", "eval.controls=['removed']", "--output", self.folder / "video_eval")
        self.train(self.folder / "video_run", "--set", f'data.train.sources=[{{path="{path}"}}]', "--set", "train.steps=2", *sampling)

    CHUNKS = ("--set", "model.streams.audio.encoder.length=clip", "--set", "model.streams.audio.encoder.chunk=0.16",
              "--set", "model.streams.audio.encoder.left_context=0.32")

    def test_what_a_microphone_takes_is_answered_as_the_recording(self):
        """A turn that is encoded while it arrives; FFmpeg's filter stands for the device."""
        path = self.folder / "spoken.jsonl"
        done = self.call("chat", self.config, "--history", "", *self.CHUNKS, "--microphone", f"lavfi:amovie={self.sound}",
                         "--set", "session.instruction=What is this?", input=f"/record\n/save {path}\n")
        parts = json.loads(path.read_text())["messages"][0]["content"]
        self.assertEqual([part["type"] for part in parts], ["audio", "text"])
        heard = self.call("generate", self.config, *self.CHUNKS, "--audio", parts[0]["audio"], "What is this?").stdout
        self.assertEqual(done.stdout, heard)
        self.assertEqual(heard, self.call("generate", self.config, *self.CHUNKS, "--audio", self.sound, "What is this?").stdout)

    def test_a_detector_takes_turns(self):
        """Two spoken turns in real time, each ended by a pause; the real detector on a real recording."""
        spoken = sorted((ROOT / ".cache/demo/debian").glob("asterisk-core-sounds-en-g722/usr/share/asterisk/sounds/*/vm-goodbye.g722"))
        if not spoken or not (ROOT / "models/silero-vad").exists():
            self.skipTest("the demo's models and recordings are not there: tools/demo/prepare.sh fetches them")
        sound, path = self.folder / "goodbye.wav", self.folder / "hands_free.jsonl"
        subprocess.run(["ffmpeg", "-v", "error", "-y", "-i", spoken[0], sound], check=True)
        graph = ";".join(f"amovie={sound},adelay=500,apad=pad_dur=1.5[{name}]" for name in "ab") + ";[a][b]concat=v=0:a=1,arealtime"
        self.call("chat", self.config, "--history", "", *self.CHUNKS, "--microphone", f"lavfi:{graph}", "--set", "session.vad.plugin=silero",
                  "--set", f"session.vad.weights={ROOT}/models/silero-vad", "--set", "generate.max_tokens=1", input=f"/record\n/save {path}\n")
        messages = json.loads(path.read_text())["messages"]
        self.assertEqual([turn["role"] for turn in messages], ["user", "assistant"] * 2)
        for turn in messages[::2]:
            with wave.open(turn["content"][0]["audio"]) as file:
                seconds = file.getnframes() / file.getframerate()
            self.assertGreater(seconds, 0.5)
            self.assertLess(seconds, 1.8)  # without most of the silence

    def test_no_microphone(self):
        done = self.talk("/record", "still here?")
        self.assertIn("cannot listen on 'alsa:default'", done.stderr)
        self.assertEqual(done.stderr.count("new tokens read"), 1)
        done = self.call("chat", self.config, "--history", "", "--microphone", "nothing", input="/record\n")
        self.assertIn("it names no input device of FFmpeg", done.stderr)

    def test_a_detector_that_is_not_there(self):
        done = self.call("chat", self.config, "--set", "session.vad.plugin=silero", input="", code=2)
        self.assertIn("session.vad.weights", done.stderr)
        done = self.call("validate", self.config, "--set", "session.vad.plugin=silvero", code=5)
        self.assertIn("silero", done.stderr)

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
        end = time.monotonic() + 30
        while not (history.exists() and history.stat().st_size) and time.monotonic() < end:
            os.write(handle, b"\x15/quit\r")  # again if it came while the terminal was set for the next line, which drops it
            select.select([handle], [], [], 2)
            time.sleep(0.2)
        self.assertIn("tell\\040me\\040all", history.read_text())


if __name__ == "__main__":
    main()
