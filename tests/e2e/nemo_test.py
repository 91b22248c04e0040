"""A .nemo archive of Canary or SALM as an encoder: what of it is read, and which modules are not, is said."""
import os
import sys
from pathlib import Path

os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
os.environ.setdefault("HF_HUB_OFFLINE", "1")
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "parity"))

from harness import Case, main, sets
from models import nemo_archives, tiny

CANARY = ("transf_decoder._embedding.token_embedding.weight", "transf_decoder._decoder.layers.0.first_sub_layer.key_net.weight", "log_softmax.mlp.layer0.weight", "encoder_decoder_proj.weight")
SALM = ("perception.modality_adapter.layers.0.norm_out.weight", "perception.proj.weight", "perception.proj.bias", "model.language_model.embedding.weight")


class Nemo(Case):
    TRAIN, HELD = 4, 2

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.encoder = tiny.fastconformer(cls.folder / "fastconformer", intermediate_size=96).float()
        cls.whole = nemo_archives.configuration(cls.encoder.config)
        cls.sound = next((cls.folder / "data").rglob("*.wav"))

    def said(self, name, config, state):
        path, toml = nemo_archives.archive(self.folder / f"{name}.nemo", config, state), self.folder / f"{name}.toml"
        toml.write_text(f'[model.llm]\nplugin = "llama"\nweights = "{self.folder}/models/llama"\n[model.streams.audio]\nencoder = {{ plugin = "fastconformer", weights = "{path}" }}\nconnector = {{ plugin = "linear" }}\n[data]\nfeature_cache = ""\n')
        done = self.call("generate", toml, "--audio", self.sound, "What?", *sets(generate__max_tokens=1))
        count = sum("encoder." in tensor or "perception." in tensor for tensor in state)
        self.assertRegex(done.stderr, rf"{name}.nemo: {count} of {len(state)} tensors are of the speech part; not read: ")
        return done.stderr.split("not read: ", 1)[1].split("\n", 1)[0]

    def test_canary(self):
        said = self.said("canary", self.whole, nemo_archives.tensors(self.encoder, others=CANARY))
        self.assertEqual(said, "1 of encoder_decoder_proj, 1 of log_softmax, 2 of preprocessor, 2 of transf_decoder")

    def test_salm(self):
        config = {"perception": {"encoder": self.whole["encoder"], "preprocessor": self.whole["preprocessor"], "modality_adapter": {"_target_": "x"}}, "language_model_path": "llama.nemo"}
        said = self.said("salm", config, nemo_archives.tensors(self.encoder, "perception.encoder.", SALM))
        self.assertEqual(said, "1 of model, 2 of preprocessor")

    def test_no_language_model(self):
        """The archive is not a whole model, and says so."""
        path = nemo_archives.archive(self.folder / "whole.nemo", self.whole, nemo_archives.tensors(self.encoder))
        toml = self.folder / "whole.toml"
        toml.write_text(f'[model]\nfrom = "{path}"\n')
        self.assertIn("is a speech encoder, and no whole model", self.call("validate", toml, code=4).stderr)
        toml.write_text(f'[model.llm]\nplugin = "llama"\nweights = "{path}"\npart = "language_model"\n')
        self.assertIn("language_model is missing", self.call("validate", toml, code=4).stderr)

    def test_many_modules(self):
        said = self.said("many", self.whole, nemo_archives.tensors(self.encoder, others=[f"part{i:03}.weight" for i in range(100)]))
        self.assertTrue(said.endswith("1 of part011, those of 89 modules more"), said)


if __name__ == "__main__":
    main()
