"""Several processes that share the batches of a step train what one process trains."""

import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from together import ALL, COMMON, CONFORMER, Together, experts, tensors
from harness import main, records, losses, sets


class Replicate(Together):
    def test_lora(self):
        self.compare("lora")

    def test_everything_trained(self):
        self.compare("all", *ALL)

    def test_batch_statistics(self):
        text = self.config.read_text()
        self.assertIn(CONFORMER[0], text)
        path = self.folder / "conformer.toml"
        path.write_text(text.replace(*CONFORMER))
        one = self.compare("conformer", config=path, counts=(2,))
        self.assertTrue(any("running_var" in name for name in tensors(one)))

    def test_experts(self):
        """With their load balance, of which each batch has its share."""
        path = experts(self)
        one = self.compare("experts", config=path, counts=(2,))
        balance = [record["moe/load_balance"] for record in records(one / "metrics.jsonl")]
        self.assertTrue(all(2 <= value < 2.5 for value in balance), balance)  # 2 of 4 experts for each token, evenly: 2
        again, _ = self.run_with("experts_again", 1, *sets(train__recompute='"full"'), config=path)
        self.assert_same_run(one, again)

    def test_two_batches_a_step_to_the_bit(self):
        """Two numbers have one sum, so nothing is rounded otherwise."""
        one, _ = self.run_with("bits_1", 1, *sets(train__accumulate=2))
        two, _ = self.run_with("bits_2", 2, *sets(train__accumulate=2))
        self.assert_same_run(one, two)
        again, _ = self.run_with("bits_again", 2, *sets(train__accumulate=2))
        self.assert_same_run(two, again)

    def test_recomputed(self):
        """A trained encoder is called several times for a batch, and so are its blocks again."""
        args = [*ALL, *sets(train__accumulate=2, train__recompute='"full"')]
        one, _ = self.run_with("recompute_1", 1, *args)
        two, _ = self.run_with("recompute_2", 2, *args)
        self.assert_same_run(one, two)

    def test_resumed_by_another_number(self):
        whole, _ = self.run_with("whole", 1)
        run = self.folder / "handed_on"
        for steps, processes in ((4, 4), (8, 1), (12, 2)):
            verb = ("launch", self.config, "--procs", processes) if processes > 1 else ("train", self.config)
            self.call(*verb, *sets(train__output=run), *COMMON, *sets(train__steps=steps, train__schedule__name='"constant"'), *(["--resume"] if steps > 4 else []))
        self.assertEqual(list(losses(run)), list(range(1, 13)))
        constant, _ = self.run_with("constant", 1, *sets(train__schedule__name='"constant"'))
        self.assert_same_progress(constant, run)
        self.assert_close(constant, run, 2e-5)

    def test_bad_samples(self):
        """Skipped, counted and listed as by one process."""
        good = self.config.parent / "data" / "train.jsonl"
        lines = good.read_text().splitlines()
        for i in (3, 10, 17, 30):
            lines[i] = lines[i].replace(".png", ".gone").replace(".wav", ".gone")
        path = good.with_name("spoilt.jsonl")
        path.write_text("\n".join(lines) + "\n")
        spoilt = [*sets(data__max_bad_fraction=1), "--set", f'data.train.sources=[{{ path = "{path}" }}]']
        one = self.compare("spoilt", *spoilt, counts=(2,))
        listed = [sorted(record["line"] for record in records(self.folder / f"spoilt_{n}" / "bad_samples.jsonl")) for n in (1, 2)]
        self.assertEqual(listed[0], listed[1])
        self.assertGreater(len(listed[0]), 1)
        self.assertEqual(list(one.parent.glob("spoilt_2/bad_samples.*.jsonl")), [])

    def test_held_out_losses(self):
        args = sets(train__eval_every=4, train__accumulate=2)
        one, _ = self.run_with("held_1", 1, *args)
        two, _ = self.run_with("held_2", 2, *args)
        values = [[r["eval/held/loss"] for r in records(run / "metrics.jsonl") if "eval/held/loss" in r] for run in (one, two)]
        self.assertEqual(len(values[0]), 3)
        for left, right in zip(*values):
            self.assertAlmostEqual(left, right, delta=1e-5 * left)

    def test_what_cannot_be_shared(self):
        _, done = self.run_with("odd", 3, code=2)
        self.assertIn("3 processes cannot share 4 batches a step", done.stderr)
        self.assertIn("train.accumulate=6", done.stderr)
        _, done = self.run_with("three", 2, *sets(parallel__replicate=3), code=2)
        self.assertIn("parallel.replicate = 3 times parallel.fsdp = 1 is not the number of processes, 2", done.stderr)


if __name__ == "__main__":
    main()
