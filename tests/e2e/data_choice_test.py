"""Which samples are trained on, how often, packed and changed how: blends, epochs, filters, packing, augmentation; what the
verbs stats, index and synthesize say and write."""

import io
import json
import os
import random
import re
import tarfile
import unittest
import wave
from pathlib import Path

import make_tiny
from harness import PROGRAM, ROOT, Case, checkpoints, losses, main, records, sets
from report_run import data_of

PAGE = (ROOT / "docs" / "data.md").read_text()
SHORT = sets(train__steps=8, train__checkpoint_every=4, train__tokens_per_batch=96, train__accumulate=2)


def block(section):
    """The first TOML of a section of docs/data.md."""
    part = next(part for part in re.split(r"(?m)^## ", PAGE) if part.startswith(section))
    return re.search(r"(?s)```toml\n(.*?)```", part)[1]


class Choice(Case):
    def command(self, verb, *args, threads=1):
        own = verb == "data" and args[0] in ("convert", "index", "synthesize")
        return super().command(verb, *args, threads=None if own else threads)

    def progress(self, run):
        return json.loads((run / "checkpoints" / checkpoints(run)[0] / "progress.json").read_text())["loader"]["rows"]

    def extended(self, name, text):
        path = self.folder / name
        path.write_text(f'extends = "{self.config}"\n{text}')
        return path


