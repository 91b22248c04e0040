"""Qwen2.5-VL and Qwen3-VL directories as a newcomer uses them, as they were published: they answer without a TOML file, about
pictures and videos, a sample is the same among others and alone, LoRA trains them, and what goes out answers as the run does."""
import json
import shutil
import unittest

from harness import Case, ROOT, main, records, sets
import make_tiny

CLIP = ROOT / "tests" / "media" / "clip.mp4"


class Grid(Case):
    FAMILY, CHANGED = "qwen2_5_vl", 9  # q_proj and qkv of two layers each, five of the merger

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.qwen = cls.folder / "models" / "qwen"
        getattr(make_tiny, f"write_{cls.FAMILY}")(cls.qwen)
        cls.data = cls.folder / "data" / "pictures.jsonl"
        make_tiny.write_set(cls.data, 12, seed=31, kinds=("image",))
        cls.picture = next((cls.folder / "data").rglob("*.png"))
        for i in range(2):
            turns = [{"role": "user", "content": [{"type": "text", "text": "First "}, {"type": "video", "video": str(CLIP)}, {"type": "text", "text": "What colour?"}]}, {"role": "assistant", "content": f"red {i}"}]
            with cls.data.open("a") as file:
                file.write(json.dumps({"id": f"video-{i}", "messages": turns}) + "\n")

    def composed(self, name, text):
        path = self.folder / f"{name}.toml"
        path.write_text(text)
        return path

    def answer(self, config, *media):
        return self.call("generate", config, *(media or ("--image", self.picture, "--image", self.picture)), "What is this?", *sets(generate__max_tokens=12, precision__compute="fp32")).stdout

    def losses(self, name, *args):
        """The loss of each sample."""
        data = f'[data]\nfeature_cache = ""\neval.held.sources = [{{ path = "{self.data}" }}]\n'
        config, output = self.composed(name, f'[model]\nfrom = "{self.qwen}"\n{data}'), self.folder / f"{name}_eval"
        self.call("eval", config, "--output", output, *sets(eval__controls="[]", eval__generate="false", precision__compute="fp32"), *args)
        return {record["id"]: record["loss"] for record in records(output / "predictions.jsonl")}

    def test_compose_prints_what_from_stands_for(self):
        short, long = self.composed("short", f'[model]\nfrom = "{self.qwen}"\n'), self.composed("long", self.call("compose", self.qwen).stdout)
        self.assertEqual(self.call("validate", "--resolved", short).stdout.replace(str(self.qwen), "Q"), self.call("validate", "--resolved", long).stdout.replace(str(self.qwen), "Q"))
        self.assertEqual(self.answer(short), self.answer(long))
        self.assertNotEqual(self.answer(short).strip(), "")

    def test_a_directory_is_enough(self):
        short = self.composed("file", f'[model]\nfrom = "{self.qwen}"\n')
        for media in ([], ["--video", CLIP], ["--video", CLIP, "--image", self.picture]):
            self.assertEqual(self.answer(self.qwen, *media), self.answer(short, *media))
        talked = self.call("chat", self.qwen, "--history", "", *sets(generate__max_tokens=12, precision__compute="fp32"), input=f"/video {CLIP}\nWhat is this?\nAnd now?\n/save {self.folder}/said.jsonl\n")
        self.assertTrue(talked.stdout.startswith(self.answer(self.qwen, "--video", CLIP)))
        said = records(self.folder / "said.jsonl")[0]["messages"]
        self.assertEqual(said[0]["content"], [{"type": "video", "video": str(CLIP)}, {"type": "text", "text": "What is this?"}])
        self.call("eval", self.qwen, "--output", self.folder / "said_eval", *sets(eval__max_tokens=2, eval__controls="[]", data__feature_cache='""', data__eval__held__sources=f'[{{path="{self.folder}/said.jsonl"}}]'))
        self.assertIn("no config.toml", self.call("generate", self.folder / "data", "What?", code=2).stderr)

    def test_what_is_taken_of_a_video(self):
        """Frames that are asked for are those that the encoder would choose if its options said so."""
        options = "model.streams.image.encoder.video_"
        for asked, own in (("frames_per_second=2", None), ("frames_per_second=8", "fps=8"), ("frames=2", "frames=2")):
            as_option = ["--set", options + own] if own else []
            self.assertEqual(self.answer(self.qwen, "--video", CLIP, "--set", f"data.video.{asked}"), self.answer(self.qwen, "--video", CLIP, *as_option), asked)

    def test_a_sample_is_the_same_packed_and_alone(self):
        packed, alone = self.losses("packed", *sets(eval__batch_size=14)), self.losses("alone", *sets(eval__batch_size=1))
        self.assertEqual(len(packed), 14)
        for sample, loss in packed.items():
            self.assertAlmostEqual(loss, alone[sample], delta=1e-5 * loss)

    def test_features_that_are_kept_are_those_that_are_made(self):
        made, kept = self.losses("made"), sets(data__feature_cache=self.folder / "features")
        first = self.losses("first", *kept)
        self.assertTrue(list((self.folder / "features").rglob("*.safetensors")))
        self.assertEqual(self.losses("second", *kept), first)
        for sample, loss in first.items():  # what is kept was encoded alone
            self.assertAlmostEqual(loss, made[sample], delta=1e-5 * loss)

    def test_trained_and_exported(self):
        more = f'[data]\nfeature_cache = ""\n[[data.train.sources]]\npath = "{self.data}"\n[train]\nsteps = 3\ntokens_per_batch = 512\n[precision]\ncompute = "fp32"\n'
        peft = 'llm.peft = [{ plugin = "lora", rank = 2, targets = ["q_proj"] }]\nstreams.image.encoder.peft = [{ plugin = "lora", rank = 2, targets = ["qkv"] }]\n'
        config = self.composed("train", f'[model]\nfrom = "{self.qwen}"\n{peft}{more}')
        run, out = self.folder / "run", self.folder / "out"
        done = self.train(run, config=config)
        self.assertIn("0 samples skipped", done.stderr)
        done = self.call("export", run, "--output", out, "--check")
        self.assertRegex(done.stderr, rf"out: (\d+) tensors, {self.CHANGED} of them changed")
        self.assertIn("checked: of ", done.stderr)
        self.assertNotIn("by the directory", done.stderr)
        self.assertEqual(json.loads((out / "config.json").read_text())["model_type"], self.FAMILY)
        for media in ([], ["--video", CLIP]):
            self.assertEqual(self.answer(out, *media), self.answer(run, *media))

    def test_what_the_directory_does_not_say(self):
        """A tower of another directory brings what that says of pictures and videos; options of one's own are told."""
        other = self.folder / "models" / "other"
        shutil.copytree(self.qwen, other)
        for name in ("preprocessor_config.json", "video_preprocessor_config.json"):
            if (other / name).exists():
                settings = json.loads((other / name).read_text())
                (settings["size"] if "size" in settings else settings)["longest_edge" if "size" in settings else "max_pixels"] = 30000
                (other / name).write_text(json.dumps(settings))
        out = self.folder / "swapped_out"
        done = self.call("export", self.composed("swapped", f'[model]\nfrom = "{self.qwen}"\nstreams.image.encoder.weights = "{other}"\n'), "--output", out)
        for name in ("preprocessor_config.json", "video_preprocessor_config.json"):
            self.assertEqual((out / name).exists(), (other / name).exists())
            if (out / name).exists():
                self.assertEqual(json.loads((out / name).read_text()), json.loads((other / name).read_text()))
        self.assertNotIn("by the directory", done.stderr)
        done = self.call("export", self.composed("own", f'[model]\nfrom = "{self.qwen}"\nstreams.image.encoder.max_pixels = 12345\n'), "--output", self.folder / "own_out")
        self.assertIn("model.streams.image.encoder.max_pixels = 12345, and 20000 by the directory", done.stderr)
        self.assertEqual(done.stderr.count("by the directory"), 1)

    def test_blocks_that_are_computed_again(self):
        """Whatever is added between them keeps its gradient."""
        more = f'llm.trainable = true\nstreams.image.encoder.trainable = true\n[data]\nfeature_cache = ""\n[[data.train.sources]]\npath = "{self.data}"\n[train]\nsteps = 3\ntokens_per_batch = 512\n[precision]\ncompute = "fp32"\n'
        config = self.composed("again", f'[model]\nfrom = "{self.qwen}"\n{more}')
        runs = [self.folder / f"recompute_{recompute}" for recompute in ("none", "full")]
        for run in runs:
            self.train(run, *sets(train__recompute=run.name.removeprefix("recompute_")), config=config)
        self.assert_same_run(*runs)


class Grid3(Grid):
    FAMILY, CHANGED = "qwen3_vl", 16  # the mergers have twelve


if __name__ == "__main__":
    main()
