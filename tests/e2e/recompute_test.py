"""train.recompute gives the same run to the bit, with dropout, batch statistics and a trained encoder. What it keeps is in memory_test.py."""
import unittest

from harness import Case, checkpoint_state, losses, main, sets

TRAINED = 'fit = "stretch"', 'trainable = true, fit = "stretch"'
CONFORMER = '{ plugin = "frame_stack", factor = 5 }', '{ plugin = "conformer", hidden_size = 32, num_layers = 2, num_heads = 2, dropout = 0.1, input_dropout = 0.1 }'


class Recompute(Case):
    TRAIN, HELD = 24, 4

    def run_with(self, recompute, compute, *more):
        text = self.config.read_text()
        for old, new in (TRAINED, CONFORMER):
            self.assertIn(old, text)
            text = text.replace(old, new, 1)
        path = self.folder / "recompute.toml"
        path.write_text(text)
        run = self.folder / f"{compute}_{recompute}_{len(more)}".replace('"', "")
        self.train(run, *sets(train__recompute=recompute, train__steps=6, train__accumulate=2, train__checkpoint_every=3, precision__compute=compute), *more, config=path)
        return losses(run), checkpoint_state(run)

    def test_the_same_to_the_bit(self):
        for compute in ("fp32", "bf16"):
            expected_losses, expected = self.run_with('"none"', compute)
            for recompute, more in (('"full"', ()), (1, ()), ('"full"', sets(train__offload_activations="true"))):
                with self.subTest(compute=compute, recompute=recompute, more=more):
                    got_losses, got = self.run_with(recompute, compute, *more)
                    self.assertEqual(got_losses, expected_losses)
                    for state in (got, expected):
                        state["progress"] = {key: value for key, value in state["progress"].items() if "digest" not in key}
                    self.assertEqual(got, expected)

    def test_what_it_may_be(self):
        self.assertIn("train.offload_activations has no effect", self.call("validate", self.config, *sets(train__offload_activations="true"), code=2).stderr)
        for wrong in ('"some"', -1, 1.5, "[]"):
            self.assertIn("train.recompute is neither", self.call("validate", self.config, *sets(train__recompute=wrong), code=2).stderr)


if __name__ == "__main__":
    main()
