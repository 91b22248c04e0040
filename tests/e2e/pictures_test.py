"""Gemma 3, Mistral Small 3, InternVL, NVILA and SmolVLM2 directories as a newcomer uses them, in the form in which they are published: they answer, a
chat goes on from its pictures, a sample is the same among others and alone, LoRA trains them, and what goes out answers
as the run does."""
import json
import unittest

from harness import ROOT, Case, main, records, sets
import make_tiny


class Pictures:
    """For one family: how its tiny directory is written, its model_type, where LoRA goes, and how many tensors a run changes."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.source = cls.folder / "models" / "source"
        cls.write(cls.source)
        cls.data = cls.folder / "data" / "pictures.jsonl"
        make_tiny.write_set(cls.data, 12, seed=31, kinds=("image",))
        cls.picture = next((cls.folder / "data").rglob("*.png"))

    def composed(self, name, text):
        path = self.folder / f"{name}.toml"
        path.write_text(text)
        return path

    def answer(self, config):
        return self.call("generate", config, "--image", self.picture, "--image", self.picture, "What is this?", "--set", "generate.max_tokens=12").stdout

    def losses(self, name, *args):
        """The loss of each sample."""
        data = f'[data]\nfeature_cache = ""\neval.held.sources = [{{ path = "{self.data}" }}]\n'
        config, output = self.composed(name, f'[model]\nfrom = "{self.source}"\n{data}'), self.folder / f"{name}_eval"
        self.call("eval", config, "--output", output, *sets(eval__controls="[]", eval__generate="false", precision__compute="fp32"), *args)
        return {record["id"]: record["loss"] for record in records(output / "predictions.jsonl")}

    def test_compose_prints_what_from_stands_for(self):
        short, long = self.composed("short", f'[model]\nfrom = "{self.source}"\n'), self.composed("long", self.call("compose", self.source).stdout)
        resolved = [self.call("validate", "--resolved", path).stdout for path in (short, long)]
        self.assertEqual(*resolved)
        self.assertEqual(self.answer(short), self.answer(long))
        self.assertNotEqual(self.answer(short).strip(), "")

    def test_a_chat_goes_on_from_its_pictures(self):
        said = self.folder / "said.jsonl"
        config = self.composed("chat", f'[model]\nfrom = "{self.source}"\n')
        talked = self.call("chat", config, "--history", "", *sets(generate__max_tokens=12), input=f"/image {self.picture}\n/image {self.picture}\nWhat is this?\nAnd now?\n/save {said}\n").stdout
        self.assertTrue(talked.startswith(self.answer(config)))
        turns = records(said)[0]["messages"]
        self.assertEqual([turn["role"] for turn in turns], ["user", "assistant"] * 2)
        self.assertEqual(turns[0]["content"], [*[{"type": "image", "image": str(self.picture)}] * 2, {"type": "text", "text": "What is this?"}])
        # The session's second answer is that to the whole conversation, read at once.
        self.call("eval", self.source, "--output", self.folder / "said_eval", *sets(eval__max_tokens=12, eval__controls="[]", data__feature_cache='""', data__eval__held__sources=f'[{{path="{said}"}}]'))
        read = records(self.folder / "said_eval" / "predictions.jsonl")[0]
        self.assertEqual(read["predicted"], turns[3]["content"][0]["text"])

    def test_a_sample_is_the_same_packed_and_alone(self):
        packed, alone = self.losses("packed", *sets(eval__batch_size=12)), self.losses("alone", *sets(eval__batch_size=1))
        self.assertEqual(len(packed), 12)
        for sample, loss in packed.items():
            self.assertAlmostEqual(loss, alone[sample], delta=1e-5 * loss)

    def test_trained_and_exported(self):
        more = f'[data]\nfeature_cache = ""\n[[data.train.sources]]\npath = "{self.data}"\n[train]\nsteps = 2\ntokens_per_batch = 512\n[precision]\ncompute = "fp32"\n'
        peft = 'llm.peft = [{ plugin = "lora", rank = 2, targets = ["q_proj"] }]\nstreams.image.encoder.peft = [{ plugin = "lora", rank = 2, targets = ["q_proj"] }]\n'
        config = self.composed("train", f'[model]\nfrom = "{self.source}"\n{peft}{more}')
        run, out = self.folder / "run", self.folder / "out"
        self.train(run, config=config)
        done = self.call("export", run, "--output", out, "--check")
        self.assertNotIn("by the directory", done.stderr)
        self.assertRegex(done.stderr, rf"out: (\d+) tensors, {self.changed} of them changed")
        self.assertEqual(json.loads((out / "config.json").read_text())["model_type"], self.model_type)
        again = self.composed("again", f'[model]\nfrom = "{out}"\n')
        self.assertEqual(self.answer(again), self.answer(run))


class Gemma3(Pictures, Case):
    def test_two_streams_are_checked(self):
        """Pictures and sounds stand in the probe one after the other, each of which sees itself."""
        audio = f'streams.audio = {{ encoder = {{ plugin = "whisper", weights = "{self.folder}/models/whisper" }}, connector = {{ plugin = "mlp" }} }}\n'
        more = f'[data]\nfeature_cache = ""\n[[data.train.sources]]\npath = "{self.data}"\n[train]\nsteps = 1\ntokens_per_batch = 512\n[precision]\ncompute = "fp32"\n'
        run = self.folder / "both"
        self.train(run, config=self.composed("both", f'[model]\nfrom = "{self.source}"\n{audio}{more}'))
        self.assertIn("checked: of ", self.call("export", run, "--output", self.folder / "both_out", "--check").stderr)

    def test_that_pictures_are_read_in_order_is_told(self):
        config = self.composed("causal", f'[model]\nfrom = "{self.source}"\nllm.media_see_all = false\n')
        done = self.call("export", config, "--output", self.folder / "causal_out")
        self.assertIn("causal_out: model.llm.media_see_all = false, and true by the directory: give what loads it the same", done.stderr)

    model_type, changed = "gemma3", 6  # q_proj of two layers each, the projector's norm and matrix
    write = staticmethod(make_tiny.write_gemma3)


class Mistral3(Pictures, Case):
    model_type, changed = "mistral3", 8  # q_proj of two layers each, the projector's norm and three layers
    write = staticmethod(make_tiny.write_mistral3)


class InternVl(Pictures, Case):
    model_type, changed = "internvl", 10  # q_proj of two layers each, the projector's norm and two layers with their biases
    write = staticmethod(make_tiny.write_internvl)


class Vila(Pictures, Case):
    model_type, changed = "llava_llama", 9  # the same, in folders; of the tower one layer is used
    write = staticmethod(make_tiny.write_vila)


class SmolVlm(Pictures, Case):
    model_type, changed = "smolvlm", 5  # q_proj of two layers each, the projector's matrix
    write = staticmethod(make_tiny.write_smolvlm)

    def test_videos_and_how_pictures_are_cut(self):
        """A video costs a frame a second, a picture its tiles and the whole; options change both."""
        config = self.composed("cut", f'[model]\nfrom = "{self.source}"\n')
        ask = lambda what, file, *args: self.call("generate", config, what, file, "What is this?", *sets(generate__max_tokens=12, **dict(args))).stdout
        clip = ROOT / "tests" / "media" / "clip.mp4"
        whole = ("model__streams__image__encoder__split", "false")
        self.assertNotEqual(ask("--image", self.picture), ask("--image", self.picture, whole))
        self.assertEqual(ask("--video", clip), ask("--video", clip, whole), "frames are never cut")
        self.assertNotEqual(ask("--video", clip), ask("--video", clip, ("model__streams__image__encoder__video_fps", "4")))


if __name__ == "__main__":
    main()
