"""Runs that the clock bounds. A time of a few nanoseconds, which any step outlasts, and one of hours, which none does, make
every test the same on any machine."""
import os
import subprocess
import unittest

from harness import PROGRAM, ROOT, Case, checkpoints, losses, main, records, sets

NO_TIME, HOURS = 1e-9, 600  # minutes
SMALL = sets(train__tokens_per_batch=96)


class Clock(Case):
    TRAIN, HELD = 8, 4

    def test_a_step_that_outlasts_the_time_ends_the_run(self):
        run = self.folder / "outlasted"
        text = self.train(run, *SMALL, *sets(train__steps=50, train__max_minutes=NO_TIME)).stderr
        self.assertEqual(list(losses(run)), [1])
        self.assertEqual(checkpoints(run), ["step_1"])
        self.assertRegex(text, r"step 1 alone took \S+, more than the 0\.0s that train\.max_minutes gives to all: the run ends here, with its checkpoint\n  fix: ")
        self.assertTrue((run / "adapter" / "adapter_config.json").exists())
        self.assertNotRegex(text, r"ETA -")

    def stopped(self, run, *args):
        done = subprocess.run(self.command("train", self.config, *SMALL, *args, *sets(train__output=run, train__max_minutes=NO_TIME)), capture_output=True, text=True, timeout=60)
        self.assertEqual(done.returncode, 8, done.stderr)
        self.assertNotIn("error", done.stderr)
        return done.stderr

    def test_a_run_into_whose_time_too_few_steps_fit_waits_for_more(self):
        run, many = self.folder / "too_few", sets(train__steps=6, train__min_steps=5)
        text = self.stopped(run, *many)
        self.assertRegex(text, r"1 steps are fewer than train\.min_steps = 5: the run stops after step 1, with a checkpoint\n  fix: go on with --resume and train\.max_minutes = 1,")
        self.assertEqual(checkpoints(run), ["step_1"])
        self.assertFalse((run / "adapter").exists(), "it is not trained")
        self.assertIn("the run stops after step 1", self.stopped(run, "--resume", *many))
        self.assertEqual(list(losses(run)), [1], "what is known is not measured again")
        self.train(run, "--resume", *SMALL, *many, *sets(train__max_minutes=HOURS))
        self.assertEqual(list(losses(run)), [1, 2, 3, 4, 5, 6])

    def test_without_a_limit_min_steps_asks_for_nothing(self):
        self.train(self.folder / "unbound", *SMALL, *sets(train__steps=2, train__min_steps=100))


class Demo(Case):
    """tools/demo/run.sh with recipes of these names at tiny size."""

    TRAIN, HELD = 8, 4

    def setUp(self):
        self.work = self.folder / self.id().split(".")[-1]
        recipes = self.work / "configs" / "recipes"
        for folder in [recipes, self.work / "data/demo/media/stamps/animals", self.work / "data/demo/media/asterisk/en"]:
            folder.mkdir(parents=True)
        whole = self.config.read_text().replace("steps = 40", "steps = 2\nmax_minutes = 1e-9\noutput = \"runs/stamps\"").replace("max_tokens = 8", "max_tokens = 1").replace("resamples = 1000", "resamples = 100")
        (recipes / "stamps.toml").write_text(whole)
        (recipes / "stamps_small.toml").write_text('extends = ["stamps.toml"]\n[train]\noutput = "runs/stamps_small"\nmax_minutes = 0\n')

    def demo(self, *minutes):
        done = subprocess.run([ROOT / "tools" / "demo" / "run.sh", PROGRAM, *minutes], cwd=self.work, capture_output=True, text=True, timeout=240, env={**os.environ, "OMP_NUM_THREADS": "1"})
        self.assertEqual(done.returncode, 0, done.stderr[-4000:])
        return done

    def steps_of(self, run):
        return [record["step"] for record in records(self.work / "runs" / run / "metrics.jsonl")]

    def test_a_slow_machine_trains_the_smaller_recipe(self):
        self.replace_in("stamps.toml", "steps = 2", "steps = 200")
        self.replace_in("stamps_small.toml", "[train]", "[train]\nsteps = 2")
        first = self.demo()
        self.assertRegex(first.stderr, r"a step takes \S+ s here: 1 step would fit into 1e-09 minutes, and fewer than 100 teach it too little\. Instead: pictures only, [^\n]*stamps_small\.toml\)\. `\./dev demo --minutes [1-9]\d*` keeps the whole recipe\n")
        self.assertEqual((self.steps_of("stamps"), self.steps_of("stamps_small")), ([1], [1, 2]))
        self.assertIn("generate runs/stamps_small", first.stdout)
        again = self.demo()
        self.assertEqual((self.steps_of("stamps"), self.steps_of("stamps_small")), ([1], [1, 2]))
        self.assertEqual(again.stdout.split("How to read")[1], first.stdout.split("How to read")[1])

    def test_minutes_keep_the_whole_recipe(self):
        self.replace_in("stamps.toml", "steps = 2", "steps = 3")
        self.demo("600")
        self.assertEqual(self.steps_of("stamps"), [1, 2, 3])
        self.assertFalse((self.work / "runs" / "stamps_small").exists())
        self.assertIn("is trained already", self.demo("700").stderr)

    def replace_in(self, name, old, new):
        path = self.work / "configs" / "recipes" / name
        text = path.read_text()
        self.assertIn(old, text)
        path.write_text(text.replace(old, new, 1))


class Help(unittest.TestCase):
    def dev(self, *words):
        return subprocess.run([ROOT / "dev", *words], capture_output=True, text=True, timeout=60)

    def test_minutes(self):
        for words in [("help",), ("--help",), ("demo", "--help")]:
            done = self.dev(*words)
            self.assertEqual(done.returncode, 0)
            self.assertRegex(done.stdout, r"--minutes N: train for N minutes")

    def test_what_is_no_time(self):
        for words in [["--minutes"], ["--minutes", "0"], ["--minutes", "-3"], ["--minutes", "ten"], ["--minutes", "3", "4"], ["--hours", "1"]]:
            done = self.dev("demo", *words)
            self.assertEqual(done.returncode, 1, words)
            self.assertIn("--minutes", done.stderr)


if __name__ == "__main__":
    main()
