"""Archives of docs/data.md: WebDataset as it is and as Energon prepares it, and Lhotse's cuts and Shar; each is what its files are."""

import gzip
import importlib.util
import json
import random
import re
import tarfile
import unittest

import make_tiny
from formats import PAGE, Formats, blocks, write_tar
from harness import ROOT, losses, main, records, sets


class Archives(Formats):
    def tiny_as_shards(self, form):
        """The tiny training set as two shards."""
        source = self.folder / "data"
        found, shards = records(source / "train.jsonl"), [{}, {}]
        for number, record in enumerate(found):
            shard = shards[number >= len(found) // 2]
            for part in record["messages"][0]["content"]:
                name = part.get("image") or part.get("audio")
                if name:
                    shard[f"{number:04}.{name.rsplit('.', 1)[1]}"] = (source / name).read_bytes()
                    part[part["type"]] = f"{number:04}.{name.rsplit('.', 1)[1]}"
            shard[f"{number:04}.json"] = json.dumps(record).encode()
        for number, shard in enumerate(shards):
            write_tar(self.data / f"pairs-{number:03}.tar", shard, form)
        return self.data / "pairs-{000..001}.tar", len(found)

    def test_equal_to_files(self):
        """Each dialect that Python writes gives the run that the lines and files give; a stopped run goes on exactly."""
        settings = sets(train__steps=6, train__checkpoint_every=3)
        self.train(self.data / "files", *settings)
        for form in [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT]:
            path, count = self.tiny_as_shards(form)
            run = self.data / f"run_{form}"
            done = self.train(run, *settings, config=self.config_for(path))
            self.assertIn(f"{count} records, read by webdataset as messages", done.stderr)
            self.assertEqual(losses(run), losses(self.data / "files"))
        self.compare_resumed(run, *settings)

    def test_prepared_by_energon(self):
        """A folder with .nv-meta gives the run that lines give, of its part alone; a stopped run goes on exactly."""
        settings = sets(train__steps=6, train__checkpoint_every=3)
        pairs = [{"image": "cat.png", "context": f"What is {n}?", "answers": [f"It is {n}."]} for n in range(12)]
        self.train(self.data / "lines", *settings, config=self.config_for(self.write("pairs.jsonl", pairs)))
        folder = self.data / "prepared"
        (folder / ".nv-meta").mkdir(parents=True)
        picture = (self.data / "cat.png").read_bytes()
        for part, kept in {"s_0": pairs[:7], "s_1": pairs[7:], "held": pairs[:2]}.items():
            write_tar(folder / f"{part}.tar", {name: content for n, pair in enumerate(kept) for name, content in {
                f"{part}{n}.png": picture, f"{part}{n}.json": json.dumps([{"q": pair["context"], "a": pair["answers"]}]).encode()}.items()})
        (folder / ".nv-meta" / "dataset.yaml").write_text("__module__: megatron.energon\n__class__: VQAWebdataset\nfield_map:\n  image: png\n  context: json[0][q]\n  answers: json[0][a]\n")
        (folder / ".nv-meta" / "split.yaml").write_text("split_parts:\n  train:\n  - s_{0..1}.tar\n  val:\n  - held.tar\nexclude: []\n")
        run = self.data / "run"
        done = self.train(run, *settings, config=self.config_for(folder))
        self.assertIn("12 records, read by webdataset as captioned", done.stderr)
        self.assertEqual(losses(run), losses(self.data / "lines"))
        self.compare_resumed(run, *settings)
        self.assertEqual(self.check(folder, 'source_options = { part = "val" }\nsource = "webdataset"')["samples"], 2)

    def test_records(self):
        """The records of the page, as members beside their media."""
        found = blocks("Archives")[0]
        shard = {}
        for number, record in enumerate(found):
            media = {}
            text = json.dumps(record)
            for name in re.findall(r"[\w-]+\.(?:png|wav)", text):
                media[f"{number}.{name}"] = (self.data / name).read_bytes()
                text = text.replace(f'"{name}"', f'"{number}.{name}"')
            shard.update({f"{number}.json": text.encode(), **media})
        shard.update({"9.png": (self.data / "cat.png").read_bytes(), "9.txt": b"A cat."})
        write_tar(self.data / "pages.tar", shard)
        self.assertEqual(self.check(self.data / "pages.tar")["bad"], 0)
        self.trains(self.data / "pages.tar", f"{len(found) + 1} records, read by webdataset as captioned")
        alone = json.loads(self.call("data", "check", self.data / "pages.tar", "--json").stdout)
        self.assertEqual((alone["samples"], alone["bad"]), (len(found) + 1, 0))
        self.assertEqual(self.check(self.write("pairs.jsonl", found))["bad"], 0)

    def test_hostile(self):
        png = (self.data / "cat.png").read_bytes()
        cut = self.data / "cut.tar"
        write_tar(cut, {"0.png": png, "0.txt": b"A cat."})
        cut.write_bytes(cut.read_bytes()[:1200])
        write_tar(self.data / "pickle.tar", {"0.png": png, "0.pkl": b"cos\nsystem\n(S'touch pwned'\ntR."})
        with tarfile.open(self.data / "link.tar", "w") as out:
            info = tarfile.TarInfo("0.txt")
            info.type, info.linkname = tarfile.SYMTYPE, "/etc/passwd"
            out.addfile(info)
        for name, words in [("cut.tar", "cut short"), ("pickle.tar", "is a pickle"), ("link.tar", "is a link")]:
            self.assertIn(words, self.train(self.data / "never", code=3, config=self.config_for(self.data / name)).stderr)
        self.assertFalse((self.data / "pwned").exists())


class Lhotse(Formats):
    def cut(self, number, recording, start=0.0, duration=0.4):
        return {"id": f"cut.{number}", "start": start, "duration": duration, "channel": 0, "supervisions": [{"id": "s", "recording_id": "r", "start": 0.0, "duration": duration, "text": "low"}],
                "recording": {"id": "r", "sources": [recording], "sampling_rate": 16000, "num_samples": 16000, "duration": 1.0, "channel_ids": [0]}, "type": "MonoCut"}

    def test_cuts(self):
        path = self.write("cuts.jsonl", blocks("Lhotse's cuts")[0])
        checked = self.check(path)
        self.assertEqual(checked["bad"], 0)
        self.assertAlmostEqual(checked["media"]["audio"]["seconds_total"], 0.5, places=3)
        self.trains(path, "1 records, read by json_lines as lhotse_cut")

    def test_shar(self):
        """Archives in the form of Lhotse's SharWriter give the losses of the files that they were made of."""
        (self.data / "shar").mkdir()
        cuts, files = [], []
        for number in range(6):
            make_tiny.write_wav(self.data / f"{number}.wav", 200 + 100 * number, random.Random(number), seconds=0.4)
            files.append(self.cut(number, {"type": "file", "channels": [0], "source": f"{number}.wav"}))
            cuts.append(self.cut(number, {"type": "shar", "channels": [0], "source": ""}))
        lines = self.write("files.jsonl", files)
        plain = losses(self.trains(lines, "6 records"))
        packed = self.data / "files.jsonl.gz"
        packed.write_bytes(gzip.compress(lines.read_bytes()))
        run = self.trains(packed, "6 records, read by json_lines as lhotse_cut")
        self.assertEqual(losses(run), plain)
        self.compare_resumed(run, *sets(model__llm__chat_template=self.data / "template.jinja", train__steps=3, train__tokens_per_batch=1024, train__checkpoint_every=1))
        self.assertIn("0 failed", self.call("conformance", ROOT / "build/plugins/json_lines.so", "--data", packed, threads=None).stdout)
        for shard in range(2):
            part = range(3 * shard, 3 * shard + 3)
            lines = self.write(f"cuts.{shard:06}.jsonl", [cuts[number] for number in part])
            (self.data / "shar" / f"{lines.name}.gz").write_bytes(gzip.compress(lines.read_bytes()))
            members = {}
            for number in part:
                members[f"cut.{number}.wav"] = (self.data / f"{number}.wav").read_bytes()
                members[f"cut.{number}.json"] = json.dumps(cuts[number]["recording"]).encode()
            write_tar(self.data / "shar" / f"recording.{shard:06}.tar", members)
        text = re.search(r'(?s)path = "shar/cuts.*?\n(.*?)```', PAGE)[1].replace("shar/", f"{self.data}/shar/")
        self.assertEqual(losses(self.trains(self.data / "shar" / "cuts.*.jsonl.gz", "6 records, read by json_lines as lhotse_cut", text)), plain)

    def test_mixture_of_the_page(self):
        path = self.write("mixed.jsonl", blocks("Lhotse's cuts")[1])
        checked = self.check(path)
        self.assertEqual(checked["bad"], 0)
        self.assertAlmostEqual(checked["media"]["audio"]["seconds_total"], 1.25, places=3)
        self.trains(path, "1 records, read by json_lines as lhotse_cut")

    @unittest.skipUnless(importlib.util.find_spec("lhotse"), "lhotse is not installed")
    def test_mixtures_as_lhotse_makes_them(self):
        """Cuts of several tracks and channels, as Lhotse writes them, sound as Lhotse makes them sound."""
        import lhotse
        import numpy
        import soundfile
        noise = numpy.random.default_rng(3)
        cuts = {}
        for name, channels, length in [("one", 1, 0.5), ("two", 2, 0.4001), ("far", 1, 0.3)]:
            soundfile.write(self.data / f"{name}.wav", noise.uniform(-0.5, 0.5, (int(length * 16000), channels)), 16000, subtype="FLOAT")
            cut = lhotse.Recording.from_file(self.data / f"{name}.wav").to_cut()
            cuts[name] = lhotse.fastcopy(cut, supervisions=[lhotse.SupervisionSegment("s", cut.recording_id, 0.0, cut.duration, text="low", channel=cut.channel)])
        one, two, far = cuts["one"], cuts["two"], cuts["far"]
        left = two.to_mono()[0]
        made = {"appended": one.append(far), "padded": one.pad(duration=0.7), "led": one.pad(duration=0.7, direction="left"), "over": one.mix(far, offset_other_by=0.1),
                "noisy": one.mix(far, snr=7), "late": one.mix(left, offset_other_by=0.3, snr=-3), "pieces": one.truncate(offset=0.1003, duration=0.2002).append(left.truncate(duration=0.11117)).pad(duration=0.4),
                "several": two, "both": two.mix(one, snr=4)}
        lhotse.CutSet.from_cuts(lhotse.fastcopy(cut, id=name) for name, cut in made.items()).to_file(self.data / "made.jsonl")
        self.convert(self.data / "made.jsonl", "heard.jsonl")
        for (name, cut), record in zip(made.items(), records(self.data / "heard.jsonl"), strict=True):
            path = next(part["audio"] for part in record["messages"][0]["content"] if part["type"] == "audio")
            heard, rate = soundfile.read(self.data / path, dtype="float32")
            expected = (cut.to_mono(mono_downmix=True) if name == "several" else cut).load_audio(**({"mono_downmix": True} if name == "both" else {}))[0]
            self.assertEqual((record["id"], rate, len(heard)), (name, 16000, len(expected)))
            # Lhotse keeps what it makes of a MultiCut with 16 bits.
            self.assertLess(numpy.abs(heard - expected).max(), 1e-4 if name == "several" else 1e-6, name)


if __name__ == "__main__":
    main()