class Blends(Choice):
    def test_the_example_of_the_page(self):
        """All of it at once, to the end of the epochs: each of the first 20 records three times, but for what is filtered."""
        text = block("Which samples").replace("data/train.jsonl", str(self.folder / "data" / "train.jsonl"))
        file, run = self.extended("choice.toml", text), self.folder / "choice"
        found = json.loads(self.call("data", "check", file, "--json").stdout)["sources"][0]
        self.assertEqual(found["samples"], 20)
        done = self.call("train", file, *sets(train__steps=1000, train__accumulate=2, train__tokens_per_batch=96, train__output=run))
        self.assertIn("20 records of 24 (max_samples)", done.stderr)
        self.assertIn("left out: what is beyond max_seconds 24, min_tokens 10, max_tokens 400, max_tokens_per_second 40", done.stderr)
        self.assertIn("packed: best_fit from 16 samples", done.stderr)
        self.assertIn("all sources have had their epochs", done.stderr)
        rows = self.progress(run)
        left_out = sum(found["left_out"].values())
        self.assertEqual(sum(row["good"] for row in rows), 3 * (20 - left_out))
        self.assertEqual(sum(sum(row["filtered"]) for row in rows), 3 * left_out)
        self.assertEqual(sum(row["bad"] + len(row["held"]) for row in rows), 0)
        self.assertEqual(sum(r["train/samples"] for r in records(run / "metrics.jsonl")), 3 * (20 - left_out))
        again = self.call("train", file, "--resume", *sets(train__steps=1000, train__accumulate=2, train__tokens_per_batch=96, train__output=run))
        self.assertIn("the data has ended", again.stderr)
        self.assertEqual(sum(row["good"] for row in self.progress(run)), 3 * (20 - left_out))

    def test_filters_are_counted_by_reason(self):
        limits = sets(data__filter__max_tokens=34, data__filter__min_seconds=0.1, data__filter__max_tokens_per_second=22)
        found = json.loads(self.call("data", "check", self.config, *limits, "--json").stdout)["sources"]
        left_out = found[0]["left_out"]
        self.assertGreater(len(left_out), 1)
        self.assertEqual(found[1]["left_out"], {}, "held-out sets are whole")
        text = self.call("data", "check", self.config, *limits).stdout
        for reason, count in left_out.items():
            self.assertIn(f"data.filter leaves out {count} samples: {reason}", text)
        run = self.folder / "filtered"
        done = self.train(run, *SHORT, *limits)
        last = records(run / "metrics.jsonl")[-1]
        self.assertGreater(last["train/filtered_samples"], 0)
        self.assertEqual(last["train/bad_samples"], 0)
        for reason in left_out:
            self.assertRegex(done.stderr, rf"data.filter left out \d+ samples: .*\d+ {reason}")
        none = self.train(self.folder / "none", *SHORT, *sets(data__filter__min_tokens=5000), code=3)
        self.assertIn("fewer tokens than min_tokens", none.stderr)

    def test_round_robin_and_temperature(self):
        few = self.folder / "data" / "few.jsonl"
        make_tiny.write_set(few, 3, seed=21)
        two = ["--set", f'data.train.sources=[{{path="{self.folder}/data/train.jsonl"}}, {{path="{few}"}}]']
        drawn = {}
        for name, options in {"by_size": [], "warm": sets(data__temperature=3), "in_turn": sets(data__blend="round_robin"),
                              "weights": [*sets(data__blend="by_weight"), "--set", f'data.train.sources=[{{path="{self.folder}/data/train.jsonl"}}, {{path="{few}", weight=3}}]']}.items():
            self.train(self.folder / name, *SHORT, *two, *options)
            counts = [row["drawn"] for row in self.progress(self.folder / name)]
            drawn[name] = counts[0][1] / sum(counts[0])
        self.assertAlmostEqual(drawn["by_size"], 3 / 27, delta=0.04)
        self.assertAlmostEqual(drawn["warm"], 3 ** (1 / 3) / (3 ** (1 / 3) + 24 ** (1 / 3)), delta=0.04)
        self.assertAlmostEqual(drawn["in_turn"], 0.5, delta=0.04)
        self.assertAlmostEqual(drawn["weights"], 0.75, delta=0.04)
        done = self.train(self.folder / "by_size", *SHORT, *sets(train__steps=10), *two, *sets(data__temperature=3), "--resume", code=4)
        self.assertIn("temperature 3", done.stderr)

    def test_what_does_not_go_together(self):
        for options, words in [(sets(data__blend="round_robin", data__temperature=2), "no effect with data.blend"), (sets(data__blend="by_weight", data__temperature=2), "no effect with data.blend"), (sets(data__packing__method="buckets"), "give data.packing.buckets"),
                               (sets(data__augment__image__flip=0.5, data__feature_cache="x"), "would keep their features"), (sets(data__augment__noise__probability=1), "no path"),
                               (sets(data__blend="by_luck"), "by_luck")]:
            self.assertIn(words, self.train(self.folder / "refused", *SHORT, *options, code=2).stderr)

    def test_packing_fills_batches(self):
        fills = {}
        for name, options in {"in_order": [], "best_fit": sets(data__packing__method="best_fit", data__packing__look_ahead=12), "buckets": ["--set", "data.packing.buckets=[30, 40]", *sets(data__packing__method="buckets", data__packing__look_ahead=12)]}.items():
            run = self.folder / f"packed_{name}"
            self.train(run, *SHORT, *options)
            fill = [r["train/batch_fill"] for r in records(run / "metrics.jsonl")]
            self.assertTrue(all(0 < value <= 1 for value in fill), fill)
            fills[name] = sum(fill) / len(fill)
        self.assertGreater(fills["best_fit"], fills["in_order"])


