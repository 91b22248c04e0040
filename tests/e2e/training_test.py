"""What [train] can be told: schedules, averages, best checkpoints, early stops."""

import math

from harness import Case, main, records, sets

SHORT = sets(train__steps=8, train__checkpoint_every=2, train__tokens_per_batch=96)


class Training(Case):
    def rates(self, folder, **schedule):
        run = self.folder / folder
        self.train(run, *SHORT, *sets(train__optimizer__lr=0.01, **{f"train__schedule__{key}": value for key, value in schedule.items()}))
        return [record["train/lr"] / 0.01 for record in records(run / "metrics.jsonl")]

    def assert_rates(self, rates, expected):
        self.assertEqual(len(rates), 8)
        for rate, value in zip(rates, expected, strict=True):
            self.assertAlmostEqual(rate, value, places=12)

    def test_schedules(self):
        self.assert_rates(self.rates("wsd", name="wsd", warmup_steps=2, decay_steps=4, min_ratio=0.2), [0.5, 1, 1, 1, 1, 0.8, 0.6, 0.4])
        self.assert_rates(self.rates("root", name="inverse_sqrt", warmup_steps=1), [1] + [math.sqrt(2 / (step + 1)) for step in range(1, 8)])
        self.assert_rates(self.rates("cosine", name="cosine", warmup_steps=0, hold_steps=2, constant_steps=2, min_ratio=0.1),
                          [1, 1] + [0.1 + 0.45 * (1 + math.cos(math.pi * k / 4)) for k in range(4)] + [0.1, 0.1])

    def test_schedules_that_do_not_fit(self):
        done = self.train(self.folder / "refused", *SHORT, *sets(train__schedule__name="wsd", train__schedule__power=2), code=2)
        self.assertIn('train.schedule.power has no effect with train.schedule.name = "wsd"', done.stderr)
        self.assertIn('train.schedule.name = "wsd" needs train.schedule.decay_steps', done.stderr)


if __name__ == "__main__":
    main()
