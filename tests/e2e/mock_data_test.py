"""Samples that no file holds: what docs/data.md says of the source mock, trained on, resumed, planned and checked."""

import json
import re
import shutil
import unittest
import wave

from harness import ROOT, Case, checkpoints, losses, main, records, sets

PAGE = (ROOT / "docs" / "data.md").read_text()
EXAMPLE = re.search(r"(?s)```toml\n(.*?)```", next(part for part in re.split(r"(?m)^## ", PAGE) if part.startswith("Samples without data")))[1]
SHORT = sets(train__steps=6, train__checkpoint_every=3, train__tokens_per_batch=768, train__accumulate=2)


class Mock(Case):
    def command(self, verb, *args, threads=1):
        return super().command(verb, *args, threads=None if (verb, *args[:1]) == ("data", "convert") or verb == "plan" else threads)

    def extended(self, text, name="mock.toml"):
        path = self.folder / name
        path.write_text(f'extends = "{self.config}"\n{text}')
        return path

    def source(self, path="mock", **options):
        values = ", ".join(f"{key} = {value}" for key, value in options.items())
        return self.extended(f'[[data.train.sources]]\npath = "{path}"\nsource = "mock"\nsource_options = {{ {values} }}\n')

    def test_the_example_of_the_page(self):
        file, run = self.extended(EXAMPLE), self.folder / "run"
        self.call("validate", file)
        done = self.call("train", file, *SHORT, *sets(train__output=run))
        self.assertIn("mock: 256 records, read by mock as messages", done.stderr)
        for step in records(run / "metrics.jsonl"):
            self.assertGreater(step["train/samples"], 2)
            for stream in ("image", "audio"):
                self.assertEqual(step[f"media/{stream}"], step["train/samples"])
            self.assertEqual(step["train/bad_samples"], 0)
        again = self.folder / "again"
        self.call("train", file, *SHORT, *sets(train__output=again, data__threads=4, data__prefetch=1))
        self.assert_same_run(run, again)
        shutil.rmtree(again / "checkpoints" / checkpoints(again)[0])
        self.call("train", file, "--resume", *SHORT, *sets(train__output=again))
        self.assert_same_run(run, again)
        other = EXAMPLE.replace("seconds = 1.5", "seconds = 1.5, seed = 1")
        done = self.call("train", self.extended(other, "other.toml"), "--resume", *SHORT, *sets(train__output=again, train__steps=8), code=4)
        self.assertIn("the data is not what the run was trained on", done.stderr)
        plan = json.loads(self.call("plan", file, "--gpus", 2, "--json", *SHORT).stdout)
        self.assertGreater(plan["processes"][0]["trained"], 0)

    def test_sizes(self):
        """Of words, pictures and sounds; read by other programs, too."""
        file = self.source("two.mock", samples=5, question_words=3, answer_words=7, pictures=2, width=20, height=9, seconds=0.25)
        found = json.loads(self.call("data", "check", file, "--json").stdout)["sources"][0]
        self.assertEqual((found["samples"], found["bad"]), (5, 0))
        spread = json.loads(self.call("data", "stats", file, "--json").stdout)["sources"][0]
        self.assertEqual([spread[key]["mean"] for key in ("width", "height", "seconds")], [20, 9, 0.25])
        found = self.written(file, "written.jsonl")
        self.assertEqual(len(found), 5)
        for record in found:
            *media, text = record["messages"][0]["content"]
            self.assertEqual([part["type"] for part in media], ["image", "image", "audio"])
            self.assertEqual([len(words.split()) for words in (text["text"], record["messages"][1]["content"])], [3, 7])
            with wave.open(str(self.folder / media[2]["audio"])) as sound:
                self.assertEqual((sound.getframerate(), sound.getnframes(), sound.getnchannels()), (16000, 4000, 1))
        from PIL import Image
        pixels = {Image.open(self.folder / part["image"]).convert("RGB").tobytes() for record in found for part in record["messages"][0]["content"][:2]}
        self.assertEqual(len(pixels), 10, "no two pictures are the same")
        self.assertEqual({len(one) for one in pixels}, {20 * 9 * 3})

    def written(self, file, name):
        """As JSON lines."""
        self.call("data", "convert", file, self.folder / name)
        return records(self.folder / name)

    def test_a_sample_follows_from_its_seed(self):
        texts = [[record["messages"] for record in self.written(self.source(samples=samples, seed=seed), f"{seed}_{samples}.jsonl")] for samples, seed in ((6, 0), (4, 0), (6, 1))]
        self.assertEqual(texts[0][:4], texts[1])
        self.assertTrue(all(left != right for left, right in zip(texts[0], texts[2], strict=True)))

    def test_found_by_its_name(self):
        file = self.extended('[[data.train.sources]]\npath = "mock"\n')
        run = self.folder / "named"
        self.call("train", file, *SHORT, *sets(train__output=run, train__steps=1))
        self.assertEqual(list(losses(run)), [1])

    def test_refused(self):
        for path in (self.folder / "data" / "train.jsonl", "nowhere.jsonl", ""):
            done = self.call("data", "check", self.source(path, samples=2), code=3)
            self.assertIn(f"""expected path = "mock", or another name that ends in .mock, and no file or folder of that name, got '{path}'""", done.stdout + done.stderr)
        (self.folder / "full.mock").write_text("words\n")
        done = self.train(self.folder / "refused", config=self.source(self.folder / "full.mock", samples=2), code=3)
        self.assertIn("no file or folder of that name", done.stderr)
        done = self.train(self.folder / "refused", config=self.source(picture=2), code=2)
        self.assertIn("pictures", done.stderr)
        self.assertIn("samples", self.train(self.folder / "refused", config=self.source(samples=0), code=2).stderr)


if __name__ == "__main__":
    main()