class Augmentation(Choice):
    def test_the_example_of_the_page(self):
        file, run = self.extended("augment.toml", block("Augmentation")), self.folder / "augmented"
        done = self.call("train", file, *SHORT, *sets(train__output=run))
        self.assertIn("augmented by speed, time_stretch, white_noise, gain, shift, transcode, spec_augment, image (", done.stderr)
        self.assertRegex(done.stderr, r"augmented by this process: speed \d+, .*colours \d+, white_noise \d+, shift \d+, time_stretch \d+, transcode \d+ of \d+ media")
        again = self.folder / "augmented_again"
        self.call("train", file, *SHORT, *sets(train__output=again, data__threads=4, data__prefetch=1))
        self.assert_same_run(run, again)
        plain = self.folder / "plain"
        self.train(plain, *SHORT)
        self.assertNotEqual(losses(plain), losses(run))
        self.assertEqual(self.shown(file, 0), self.shown(file, 0))
        self.assertNotEqual(self.shown(file, 0), self.shown(file, 1))
        self.assertTrue(any(line.startswith("augmented train_1.wav: ") and "stretches masked" in line for line in self.shown(file, 0)))
        self.assertEqual([line for line in self.call("data", "show", self.config, "--count", 6).stdout.splitlines() if line.startswith("augmented")], [])

    def shown(self, file, epoch):
        text = self.call("data", "show", file, "--count", 6, "--epoch", epoch).stdout
        return [line for line in text.splitlines() if line.startswith("augmented ")]

    def test_held_out_sets_stay_as_they_are(self):
        flip = sets(data__augment__image__flip=1, data__augment__gain__probability=1, data__augment__image__hue=0.5)
        values = [self.call("eval", self.config, *sets(eval__max_tokens=2), *options).stdout for options in ([], flip)]
        self.assertEqual(values[0], values[1])

    def test_noises(self):
        folder = self.folder / "noises"
        folder.mkdir()
        for name in ("hum.wav", "deep/hiss.wav"):
            (folder / name).parent.mkdir(exist_ok=True)
            make_tiny.write_wav(folder / name, 60, random.Random(1), seconds=0.5)
        manifest = self.folder / "noises.jsonl"
        manifest.write_text('{"audio_filepath": "noises/hum.wav", "offset": 0.1, "duration": 0.2}\n')
        for path, names in [(folder, {"hum.wav", "hiss.wav"}), (manifest, {"hum.wav"})]:
            text = self.call("data", "show", self.config, "--count", 24, *sets(data__augment__noise__probability=1, data__augment__noise__path=path)).stdout
            self.assertEqual(set(re.findall(r"noise (\S+) at \d+\.\d dB", text)), names)
        room = sets(data__augment__impulse__probability=1, data__augment__impulse__path=folder)
        text = self.call("data", "show", self.config, "--count", 24, *room).stdout
        self.assertEqual(set(re.findall(r"room (\S+)", text)), {"hum.wav", "hiss.wav"})
        self.train(self.folder / "in_rooms", *SHORT, *room)
        self.train(self.folder / "in_rooms_again", *SHORT, *room, *sets(data__threads=4, data__prefetch=1))
        self.assert_same_run(self.folder / "in_rooms", self.folder / "in_rooms_again")
        (folder / "broken.wav").write_bytes(b"RIFF")
        done = self.train(self.folder / "noisy", *SHORT, *sets(data__augment__noise__probability=1, data__augment__noise__path=folder), code=2)
        self.assertIn("noises/broken.wav cannot be read", done.stderr)


