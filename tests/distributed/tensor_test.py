"""Processes that compute each batch together train what one process trains."""

import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from together import ALL, COMMON, Together, experts, tensors
from harness import losses, main, records, sets


class Tensor(Together):
    MESH = sets(parallel__tensor=2)

    def test_lora(self):
        """With dropout, on outputs (q, v) and inputs (down); by 2 processes, and by 4 of which two compute each batch."""
        self.compare("lora")

    def test_everything_trained(self):
        self.compare("all", *ALL)

    def test_recomputed(self):
        self.compare("recompute", *ALL, *sets(train__recompute='"full"'), counts=(2,))

    def test_only_connectors(self):
        """Rows of media come from one process; all go through the backward pass."""
        text = self.config.read_text()
        path = self.folder / "connectors.toml"
        path.write_text(text[: text.index("[[model.llm.peft]]")] + text[text.index("[model.streams.image]") :])
        self.compare("connectors", config=path, counts=(2,))

    def test_resumed_on_other_meshes(self):
        constant = sets(train__schedule__name='"constant"')
        whole, _ = self.run_with("whole", 1, *ALL, *constant)
        run = self.folder / "handed_on"
        stations = ((3, 2, 2, 1), (5, 2, 1, 2), (8, 1, 1, 1), (10, 4, 2, 1), (12, 2, 1, 1))
        for i, (steps, processes, tensor, fsdp) in enumerate(stations):
            verb = ("launch", self.config, "--procs", processes) if processes > 1 else ("train", self.config)
            mesh = sets(parallel__tensor=tensor, parallel__fsdp=fsdp)
            self.call(*verb, *sets(train__output=run), *COMMON, *ALL, *constant, *mesh, *sets(train__steps=steps), *(["--resume"] if i else []))
        self.assertEqual(list(losses(run)), list(range(1, 13)))
        self.assert_same_progress(whole, run)
        self.assert_close(whole, run, 2e-5)

    def test_what_is_written_can_be_used(self):
        outputs = []
        for processes in (1, 2):
            run, _ = self.run_with(f"used_{processes}", processes, *sets(train__steps=3))
            self.call("eval", run, "--only", "held", "--output", self.folder / f"eval_{processes}")
            self.call("export", run, "--output", self.folder / f"exported_{processes}")
            from safetensors.numpy import load_file
            files = sorted((self.folder / f"exported_{processes}").rglob("*.safetensors")) + sorted(run.rglob("adapter*/*.safetensors")) + sorted((run / "connectors").glob("*"))
            outputs.append([(path.name, load_file(path)) for path in files])
        self.assertGreater(len(outputs[0]), 3)
        for (name, one), (same, two) in zip(*outputs, strict=True):
            self.assertEqual(name, same)
            for key, value in one.items():
                self.assertEqual(value.shape, two[key].shape, key)
                self.assertLessEqual(abs(value.astype("float64") - two[key].astype("float64")).max(), 1e-3 * abs(value).max() + 1e-6, key)

    def test_held_out_losses(self):
        args = sets(train__eval_every=4, eval__batch_size=1)
        one, _ = self.run_with("held_1", 1, *args)
        for processes in (2, 4):
            more, _ = self.run_with(f"held_{processes}", processes, *args)
            values = [[r["eval/held/loss"] for r in records(run / "metrics.jsonl") if "eval/held/loss" in r] for run in (one, more)]
            self.assertEqual(len(values[0]), 3)
            for left, right in zip(*values):
                self.assertAlmostEqual(left, right, delta=1e-4 * left)

    def test_what_cannot_be_divided(self):
        for args, words in ((sets(parallel__tensor=3), "times parallel.tensor = 3 is not the number of processes, 2"),
                            (sets(train__optimizer__name='"muon"'), 'train.optimizer.name = "muon" needs whole matrices, and parallel.tensor = 2 cuts them up')):
            _, done = self.run_with("refused", 2, *args, code=2)
            self.assertIn(words, done.stderr)
        _, done = self.run_with("experts", 2, config=experts(self), code=2)
        self.assertIn("experts are not divided by parallel.tensor", done.stderr)
        text = self.config.read_text().replace('plugin = "lora"\nrank = 4\nalpha = 8\ndropout = 0.1\n', 'plugin = "ia3"\n')
        path = self.folder / "ia3.toml"
        path.write_text(text)
        _, done = self.run_with("ia3", 2, config=path, code=2)
        self.assertIn("an adapter of this kind is not divided by parallel.tensor", done.stderr)


if __name__ == "__main__":
    main()
