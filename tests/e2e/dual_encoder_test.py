"""Dual encoders as a user trains them: out of a CLIP or SigLIP directory, measured by retrieval, classes and a probe, and
written as a directory in which transformers finds the same numbers."""
import json
import shutil
import subprocess

from harness import Case, losses, main, records, sets
import tiny_dual

CONFIG = """[model]
from = "{model}"

[objective]
plugin = "{objective}"

[[data.train.sources]]
path = "{data}"

[[data.eval.held.sources]]
path = "{data}"

[data]
feature_cache = ""

[train]
steps = 80
tokens_per_batch = {tokens}
checkpoint_every = 80
optimizer.lr = 3e-3

[precision]
compute = "fp32"
"""


class DualEncoder(Case):
    OBJECTIVE, LENGTH = "contrastive", 15  # tokens of a pair

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.model, cls.data = cls.folder / "models" / "dual", cls.folder / "data" / "pairs.jsonl"
        cls.write(cls.model)
        cls.rows = tiny_dual.write_pairs(cls.data)
        cls.dual = cls.folder / "dual.toml"
        cls.dual.write_text(CONFIG.format(model=cls.model, data=cls.data, objective=cls.OBJECTIVE, tokens=27 * cls.LENGTH))

    @staticmethod
    def write(folder):
        tiny_dual.write_clip_model(folder)

    def measured(self, file, name, *args):
        output = self.folder / f"{name}_eval"
        self.call("eval", file, "--output", output, *sets(precision__compute="fp32"), *args)
        return json.loads((output / "results.json").read_text())[0]["tasks"]["all"]["conditions"]

    def whole_steps(self, name, *args, steps=4):
        """Steps of all 27 pairs."""
        run = self.folder / name
        self.train(run, *sets(train__steps=steps, train__checkpoint_every=steps), *args, config=self.dual)
        return run

    def reference(self, folder):
        """Logits of transformers, pictures by texts."""
        import torch
        from PIL import Image
        from transformers import AutoModel, AutoTokenizer, SiglipImageProcessorPil

        model, report = AutoModel.from_pretrained(folder, output_loading_info=True)
        self.assertFalse(report["missing_keys"] or report["unexpected_keys"], report)
        tokenizer, processor = AutoTokenizer.from_pretrained(folder), SiglipImageProcessorPil.from_pretrained(folder)
        pictures = [Image.open(self.data.parent / row["messages"][0]["content"][0]["image"]) for row in self.rows]
        ids = tokenizer([row["messages"][1]["content"] for row in self.rows], padding="max_length", max_length=tiny_dual.LONGEST, return_tensors="pt").input_ids
        with torch.no_grad():
            return model.eval()(input_ids=ids, pixel_values=processor(pictures, return_tensors="pt")["pixel_values"]).logits_per_image

    def zero_shot(self, data, templates):
        """Share of the pictures whose own class has the largest product, by transformers' vectors."""
        import torch
        from PIL import Image
        from transformers import AutoModel, AutoTokenizer, SiglipImageProcessorPil

        model, tokenizer, processor = AutoModel.from_pretrained(self.model).eval(), AutoTokenizer.from_pretrained(self.model), SiglipImageProcessorPil.from_pretrained(self.model)
        rows = records(data)
        classes = list(dict.fromkeys(row["messages"][1]["content"] for row in rows))
        pictures = [Image.open(data.parent / row["messages"][0]["content"][0]["image"]) for row in rows]
        direction = lambda x: x / x.norm(dim=-1, keepdim=True)
        with torch.no_grad():
            x = direction(self.vectors(model.get_image_features(pixel_values=processor(pictures, return_tensors="pt")["pixel_values"])))
            texts = [tokenizer([one.replace("{}", name) for one in templates], padding="max_length", max_length=tiny_dual.LONGEST, return_tensors="pt").input_ids for name in classes]
            y = torch.stack([direction(direction(self.vectors(model.get_text_features(input_ids=ids))).mean(0)) for ids in texts])
        right = torch.tensor([classes.index(row["messages"][1]["content"]) for row in rows])
        return float(((x @ y.T).argmax(1) == right).float().mean())

    @staticmethod
    def vectors(features):
        return getattr(features, "pooler_output", features)

    def loss_of(self, logits):
        import torch.nn.functional as F
        from torch import arange

        return float(F.cross_entropy(logits, arange(27)) + F.cross_entropy(logits.T, arange(27))) / 2

    def test_learns_and_goes_out(self):
        import torch

        run = self.folder / "run"
        said = self.train(run, config=self.dual).stderr
        self.assertRegex(said, r"head \(pair\): .* trained")
        self.assertLess(losses(run)[80], 0.5 * losses(run)[1])
        right, shuffled = (self.measured(run, "run")[name] for name in ("right", "shuffled"))
        self.assertGreater(right["media_to_text/recall_at_1"]["mean"], 0.8)
        self.assertGreater(right["text_to_media/recall_at_1"]["mean"], 0.8)
        self.assertLess(shuffled["media_to_text/recall_at_1"]["mean"], 0.3)
        self.assertGreaterEqual(right["media_to_text/recall_at_5"]["mean"], right["media_to_text/recall_at_1"]["mean"])
        out = self.folder / "out"
        said = self.call("export", run, "--output", out, "--check").stderr
        self.assertIn("checked", said)
        logits = self.reference(out)
        self.assertAlmostEqual(self.loss_of(logits), right["loss"]["mean"], delta=1e-4)
        self.assertAlmostEqual(float((logits.argmax(1) == torch.arange(27)).float().mean()), right["media_to_text/recall_at_1"]["mean"])
        again = self.measured(self.dual, "out", *sets(model__from=out, eval__controls="[]"))["right"]
        self.assertAlmostEqual(again["loss"]["mean"], right["loss"]["mean"], delta=1e-5)
        for verb, args in [("generate", ["What?"]), ("chat", [])]:
            self.assertIn("writes no answers", self.call(verb, run, *args, code=2, input="").stderr)

    def test_the_directory_as_transformers_has_it(self):
        right = self.measured(self.dual, "plain", *sets(eval__controls="[]"))["right"]
        self.assertAlmostEqual(self.loss_of(self.reference(self.model)), right["loss"]["mean"], delta=1e-4)

    def test_a_text_ends_with_the_token_that_the_tower_looks_for(self):
        """CLIP's vector is that of eos_token_id, or of the largest id for 2, as early files have it; SigLIP's that of the last token."""
        config, other = json.loads((self.model / "config.json").read_text()), self.folder / "ends"
        shutil.copytree(self.model, other)
        for token, code in ((2, 0), (0, 4 if self.OBJECTIVE == "contrastive" else 0)):
            (other / "config.json").write_text(json.dumps({**config, "text_config": {**config["text_config"], "eos_token_id": token}}))
            done = self.call("eval", self.dual, "--output", self.folder / f"ends_{token}", *sets(model__from=other, eval__controls="[]"), code=code)
            self.assertEqual("the tokenizer ends texts with" in done.stderr, code == 4)
            known = self.call("validate", self.dual, *sets(model__from=other), code=code)
            self.assertEqual("the tokenizer ends texts with" in known.stderr, code == 4)
        (other / "tokenizer.json").unlink()
        self.call("validate", self.dual, *sets(model__from=other))  # which is not there yet

    def test_batches_of_a_step_are_one(self):
        """All 27 pairs in one batch, and in nine: the same losses and values, but for rounding."""
        from safetensors.numpy import load_file

        options = sets(train__optimizer__eps=1e-4, train__schedule__warmup_steps=0)
        one, nine = self.whole_steps("one", *options), self.whole_steps("nine", *options, *sets(train__tokens_per_batch=3 * self.LENGTH, train__accumulate=9))
        for run in (one, nine):
            self.assertEqual([r["train/samples"] for r in records(run / "metrics.jsonl")], 4 * [27])
        for step, loss in losses(one).items():
            self.assertAlmostEqual(losses(nine)[step], loss, delta=1e-4 * loss)
        for left, right in zip(records(one / "metrics.jsonl"), records(nine / "metrics.jsonl"), strict=True):
            self.assertAlmostEqual(left["train/media_to_text/accuracy"], right["train/media_to_text/accuracy"], delta=1e-6)
            self.assertAlmostEqual(left["train/gradient_norm"], right["train/gradient_norm"], delta=1e-3 * left["train/gradient_norm"])
        values = [load_file(next((run / "checkpoints" / "step_4").glob("parameters*.safetensors"))) for run in (one, nine)]
        self.assertEqual(values[0].keys(), values[1].keys())
        for name, value in values[0].items():
            self.assertLess(abs(values[1][name] - value).max(), 1e-4, name)

    def test_two_passes_draw_the_same(self):
        """A frozen tower and adapters with dropout: the program ends if the second pass over a batch gives other vectors."""
        lora = 'model.llm.peft=[{ plugin = "lora", rank = 4, targets = ["all-linear"], dropout = 0.5 }]'
        options = ["--set", lora, *sets(model__llm__trainable="false", model__streams__image__encoder__trainable="false")]
        run = self.whole_steps("dropout", *options, *sets(train__tokens_per_batch=3 * self.LENGTH, train__accumulate=9))
        plain = self.whole_steps("no_dropout", *[word.replace("0.5", "0.0") for word in options], *sets(train__tokens_per_batch=3 * self.LENGTH, train__accumulate=9))
        self.assertEqual(losses(run)[1], losses(plain)[1])  # adapters begin as nothing
        self.assertNotEqual(losses(run)[3], losses(plain)[3])

    def test_recompute_and_resume(self):
        constant = sets(train__schedule__name='"constant"')
        whole = self.whole_steps("plain_run", *constant)
        again = self.whole_steps("recomputed", *constant, *sets(train__recompute='"full"'))
        self.assertEqual(losses(whole), losses(again))
        half = self.whole_steps("half", *constant, steps=2)
        self.train(half, "--resume", *constant, *sets(train__steps=4, train__checkpoint_every=4), config=self.dual)
        self.assertAlmostEqual(losses(half)[4], losses(whole)[4], delta=1e-6)

    def test_classes(self):
        """Zero-shot by templates and a linear probe on what the towers know."""
        named = self.folder / "data" / "named.jsonl"
        tiny_dual.write_pairs(named, names=["night", "noon", "dusk"])
        sources = ["--set", f'data.eval.held.sources=[{{path="{named}"}}]', "--set", f'data.eval.learn.sources=[{{path="{named}"}}]']
        right = self.measured(self.dual, "classes", *sources, *sets(eval__controls="[]", eval__templates='["a {}.", "the {}"]', eval__probe="learn", eval__probe_inverse_l2=1e6))["right"]
        self.assertAlmostEqual(right["zero_shot/accuracy"]["mean"], self.zero_shot(named, ["a {}.", "the {}"]), delta=1e-6)
        self.assertNotIn("zero_shot/top_5", right)
        self.assertGreater(right["probe/accuracy"]["mean"], 0.5)
        self.assertIn("not a set of [data.eval]", self.call("eval", self.dual, "--output", self.folder / "x", *sets(eval__probe="nowhere"), code=2).stderr)
        long = self.call("eval", self.dual, "--output", self.folder / "long", *sources, *sets(precision__compute="fp32", eval__controls="[]", eval__templates='["a very very long template {}"]'))
        self.assertIn("too long for some of eval.templates", long.stderr)
        self.assertIn("has no {}", self.call("eval", self.dual, "--output", self.folder / "y", *sets(eval__templates='["a photo"]'), code=2).stderr)

    def test_held_out_while_it_trains(self):
        run = self.whole_steps("held", *sets(train__eval_every=2))
        held = {r["step"]: r["eval/held/loss"] for r in records(run / "metrics.jsonl") if "eval/held/loss" in r}
        self.assertEqual(set(held), {2, 4})
        self.assertAlmostEqual(held[4], self.measured(run, "held", *sets(eval__controls="[]"))["right"]["loss"]["mean"], delta=1e-5)

    def test_what_is_wrong(self):
        wrong = self.folder / "data" / "wrong.jsonl"
        two = {**self.rows[0], "messages": [{"role": "user", "content": 2 * self.rows[0]["messages"][0]["content"]}, self.rows[0]["messages"][1]]}
        none = {**self.rows[0], "messages": [{"role": "user", "content": "What?"}, self.rows[0]["messages"][1]]}
        long = {**self.rows[0], "messages": [self.rows[0]["messages"][0], {"role": "assistant", "content": "a b " * 40}]}
        for row, word in ((two, "has 2 media"), (none, "has 0 media"), (long, "tokens; at most")):
            wrong.write_text(json.dumps(row) + "\n")
            self.assertIn(word, self.failing(wrong))
        self.assertIn("knows nothing of pairs", self.call("train", self.dual, *sets(objective__plugin='"sft"', train__output=self.folder / "sft"), code=2).stderr)

    def failing(self, data):
        done = subprocess.run(self.command("eval", self.dual, "--output", self.folder / "wrong", *sets(eval__controls="[]"), "--set", f'data.eval.held.sources=[{{path="{data}"}}]'), capture_output=True, text=True, timeout=60)
        self.assertNotEqual(done.returncode, 0)
        return done.stderr

    def test_plan_and_validate(self):
        self.assertRegex(self.call("validate", self.dual).stdout, r"head +pair")
        self.assertIn("1 processes", self.call("plan", self.dual, threads=None).stdout)


class Sigmoid(DualEncoder):
    OBJECTIVE, LENGTH = "sigmoid_pairs", 25  # with padding

    @staticmethod
    def write(folder):
        tiny_dual.write_siglip_model(folder)

    def loss_of(self, logits):
        import torch
        import torch.nn.functional as F

        return float(-F.logsigmoid((2 * torch.eye(27) - 1) * logits).sum(-1).mean())


if __name__ == "__main__":
    main()