class Verbs(Choice):
    def test_stats(self):
        found = json.loads(self.call("data", "stats", self.config, "--json").stdout)["sources"]
        self.assertEqual([source["set"] for source in found], ["train", "held"])
        train = found[0]
        check = json.loads(self.call("data", "check", self.config, "--json").stdout)["sources"][0]
        for name, count in [("tokens", 24), ("supervised_share", 24), ("seconds", 16), ("width", 16), ("height", 16)]:
            bins = train[name]["bins"]
            self.assertEqual(sum(bin["count"] for bin in bins), count, name)
            self.assertTrue(all(left["to"] == right["from"] for left, right in zip(bins, bins[1:])), name)
        self.assertEqual(train["tokens"]["bins"][0]["from"], check["tokens"]["min"])
        self.assertGreater(train["tokens"]["bins"][-1]["to"], check["tokens"]["max"])
        self.assertEqual(train["width"], {"mean": 32, "bins": [{"from": 32, "to": 33, "count": 16}]})
        text = self.call("data", "stats", self.config).stdout
        self.assertIn("tokens of a sample, ", text)
        self.assertIn("█" * 40, text)
        run = self.folder / "spread"
        self.train(run, *SHORT)
        of_run = json.loads(self.call("data", "stats", run, "--json").stdout)
        self.assertEqual(of_run["sources"], found)
        self.call("report", run, "--output", self.folder / "spread.html", threads=None)
        self.assertEqual(data_of(self.folder / "spread.html")["runs"][0]["data"], found)
        alone = json.loads(self.call("data", "stats", self.folder / "data" / "train.jsonl", "--json").stdout)["sources"][0]
        self.assertIsNone(alone["tokens"])
        self.assertEqual(alone["seconds"], train["seconds"])
        lines = self.folder / "data" / "broken.jsonl"
        lines.write_text("broken\n" + (self.folder / "data" / "train.jsonl").read_text())
        some = json.loads(self.call("data", "stats", self.config, "--json", "--set", f'data.train.sources=[{{path="{lines}"}}]', *sets(data__filter__max_tokens=30)).stdout)["sources"][0]
        self.assertEqual((some["samples"], some["bad"]), (25, 1))
        self.assertEqual(sum(bin["count"] for bin in some["tokens"]["bins"]), 24 - some["left_out"])
        self.assertGreater(some["left_out"], 0)

    def test_index(self):
        data = self.folder / "indexed"
        data.mkdir()
        lines = data / "some.jsonl"
        make_tiny.write_set(lines, 40, seed=3)
        before = self.folder / "without_index"
        source = ["--set", f'data.train.sources=[{{path="{lines}"}}]']
        self.train(before, *SHORT, *source)
        self.call("data", "convert", lines, data / "pairs.tar", "--shard-samples", 30)
        pattern = f"{data}/pairs-{{000000..000001}}.tar"
        for path, count in [(lines, 40), (pattern, 40)]:
            self.assertIn(f"{count} records; 1 indexes built, 0 as they were", self.call("data", "index", path).stdout)
            self.assertIn(f"{count} records; 0 indexes built, 1 as they were", self.call("data", "index", path).stdout)
        kept = sorted(data.glob("*.antiphon-index"))
        self.assertEqual(len(kept), 2)
        after = self.folder / "with_index"
        done = self.train(after, *SHORT, *source)
        self.assertNotIn("antiphon-index", done.stderr)
        self.assert_same_run(before, after)  # its fingerprint of the data, too
        found = [json.loads(self.call("data", "check", path, "--json").stdout)["sources"][0] for path in (lines, pattern)]
        self.assertEqual([source["samples"] for source in found], [40, 40])
        # It really is what is read: an index of other marks gives other records.
        index = next(path for path in kept if path.name.startswith("some.jsonl"))
        whole = index.read_bytes()
        for cut in [b"", whole[:40], whole[:-1], whole[:32] + b"x" + whole[33:], b"\xff" * len(whole)]:
            index.write_bytes(cut)
            done = self.call("data", "check", lines)
            self.assertIn("is not used", done.stderr)
        index.write_bytes(whole)
        lines.write_text(lines.read_text() + lines.read_text().splitlines()[0] + "\n")
        done = self.call("data", "check", lines)
        self.assertIn("is not used", done.stderr)
        self.assertRegex(done.stdout, r"some.jsonl +41 ")
        self.assertIn("41 records; 1 indexes built", self.call("data", "index", lines).stdout)
        self.assertNotIn("antiphon-index", self.call("data", "check", lines).stderr)
        self.tarred(data)
        text = self.call("data", "index", self.config).stdout
        self.assertIn("2 indexes built, 0 as they were", text)

    def tarred(self, data):
        """A manifest and the archive of its recordings: an index of each, and the same samples by them."""
        sound = next((self.folder / "data").glob("*.wav")).read_bytes()
        with tarfile.open(data / "audio.tar", "w") as out:
            for name in ("a.wav", "b.wav"):
                info = tarfile.TarInfo(name)
                info.size = len(sound)
                out.addfile(info, io.BytesIO(sound))
        (data / "manifest.json").write_text("".join(json.dumps({"audio_filepath": name, "text": "low"}) + "\n" for name in ("a.wav", "b.wav")))
        file = self.extended("tarred.toml", f'[[data.train.sources]]\npath = "{data}/manifest.json"\nsource = "json_lines"\nsource_options = {{ archives = "{data}/audio.tar" }}\n[data.eval.held]\nenabled = false\nsources = []\n')
        before = json.loads(self.call("data", "check", file, "--json").stdout)["sources"]
        self.assertIn("2 records; 2 indexes built, 0 as they were", self.call("data", "index", file).stdout)
        self.assertIn("2 records; 0 indexes built, 2 as they were", self.call("data", "index", file).stdout)
        after = self.call("data", "check", file, "--json")
        self.assertNotIn("is not used", after.stderr)
        self.assertEqual(json.loads(after.stdout)["sources"], before)
        self.assertEqual((before[0]["samples"], before[0]["bad"]), (2, 0))

    @unittest.skipUnless((Path(PROGRAM).resolve().parents[1] / "plugins" / "espeak.so").exists(), "built without espeak-ng")
    def test_synthesize(self):
        texts = self.folder / "data" / "questions.jsonl"
        hostile = "<speak><break time='900s'/></speak> [[h@]] \\ %s \u202e\U0001F600 " + "a" * 300
        lines = [{"id": "q1", "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "What is the weather in Bonn?"}, {"role": "assistant", "content": "Dry."},
                                           {"role": "user", "content": [{"type": "image", "image": "train_0.png"}, {"type": "text", "text": "And here?"}]}, {"role": "assistant", "content": "Wet."}]},
                 {"id": "q2", "messages": [{"role": "user", "content": hostile}, {"role": "assistant", "content": "?"}], "tools": [{"name": "weather"}]}]
        texts.write_text("".join(json.dumps(line) + "\n" for line in lines))
        out = self.folder / "data" / "spoken.jsonl"
        done = self.call("data", "synthesize", texts, out)
        self.assertIn("wrote 2 samples; 3 texts said, 0 there already", done.stderr)
        spoken = records(out)
        self.assertEqual(spoken[0]["spoken"], "What is the weather in Bonn?\nAnd here?")
        self.assertEqual(spoken[1]["tools"], [{"name": "weather"}])
        turns = spoken[0]["messages"]
        self.assertEqual([turn["content"] for turn in turns if turn["role"] != "user"], ["Be brief.", "Dry.", "Wet."])
        self.assertEqual([[part["type"] for part in turn["content"]] for turn in turns if turn["role"] == "user"], [["audio"], ["image", "audio"]])
        wavs = sorted((out.parent / "spoken_media").glob("*.wav"))
        self.assertEqual(len(wavs), 3)
        self.assertIn(turns[1]["content"][0]["audio"], {str(path.relative_to(out.parent)) for path in wavs})
        for path in wavs:
            with wave.open(str(path)) as sound:
                self.assertEqual(sound.getframerate(), 22050)
                self.assertGreater(sound.getnframes(), 2000)
        found = json.loads(self.call("data", "check", out, "--json").stdout)
        self.assertEqual(found["bad"], 0)
        # Interrupted and begun again, in another order: the same files.
        first = {path.name: path.read_bytes() for path in wavs}
        out.unlink()
        wavs[0].unlink()
        texts.write_text("".join(json.dumps(line) + "\n" for line in reversed(lines)))
        done = self.call("data", "synthesize", texts, out)
        self.assertIn("1 texts said, 2 there already", done.stderr)
        self.assertEqual({path.name: path.read_bytes() for path in (out.parent / "spoken_media").glob("*.wav")}, first)
        self.assertIn("is there already", self.call("data", "synthesize", texts, out, code=2).stderr)
        other = self.folder / "data" / "german.jsonl"
        self.call("data", "synthesize", texts, other, "--option", "voice=de", "--option", "words_per_minute=120")
        self.assertFalse({path.name for path in (other.parent / "german_media").glob("*.wav")} & set(first))
        for options, words in [(["--option", "voice=klingon-x"], "no voice 'klingon-x'"), (["--option", "voise=de"], "did you mean"), (["--option", "pitch=900"], "pitch"), (["--synthesizer", "nobody"], "nobody")]:
            self.assertIn(words, self.call("data", "synthesize", texts, self.folder / "x.jsonl", *options, code=5 if "nobody" in options else 2).stderr)
        self.assertIn("\\xff_media is not UTF-8", self.call("data", "synthesize", texts, self.folder / "\udcff.jsonl", code=2).stderr)  # JSON cannot hold the name
        self.assertFalse((self.folder / "\udcff_media").exists())
        texts.write_text(json.dumps({"messages": [{"role": "user", "content": "..."}, {"role": "assistant", "content": "?"}]}) + "\n" + json.dumps(lines[0]) + "\n")
        done = self.call("data", "synthesize", texts, self.folder / "data" / "some.jsonl", code=3)
        self.assertIn("1 of 2 samples could not be said", done.stderr)
        self.assertEqual(len(records(self.folder / "data" / "some.jsonl")), 1)

    def test_media_that_nothing_uses_are_counted(self):
        """A record that names one of its media under a key that is none of media keeps it as a tag; that is said."""
        path = self.folder / "data" / "unused.tar"
        picture, words = next((self.folder / "data").glob("*.png")).read_bytes(), [{"role": "user", "content": "What?"}, {"role": "assistant", "content": "That."}]
        with tarfile.open(path, "w") as out:
            for key in ("a", "b"):
                for name, content in [(f"{key}.json", json.dumps({"thumb": "png", "messages": words}).encode()), (f"{key}.png", picture)]:
                    info = tarfile.TarInfo(name)
                    info.size = len(content)
                    out.addfile(info, io.BytesIO(content))
        found = json.loads(self.call("data", "check", path, "--json").stdout)["sources"][0]
        self.assertEqual(found["unread_keys"], {"medium png": 2})
        self.assertIn("nothing reads the key 'medium png', which 2 samples have", self.call("data", "check", path).stdout)

    def test_convert_compares_media(self):
        """Media go byte for byte, and one written wrongly is noticed, though the text about it is the same."""
        data = self.folder / "changing"
        data.mkdir()
        lines = data / "one.jsonl"
        make_tiny.write_set(lines, 2, seed=3, kinds=("image",))
        self.call("data", "convert", lines, data / "same.tar")
        with tarfile.open(data / "same.tar") as archive:
            names = [name for name in archive.getnames() if name.endswith(".png")]
            self.assertEqual([archive.extractfile(name).read() for name in names], [(data / f"one_{i}.png").read_bytes() for i in range(2)])
        again = data / "again.jsonl"
        shim = {**os.environ, "LD_PRELOAD": os.environ["FAULT_SHIM"], "FAULT_BELOW": str(data / "again_media"), "FAULT_CALL": "write", "FAULT_MODE": "flip", "FAULT_AT": "2"}
        done = self.call("data", "convert", data / "same.tar", again, code=3, env=shim)
        self.assertIn("medium 1 of the sample, ", done.stderr)
        self.assertIn("has other bytes than what was written", done.stderr)
        self.assertFalse(again.exists() or (data / "again_media").exists())
        self.call("data", "convert", data / "same.tar", again)
        self.assertEqual([path.read_bytes() for path in sorted((data / "again_media").iterdir())], [(data / f"one_{i}.png").read_bytes() for i in range(2)])


if __name__ == "__main__":
    main()
