"""`antiphon data convert`: every layout of docs/data.md and form of file, which is read again as the same."""

import importlib.util
import json
import random
import re
import shutil
import tarfile

import make_tiny
from formats import Formats, blocks
from harness import losses, main, records, sets


class Convert(Formats):
    def test_tiny_set(self):
        """Lines to archives and back: the same run each time."""
        settings = sets(train__steps=4)
        self.train(self.data / "files", *settings)
        said = self.convert(self.folder / "data" / "train.jsonl", "tiny.tar", "--shard-samples", 7)
        self.assertIn("wrote 24 records to 4 files; each was read again and says the same", said)
        self.assertEqual(sorted(path.name for path in self.data.glob("tiny*")), [f"tiny-{n:06}.tar" for n in range(4)])
        with tarfile.open(self.data / "tiny-000003.tar") as found:
            names = found.getnames()
        self.assertEqual(names[:2], ["00000021.json", "00000021.0.png"])
        self.convert(self.data / "tiny-*.tar", "again.jsonl")
        self.assertEqual(len(list((self.data / "again_media").iterdir())), 32)
        for number, path in enumerate(["tiny-*.tar", "again.jsonl"]):
            self.train(self.data / f"run_{number}", *settings, config=self.config_for(self.data / path))
            self.assertEqual(losses(self.data / f"run_{number}"), losses(self.data / "files"))

    def test_every_layout(self):
        """All records of the page that are not pieces, answers to be compared too, become messages that are read the same."""
        found = [record for section in ["", "Layouts of other programs", "Archives"] for block in blocks(section)[:1] for record in block]
        path = self.write("talks.jsonl", found)
        for out in ["out.jsonl", "out.tar"]:
            self.assertIn(f"wrote {len(found)} records", self.convert(path, out))
        texts = [line["messages"] for line in records(self.data / "out.jsonl")]
        self.assertTrue(any(message.get("loss") is False for talk in texts for message in talk))
        self.assertTrue(any(message.get("tool_calls") for talk in texts for message in talk))
        pairs = self.write("pairs.jsonl", blocks("Several answers to one prompt")[0])
        self.convert(pairs, "pairs.tar")
        self.convert(self.data / "pairs.tar", "pairs_again.jsonl")
        self.assertEqual([len(record["candidates"]) for record in records(self.data / "pairs_again.jsonl")], [2, 2])

    def test_other_layouts(self):
        """Written for another program and read again as messages, they are those that are written at once."""
        ask = lambda kind, name, text: {"role": "user", "content": [{"type": kind, kind: name}, {"type": "text", "text": text}]}
        say = lambda text, role="assistant": {"role": role, "content": text}
        talk = {"id": "a", "task": "look", "messages": [say("Be brief.", "system"), ask("image", "cat.png", "What is this?"), say("A cat."), say("Sure?", "user"), say("Yes.")]}
        sound = {"id": "b", "messages": [ask("audio", "talk.wav", "What is said?"), say("low")]}
        two = {"id": "c", "messages": [{"role": "user", "content": [{"type": "image", "image": name} for name in ("cat.png", "dog.png")]}, {**say("Both."), "loss": False}, say("More?", "user"), say("No.")]}
        tools = {"id": "f", "messages": [say("Hello", "user"), say("Hi.")], "tools": [{"name": "weather"}]}
        calls = [{"type": "function", "function": {"name": "weather", "arguments": {"city": "Bonn", "days": 2}}}, {"type": "function", "function": {"name": "time", "arguments": {}}}]
        called = {"id": "g", "messages": [say("Hello", "user"), {**say("I look."), "tool_calls": calls}, say("dry", "tool"), say("noon", "tool"), say("Dry, at noon."), say("Sure?", "user"), {"role": "assistant", "content": None, "tool_calls": calls[:1], "loss": False}, say("dry", "tool"), say("Yes.")]}
        heard = {"id": "h", "messages": [say("Listen.", "system"), {"role": "user", "content": [{"type": "text", "text": "First: "}, {"type": "audio", "audio": "a.wav"}, {"type": "audio", "audio": "talk.wav"}, {"type": "text", "text": "which?"}]}, say("The second."), ask("audio", "b.wav", "And this?"), say("low")]}
        page = {"id": "e", "messages": [{"role": "document", "content": [{"type": "text", "text": "A cat: "}, {"type": "image", "image": "cat.png"}, {"type": "image", "image": "dog.png"}, {"type": "text", "text": "both."}]}]}
        for layout, out, found in (("conversations", "list.json", [talk, sound, two, tools, called]), ("alpaca", "asked.jsonl", [talk, sound, tools]), ("captioned", "shown.jsonl", [talk, sound]), ("interleaved", "pages.jsonl", [page]),
                                   ("nemo_manifest", "nemo.tar", [sound]), ("nemo_manifest", "talks.jsonl", [sound, heard, {**sound, "messages": [say("Be brief.", "system"), *sound["messages"]]}])):
            with self.subTest(layout):
                path = self.write(f"{layout}.jsonl", found)
                self.assertIn(f"wrote {len(found)} records", self.convert(path, out, "--layout", layout))
                stem = out.split(".")[0]
                self.convert(self.data / out, f"{stem}_again.jsonl"), self.convert(path, f"{stem}_plain.jsonl")
                again, plain = (records(self.data / f"{stem}_{name}.jsonl") for name in ("again", "plain"))
                if out.endswith(".tar"):  # media lie beside what came out of an archive
                    again = [json.loads(re.sub(r'"audio":"[^"]*"', f'"audio":"{self.data}/talk.wav"', json.dumps(record, separators=(",", ":")))) for record in again]
                self.assertEqual(again, plain)
        listed = json.loads((self.data / "list.json").read_text())
        self.assertEqual(listed[0]["conversations"][1], {"from": "human", "value": "<image>\nWhat is this?"})
        self.assertTrue(listed[0]["image"].endswith("/cat.png"))
        first, = (record for record in records(self.data / "shown.jsonl") if record["id"] == "b")
        self.assertEqual((first["context"], first["answers"]), ("<audio>What is said?", ["low"]))
        self.assertEqual(records(self.data / "pages.jsonl")[0]["texts"], ["A cat: ", None, None, "both."])
        pieces = self.write("pieces.jsonl", [{"id": "d", "audio_filepath": "talk.wav", "offset": 0.25, "duration": 0.5, "text": "low", "context": "Said?"}])
        self.convert(pieces, "pieces_again.jsonl", "--layout", "nemo_manifest")
        piece, = records(self.data / "pieces_again.jsonl")
        self.assertEqual((piece["offset"], piece["duration"], piece["context"]), (0.25, 0.5, "Said?"))
        self.convert(pieces, "pieces_said.jsonl"), self.convert(self.data / "pieces_said.jsonl", "pieces_twice.jsonl", "--layout", "nemo_manifest")
        self.assertEqual(records(self.data / "pieces_said.jsonl")[0]["messages"][0]["content"][0], {"type": "audio", "audio": str(self.data / "talk.wav"), "offset": 0.25, "duration": 0.5})
        self.assertEqual(records(self.data / "pieces_twice.jsonl"), [piece])
        for layout, record, words in (("conversations", json.loads(pieces.read_text()), "is a piece of a recording, which conversations cannot name"),
                                      ("conversations", {"messages": [{**say("a", "user"), "name": "Ann"}, say("b")]}, "cannot hold a name"),
                                      ("alpaca", two, "not supervised"), ("alpaca", {"messages": [say("a", "user"), say("b"), say("c")]}, "questions and answers in turn"), ("nemo_manifest", talk, "media other than recordings"), ("nemo_manifest", tools, "without a recording"),
                                      ("conversations", {"messages": [say("a", "user"), {"role": "assistant", "content": None, "tool_calls": [{"id": "c1", "type": "function", "function": {"name": "f", "arguments": {}}}]}, say("x", "tool"), say("b")]}, "with ids"),
                                      ("captioned", tools, "a sample without media"), ("captioned", two, "not supervised"), ("captioned", {**sound, "tools": [{"name": "f"}]}, "descriptions of tools"), ("interleaved", talk, "anything but one document"), ("alpaca", page, "cannot hold a document")):
            with self.subTest(words):
                self.assertIn(words, self.convert(self.write("odd.jsonl", [record]), "odd_out.jsonl", "--layout", layout, code=3))
                self.assertFalse((self.data / "odd_out.jsonl").exists())

    def test_names_that_json_cannot_hold(self):
        """Of media in a folder whose name is not UTF-8: refused before anything is written; an archive holds the bytes themselves."""
        odd = self.data / "\udcff"
        odd.mkdir()
        shutil.copy(self.data / "cat.png", odd)
        lines = shutil.copy(self.write("named.jsonl", blocks("")[0][:1]), odd)
        self.assertIn("\\xff/cat.png is not UTF-8, and JSON holds nothing else", self.convert(lines, "named_out.jsonl", code=2))
        self.assertIn("wrote 1 records", self.convert(lines, "named_out.tar"))
        self.assertIn("\\xff_media/00000000.png is not UTF-8", self.convert(self.data / "named_out.tar", "\udcff.jsonl", code=2))
        self.assertEqual([path.name for path in [*self.data.glob("named_out*"), *self.data.glob("\udcff?*")]], ["named_out.tar"])

    def test_as_pairs(self):
        """Two answers to one prompt as TRL has them, with marks in texts that stand for nothing."""
        written = [*blocks("Several answers to one prompt")[0][:1], {"prompt": "Is <image> a mark?", "chosen": "No.", "rejected": "Yes.", "task": "ask"}]
        self.assertIn("wrote 2 records", self.convert(self.write("pairs.jsonl", written), "again.jsonl", "--layout", "preference"))
        first, second = records(self.data / "again.jsonl")
        self.assertEqual(first["prompt"], [{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "What is this?"}]}])
        self.assertEqual((first["images"], first["chosen"]), ([str(self.data / "cat.png")], [{"role": "assistant", "content": [{"type": "text", "text": "A cat."}]}]))
        self.assertEqual((second["prompt"], second["rejected"], second["task"]), ([{"role": "user", "content": "Is <image> a mark?"}], [{"role": "assistant", "content": "Yes."}], "ask"))
        for record, words in ((blocks("Several answers to one prompt")[0][1], "scores or media of their own"), ({"query": "a", "response": "b"}, "anything but two answers")):
            self.assertIn(words, self.convert(self.write("odd.jsonl", [record]), "odd_out.jsonl", "--layout", "preference", code=3))

    def stereo(self):
        import array
        import wave
        noise = random.Random(8)
        with wave.open(str(self.data / "both.wav"), "wb") as out:
            out.setnchannels(2), out.setsampwidth(2), out.setframerate(8000)
            out.writeframes(array.array("h", [noise.randrange(-9000, 9000) for _ in range(2 * 6001)]).tobytes())
        return {"id": "two", "start": 0.25, "duration": 0.5, "channel": 1, "supervisions": [{"text": "right"}], "custom": {"lang": "de"},
                "recording": {"sources": [{"type": "file", "channels": [0, 1], "source": "both.wav"}], "channel_ids": [0, 1]}}

    def test_as_cuts(self):
        """Pieces and channels of recordings as cuts that Lhotse reads, with the same samples."""
        found = [{"id": "whole", "audio_filepath": "talk.wav", "text": "low", "lang": "en"}, {"id": "piece", "audio_filepath": "talk.wav", "offset": 0.25, "duration": 0.5, "text": "high", "context": "Said?"}, self.stereo()]
        path = self.write("heard.jsonl", found)
        self.assertIn("wrote 3 records", self.convert(path, "cuts.jsonl", "--layout", "lhotse_cut"))
        whole, piece, right = records(self.data / "cuts.jsonl")
        self.assertEqual((whole["start"], whole["duration"], whole["custom"]), (0.0, 1.0, {"context": "Transcribe the audio.", "lang": "en"}))
        self.assertEqual((piece["start"], piece["duration"], piece["supervisions"][0]["text"]), (0.25, 0.5, "high"))
        self.assertEqual((right["channel"], right["recording"]["sampling_rate"], right["recording"]["num_samples"], right["recording"]["channel_ids"]), (1, 8000, 6001, [0, 1]))
        self.convert(self.data / "cuts.jsonl", "cuts_again.jsonl", "--layout", "lhotse_cut")
        self.assertEqual(records(self.data / "cuts_again.jsonl"), [whole, piece, right])
        for record, words in (({"audio_filepath": "both.wav", "text": "x"}, "the mean of the channels"), ({"audio_filepath": ["a.wav", "b.wav"], "text": "x"}, "several recordings"), ({"query": "a", "response": "b"}, "anything but a recording")):
            self.assertIn(words, self.convert(self.write("odd.jsonl", [record]), "odd_out.jsonl", "--layout", "lhotse_cut", code=3))
        self.assertIn("is written as lines", self.convert(path, "cuts.tar", "--layout", "lhotse_cut", code=2))
        if importlib.util.find_spec("lhotse"):
            import lhotse
            import numpy
            import soundfile
            for cut in lhotse.CutSet.from_jsonl(self.data / "cuts.jsonl"):
                name, begin, end, channel = {"whole": ("talk.wav", 0, 16000, 0), "piece": ("talk.wav", 4000, 12000, 0), "two": ("both.wav", 2000, 6000, 1)}[cut.id]
                samples, rate = soundfile.read(self.data / name, always_2d=True, dtype="float32")
                self.assertTrue(numpy.array_equal(cut.load_audio()[0], samples[begin:end, channel]))
                self.assertEqual((cut.sampling_rate, cut.supervisions[0].text, lhotse.validate(cut)), (rate, {"whole": "low", "piece": "high", "two": "right"}[cut.id], None))

    def spoken(self, count):
        """Questions about recordings of their own, pieces among them; the first has a long name."""
        found = []
        for number in range(count):
            make_tiny.write_wav(self.data / f"spoken_{number}.wav", 200 + 50 * number, random.Random(number), seconds=0.5)
            piece = {"offset": 0.125, "duration": 0.25} if number % 2 else {}
            found.append({"id": "long/" * 30 + "name" if number == 0 else f"spoken-{number}", "audio_filepath": f"spoken_{number}.wav", "text": "high" if number % 2 else "low", "context": "Said?", **piece})
        return found, self.write("spoken.jsonl", found)

    def test_as_shar(self):
        """Archives that Lhotse reads, with the recordings' bytes; a set of them trains as the files do."""
        found, path = self.spoken(5)
        self.assertIn("wrote 5 records to 6 files", self.convert(path, "shar_out/", "--layout", "lhotse_cut", "--shard-samples", 2))
        self.assertEqual(sorted(file.name for file in (self.data / "shar_out").iterdir()), [f"{kind}.{number:06}.{end}" for kind, end in (("cuts", "jsonl"), ("recording", "tar")) for number in range(3)])
        more = f'source = "json_lines"\nsource_options = {{ archives = "{self.data}/shar_out/recording.*.tar" }}'
        self.assertEqual(losses(self.trains(self.data / "shar_out" / "cuts.*.jsonl", "5 records, read by json_lines as lhotse_cut", more)), losses(self.trains(path, "5 records")))
        if importlib.util.find_spec("lhotse"):
            import lhotse
            import numpy
            import soundfile
            cuts = list(lhotse.CutSet.from_shar(in_dir=self.data / "shar_out"))
            self.assertEqual([(cut.id, cut.supervisions[0].text, cut.custom["context"]) for cut in cuts], [(one["id"], one["text"], "Said?") for one in found])
            for cut, one in zip(cuts, found):
                samples, rate = soundfile.read(self.data / one["audio_filepath"], dtype="float32")
                begin = int(one.get("offset", 0) * rate)
                self.assertTrue(numpy.array_equal(cut.load_audio()[0], samples[begin:][: int(one.get("duration", 1) * rate)]))

    def test_what_is_no_shar(self):
        found, _ = self.spoken(2)
        for number, (name, words) in enumerate({"a//b": "is not a path within an archive", "../a": "is not a path", "/a": "is not a path", "spoken-1": "two samples have the id 'spoken-1'"}.items()):
            path = self.write("odd_ids.jsonl", [{**found[0], "id": name}, found[1]])
            self.assertIn(words, self.convert(path, f"odd_{number}/", "--layout", "lhotse_cut", code=3))
        good = self.write("good_ids.jsonl", found)
        self.assertIn("a pattern of several names", self.convert(good, "out{1}/", "--layout", "lhotse_cut", code=2))
        self.assertIn("cannot create the folder", self.convert(good, "not/there/", "--layout", "lhotse_cut", code=2))
        self.assertEqual([*self.data.glob("odd_[0-9]*"), *self.data.glob("out*"), *self.data.glob("not*")], [])

    def test_as_tarred_manifests(self):
        """As NeMo's script leaves them: a manifest for each archive, whose number each line has."""
        found, path = self.spoken(5)
        self.assertIn("wrote 5 records to 4 files", self.convert(path, "tarred_out/", "--layout", "nemo_manifest", "--shard-samples", 3))
        out = self.data / "tarred_out"
        lines = [record for number in range(2) for record in records(out / "sharded_manifests" / f"manifest_{number}.json")]
        self.assertEqual([record["shard_id"] for record in lines], [0, 0, 0, 1, 1])
        for record, one in zip(lines, found, strict=True):
            with tarfile.open(out / f"audio_{record['shard_id']}.tar") as archive:
                self.assertEqual(archive.extractfile(record["audio_filepath"]).read(), (self.data / one["audio_filepath"]).read_bytes())
        more = f'source = "json_lines"\nsource_options = {{ archives = "{out}/audio__OP_0..1_CL_.tar" }}'
        self.assertEqual(losses(self.trains(out / "sharded_manifests" / "manifest__OP_0..1_CL_.json", "5 records, read by json_lines as nemo_manifest", more)), losses(self.trains(path, "5 records")))
        self.assertIn("is there already", self.convert(path, "tarred_out/", "--layout", "nemo_manifest", code=2))
        self.assertIn("the layout messages has no folders", self.convert(path, "other_out/", code=2))
        broken = self.write("broken.jsonl", [found[0], {"id": "gone", "audio_filepath": "gone.wav", "text": "x"}])
        self.assertIn("gone.wav", self.convert(broken, "broken_out/", "--layout", "nemo_manifest", code=3))
        self.assertEqual([*self.data.glob("broken_out*"), *self.data.glob("other_out*")], [])

    def test_configuration(self):
        """The options of a format hold."""
        path = self.write("manifest.jsonl", [{"audio_filepath": "talk.wav", "text": "low", "lang": "en"}])
        config = self.config_for(path, 'format = "nemo_manifest"\nformat_options = { context = "What?" }')
        self.convert(config, "manifest_out.jsonl")
        record = records(self.data / "manifest_out.jsonl")[0]
        self.assertEqual((record["lang"], record["messages"][0]["content"]), ("en", [{"type": "audio", "audio": str(self.data / "talk.wav")}, {"type": "text", "text": "What?"}]))

    def test_refused(self):
        good = {"query": "<image>", "response": "A cat.", "images": ["cat.png"]}
        before = sorted(path.name for path in self.data.iterdir())
        for name, bad, words in [("channel", {"id": "c", "start": 0, "duration": 0.5, "channel": 1, "type": "MonoCut", "recording": {"id": "r", "sources": [{"type": "file", "channels": [0, 1], "source": "talk.wav"}]}, "supervisions": [{"start": 0, "text": "x"}]}, "is meant, which messages cannot say"), ("bad", {"messages": []}, "the conversation is empty"),
                                 ("missing", {**good, "images": ["none.png"]}, "none.png")]:
            path = self.write(f"{name}.jsonl", [good, bad])
            said = self.convert(path, "out.tar", code=3)
            self.assertIn(words, said)
            self.assertIn(f"while {path}:2", said)
            path.unlink()
        self.assertEqual(sorted(path.name for path in self.data.iterdir()), before)
        other = self.config_for(self.write("other.jsonl", [{"audio_filepath": "talk.wav", "text": "x", "query": "a", "response": "b"}]), 'format = "nemo_manifest"')
        self.assertIn("both texts 'instruction' and 'output', 'query' and 'response', 'prompt' and 'completion', or 'input' and 'output'", self.convert(other, "other_out.jsonl", code=3))
        self.assertEqual(list(self.data.glob("other_out*")), [])
        path = self.write("ok.jsonl", [good])
        self.convert(path, "ok.tar")
        self.assertIn("is there already", self.convert(path, "ok.tar", code=2))
        self.assertIn("says no form", self.convert(path, "ok.zip", code=2))
        self.assertIn("is for archives", self.convert(path, "ok2.jsonl", "--shard-samples", 3, code=2))


if __name__ == "__main__":
    main()
