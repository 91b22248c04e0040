"""[model] freeze: parameters of trained parts stay as they are, chosen by globs over the whole model; the run says how many, resumes, and
is taken by a second one."""

import json
import re
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from harness import ROOT, Case, checkpoints, losses, main, sets

SHORT = sets(train__steps=4, train__tokens_per_batch=96, train__checkpoint_every=2, train__keep_checkpoints=9)
EXAMPLE = re.search(r"(?s)\[model\]\n(freeze = .*?)\n```", (ROOT / "docs" / "composer.md").read_text())[1]


def kept(run):
    """Names of the parameters in the newest checkpoint."""
    bytes_ = (run / "checkpoints" / checkpoints(run)[0] / "parameters.safetensors").read_bytes()
    return {name for name in json.loads(bytes_[8:8 + int.from_bytes(bytes_[:8], "little")]) if name != "__metadata__"}


class Freeze(Case):
    def write(self, name, freeze="", peft=""):
        """The language model, the image encoder and the connectors are trained."""
        text = re.sub(r"(?s)\[\[model\.llm\.peft\]\].*?\n\n", peft, self.config.read_text())
        text = text.replace("trainable = false", f"trainable = {'false' if peft else 'true'}").replace('plugin = "dinov2"', 'plugin = "dinov2", trainable = true')
        path = self.folder / f"{name}.toml"
        path.write_text(f"[model]\n{freeze}\n{text}")
        return path

    def test_the_example_of_the_page(self):
        file, run = self.write("page", EXAMPLE), self.folder / "page"
        said = self.train(run, *SHORT, config=file).stderr
        self.assertRegex(said, r"llm: 1 of 21 trained parameters are frozen, .* values \(model\.freeze\)")
        self.assertRegex(said, r"streams\.image\.encoder: \d+ of \d+ trained parameters are frozen, .* values \(model\.freeze\)")
        all_, some = self.folder / "all", kept(run)
        self.train(all_, *SHORT, config=self.write("all"))
        self.assertEqual(kept(all_) - some, {name for name in kept(all_) if name == "llm/embed_tokens" or name.startswith("streams.image.encoder/layers.")})
        self.assertTrue(some < kept(all_))

    def test_resumed_and_taken_by_a_second_run(self):
        file, whole, run = self.write("resumed", EXAMPLE), self.folder / "whole", self.folder / "resumed"
        self.train(whole, *SHORT, config=file)
        self.train(run, *SHORT, *sets(train__stop_after_minutes=1e-6), config=file, code=75)
        self.train(run, *SHORT, "--resume", config=file)
        self.assert_same_run(whole, run)
        second = self.write("second", 'freeze = ["llm/layers.*"]')
        second.write_text(second.read_text().replace(f'weights = "{self.folder}/models/llama"', f'weights = "{whole}"'))
        said = self.train(self.folder / "second", *SHORT, config=second).stderr
        layers = {name for name in kept(run) if name.startswith("llm/layers.")}
        self.assertIn(f"llm: {len(layers)} of 21 trained parameters are frozen", said)
        self.assertTrue(layers)
        self.assertEqual(kept(self.folder / "second") & layers, set())

    def test_the_same_as_training_the_rest_alone(self):
        """Of the language model, beside what the method `selective` makes of it."""
        some = '[[model.llm.peft]]\nplugin = "selective"\ntargets = ["*"]\nexclude = ["model.embed_tokens", "model.layers.0.*"]\n\n'
        everything = '[[model.llm.peft]]\nplugin = "selective"\ntargets = ["*"]\n\n'
        self.train(self.folder / "some", *SHORT, config=self.write("some", peft=some))
        self.train(self.folder / "rest", *SHORT, config=self.write("rest", 'freeze = ["llm/embed_tokens", "llm/layers.0.*"]', everything))
        self.assertEqual(kept(self.folder / "some"), kept(self.folder / "rest"))
        self.assertEqual(losses(self.folder / "some"), losses(self.folder / "rest"))
        self.assertIn("checked", self.call("export", self.folder / "rest", "--output", self.folder / "written", "--check").stderr)

    def test_what_matches_nothing_is_refused(self):
        for freeze, words in [('["llm/no_such"]', "model.freeze[0]: 'llm/no_such' matches no parameter of a part that is trained"), ('["llm/embed_tokens", "streams.audio.encoder/*"]', "model.freeze[1]"),
                              ('["llm/*"]', "set trainable = false of [model.llm]")]:
            self.assertIn(words, self.call("validate", self.write("refused", f"freeze = {freeze}"), code=2).stderr)


if __name__ == "__main__":
    main()
