#!/usr/bin/env python3
"""Tests of the arithmetic of ./dev bench: rows, goals, the page, what a run is compared with. Measures nothing.
Run: python tests/tools/bench_test.py"""
import io
import json
import math
import random
import sys
import tempfile
import unittest
from contextlib import redirect_stdout
from pathlib import Path
from unittest import mock

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "benchmarks"))
import bench  # noqa: E402
import format_losses  # noqa: E402
import page  # noqa: E402
import record  # noqa: E402
import rows  # noqa: E402
import run  # noqa: E402
from rows import Round, Row  # noqa: E402


def faster(*rounds, **more):
    return Row("step", "tokens/s", "higher", rounds=list(rounds), **more)


def shorter(*rounds, **more):
    return Row("wait", "s", "lower", rounds=list(rounds), **more)


def one(ours, theirs, others=0.0):
    return Round([ours], [theirs], others)


def alike(ours, theirs, others=0.0):
    """Three rounds that say the same."""
    return [one(ours, theirs, others)] * 3


class RowTest(unittest.TestCase):
    def test_the_ratio_is_of_the_three_best_rounds_medians(self):
        row = faster(Round([1, 30, 20], [10, 5, 900]), one(22, 11), one(8, 3), one(24, 12))
        self.assertAlmostEqual(row.ratio(), (24 + 22 + 20) / (12 + 11 + 10))
        self.assertEqual((row.ours(), row.theirs()), ([1, 30, 20, 22, 8, 24], [10, 5, 900, 11, 3, 12]))
        self.assertAlmostEqual(shorter(one(3, 5), one(9, 1), one(2, 5), one(1, 5)).ratio(), (1 + 2 + 3) / (1 + 5 + 5))

    def test_the_spread_is_how_far_the_three_best_are_apart_on_both_sides(self):
        self.assertAlmostEqual(faster(one(100, 97), one(50, 96), one(98, 100), one(97, 50)).spread(), 0.05)
        self.assertEqual(faster(*alike(2, 1)).spread(), 0)
        self.assertEqual(faster(one(2, 1), one(2, 1)).spread(), math.inf)

    def test_busy_rounds_are_left_out_where_enough_are_quiet(self):
        row = faster(*alike(2, 1), one(9, 1, others=0.1))
        self.assertEqual((round(row.ratio(), 9), len(row.used()), row.busy(), row.others()), (2, 3, False, 0.0))
        row = faster(one(2, 1), one(2, 1), one(8, 1, others=0.5), one(8, 1, others=0.2))
        self.assertEqual((round(row.ratio(), 9), len(row.used()), row.busy(), row.others()), (6, 4, True, 0.5))

    def test_a_goal_is_reached_at_its_ratio(self):
        self.assertTrue(faster(one(15, 10), goal=("C1", 1.5)).reached())
        self.assertFalse(faster(one(14, 10), goal=("C1", 1.5)).reached())
        self.assertTrue(shorter(one(5, 10), goal=("C3", 0.5)).reached())
        self.assertFalse(shorter(one(6, 10), goal=("C3", 0.5)).reached())


class PageTest(unittest.TestCase):
    def test_a_line_names_peer_ratio_rounds_goal_and_whether_it_is_reached(self):
        row = faster(Round([3000], [1000, 1200, 900]), *alike(3000, 1000), peer="llama.cpp", goal=("C6", 2.0))
        self.assertEqual(page.line(row), "| step | tokens/s | 3,000 (3,000 to 3,000, n=4) | llama.cpp: 1,000 (900 to 1,200, n=6) | **3.00** ± 0% (4) | higher | C6 ≥ 2: reached | 0% |")
        self.assertIn("| C3 ≤ 0.5: **not reached** |", page.line(shorter(*alike(1, 1), goal=("C3", 0.5))))
        self.assertIn("| lower |  |", page.line(shorter(*alike(1, 1))))

    def test_a_busy_row_is_marked(self):
        self.assertIn("step (busy)", page.line(faster(*alike(1, 1, others=0.10))))
        self.assertNotIn("busy", page.line(faster(*alike(1, 1, others=0.09))))

    def test_the_page_counts_goals_and_busy_rows_and_names_what_is_missing(self):
        two = [faster(*alike(2, 1), goal=("C1", 1.5)), shorter(*alike(2, 1, others=0.4), goal=("C3", 0.5))]
        facts = {"date": "2026-01-02 03:04 UTC", "commit": "abc", "machine": "a box", "at best": page.best({"bench": "peak", "copy_gb_s": 9})}
        parts = {"train": page.part(facts, two, ["one", "two"], skipped=["llama.cpp: not there"]), "video": page.part(facts, [faster(*alike(2, 1), peer="PyAV")], ["two"])}
        text = page.generated("", {"parts": parts})
        self.assertEqual(text.count("two"), 1)
        for expected in ("- train, video: 2026-01-02, commit abc; machine: a box", "copy_gb_s 9", "| **video** |", "- not measured: llama.cpp: not there", "in 1 of 3 rows", "1 of 2 goals are reached", "one\ntwo"):
            self.assertIn(expected, text)

    def test_only_what_stands_between_the_markers_is_replaced(self):
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "page.md"
            native, begin = f"{page.begin()}\nnative\n{page.END}\n", page.begin("avx2")
            path.write_text(f"{native}before\n{begin}\nold\n{page.END}\nafter\n")
            page.put_in(path, "avx2", f"{begin}\nnew\n{page.END}")
            self.assertEqual(path.read_text(), f"{native}before\n{begin}\nnew\n{page.END}\nafter\n")

    def test_sessions_have_a_table_of_their_own(self):
        lines = [{"bench": "session_text", "decode_step_s": 0.02, "first_token_s": 0.05},
                 {"bench": "session_ahead", "seconds": 10, "first_token_s": 0.07, "busy_share": 0.25, "samples": {"first_token_s": [0.06, 0.07, 0.08]}}]
        table = page.session_table(lines)
        self.assertIn("| 10 s | yes | by command | 70 (60 to 80, n=3) | +1.00 | 25.0% |", table)
        self.assertEqual(page.session_table([]), [])


class RecordTest(unittest.TestCase):
    @staticmethod
    def options(recorded=None):
        return bench.Bench(run.options_of([]), Path("/nowhere"), recorded)

    @staticmethod
    def judged(now, then):
        return record.judge("row", record.entry(now), then and record.entry(then)).kind

    def test_worse_by_a_tenth_is_worse(self):
        same = alike(100, 100)
        self.assertEqual(self.judged(faster(*alike(90, 100)), faster(*same)), "worse")
        self.assertEqual(self.judged(faster(*alike(92, 100)), faster(*same)), "as recorded")
        self.assertEqual(self.judged(shorter(*alike(110, 100)), shorter(*same)), "worse")
        self.assertEqual(self.judged(shorter(*alike(109, 100)), shorter(*same)), "as recorded")

    def test_better_is_never_worse(self):
        self.assertEqual(self.judged(faster(*alike(300, 100)), faster(*alike(100, 100))), "as recorded")
        self.assertEqual(self.judged(shorter(*alike(10, 100)), shorter(*alike(100, 100))), "as recorded")

    def test_rounds_that_differ_widely_tell_nothing_rather_than_that_all_is_well(self):
        wide = [one(90, 100), one(100, 100), one(110, 100)]  # ± 18 %
        self.assertEqual(self.judged(faster(*wide), faster(*alike(100, 100))), "cannot tell")
        self.assertEqual(self.judged(faster(*alike(100, 100)), faster(*wide)), "cannot tell")
        self.assertEqual(self.judged(faster(*[one(round.ours[0] / 2, 100) for round in wide]), faster(*alike(100, 100))), "worse")

    def test_a_busy_run_tells_nothing(self):
        self.assertEqual(self.judged(faster(*alike(1, 100, others=0.5)), faster(*alike(100, 100))), "cannot tell")
        self.assertEqual(self.judged(faster(*alike(1, 100)), faster(*alike(100, 100, others=0.5))), "cannot tell")

    def test_a_loss_of_a_tenth_hardly_ever_passes_and_no_loss_hardly_ever_fails(self):
        chance = random.Random(7)

        def disturbed(speed):
            return speed * (1 - min(0.5, chance.expovariate(1 / 0.06)))

        def measured(ratio, recorded=None):
            row, checked = faster(), self.options(recorded)
            while not checked.settled(row, 0):
                row.rounds.append(one(disturbed(ratio), disturbed(1)))
            return row

        def verdict(ratio):
            then = measured(1)
            return self.judged(measured(ratio, {"parts": {"one": {"rows": {then.key(): record.entry(then)}}}}), then)
        kinds = {ratio: [verdict(ratio) for _ in range(1000)] for ratio in (0.9, 1)}
        self.assertLess(kinds[0.9].count("as recorded"), 40)
        self.assertLess(kinds[1].count("worse"), 20)
        self.assertGreater(kinds[1].count("as recorded"), 970)

    def test_a_part_takes_its_rows_from_where_they_were(self):
        facts, both = {"machine": "a box"}, [faster(*alike(1, 1)), shorter(*alike(1, 1), peer="PyAV")]
        recorded = {"parts": {"earlier": page.part(facts, both, [])}}
        record.put(recorded, "train", page.part(facts, both[:1], []), ["train"])
        self.assertEqual({name: list(part["rows"]) for name, part in recorded["parts"].items()}, {"train": [both[0].key()], "earlier": [both[1].key()]})
        record.put(recorded, "files", page.part(facts, both[1:], []), ["train", "files"])
        self.assertEqual(list(recorded["parts"]), ["train", "files"])

    def test_a_new_row_is_said_to_be_new(self):
        self.assertEqual(self.judged(faster(*alike(1, 1)), None), "not recorded")

    def test_what_is_written_is_what_later_runs_are_compared_with(self):
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "recorded.json"
            whole = record.read(path)
            record.put(whole, "files", page.part({"machine": "a box"}, [shorter(*alike(100, 100), peer="PyAV")], []), ["train", "files"])
            record.put(whole, "train", page.part({"machine": "a box"}, [faster(*alike(100, 100))], []), ["train", "files"])
            record.write(path, whole)
            recorded = record.read(path)
        self.assertEqual(list(recorded["parts"]), ["train", "files"])
        self.assertEqual(recorded["parts"]["files"]["facts"]["machine"], "a box")
        findings = record.check([faster(*alike(50, 100)), shorter(*alike(100, 100), peer="PyAV"), shorter(*alike(1, 1), peer="ffmpeg")], recorded)
        self.assertEqual([finding.kind for finding in findings], ["worse", "as recorded", "not recorded"])
        text, well = record.report(findings)
        self.assertFalse(well)
        self.assertIn("worse: step / transformers + peft: 0.50, recorded 1.00: 100% worse, ± 0%", text)
        self.assertTrue(text.endswith("of 3 ratios 1 are worse than recorded; of 0 a loss of 10% cannot be excluded; 1 were never recorded"))
        self.assertTrue(record.report(findings[1:2])[1])
        self.assertFalse(record.report(findings[1:])[1])  # of what was never recorded nothing is known
        self.assertFalse(record.report([record.Finding("row", "cannot tell", "")])[1])


def said(value, **more):
    return {"bench": "b", "rate": value, "others_share": 0.0, **more}


class CompareTest(unittest.TestCase):
    def setUp(self):
        self.bench = self.bench_with("--quick")

    @staticmethod
    def bench_with(*words, recorded=None):
        return bench.Bench(run.options_of([*words, "--build", "/builds/one"]), Path("/folder/of/files"), recorded)

    def compare(self, bench, sides, metrics):
        with redirect_stdout(io.StringIO()):
            bench.compare({name: iter(lines).__next__ for name, lines in sides.items()}, metrics)

    def test_samples_go_into_the_rows_of_their_peers(self):
        first, second, other = faster(), faster(peer="other"), shorter()
        sides = {"ours": [{"bench": "b", "samples": {"rate": [4, 6]}, "rss": 9, "others_share": 0.01}],
                 "hf": [{"samples": {"rate": [1]}, "rss": 8, "versions": {"torch": "1"}, "others_share": 0.02}],
                 "av": [{"samples": {"fps": [2]}, "versions": {"av": "3"}, "others_share": 0.3}]}
        self.compare(self.bench, sides, [(first, "ours.rate", "hf.rate"), (second, "ours.rate", "av.fps"), (other, "ours.rss", "hf.rss")])
        self.assertEqual(first.rounds, [Round([4, 6], [1], 0.02)])
        self.assertEqual(second.rounds, [Round([4, 6], [2], 0.3)])
        self.assertEqual(other.rounds, [Round([9], [8], 0.02)])
        self.assertEqual(self.bench.versions, {"torch": "1", "av": "3"})
        self.assertEqual(self.bench.rows, [first, second, other])

    def rounds_until_settled(self, ours, recorded=None, others=()):
        row = faster()
        lines = [said(value, others_share=share) for value, share in zip(ours, [*others, *[0.0] * 99])]
        self.compare(self.bench_with(recorded=recorded), {"ours": lines, "hf": [said(100)] * 99}, [(row, "ours.rate", "hf.rate")])
        return len(row.rounds)

    def test_rounds_go_on_until_three_agree(self):
        self.assertEqual(self.rounds_until_settled([100] * 99), rows.LEAST)
        self.assertEqual(self.rounds_until_settled([100, 94, 100, 60, 70, 80, 100, 100]), 7)
        self.assertEqual(self.rounds_until_settled(list(range(10, 300, 10))), rows.MOST)
        self.assertEqual(self.rounds_until_settled([100] * 99, others=[0.5, 0.5]), 2 + rows.LEAST)

    def test_rounds_end_when_they_have_taken_long(self):
        with mock.patch("time.monotonic", side_effect=range(0, 10**6, rows.LONGEST)):
            self.assertEqual(self.rounds_until_settled(list(range(10, 300, 10))), rows.BEST)

    def test_a_check_goes_on_until_it_can_tell(self):
        recorded = {"parts": {"train": {"rows": {faster().key(): record.entry(faster(*alike(100, 100)))}}}}
        self.assertEqual(self.rounds_until_settled([130, 120, 140] * 9, recorded), rows.LEAST)  # better in any case
        self.assertEqual(self.rounds_until_settled([98, 97, 91, 90, 80, 96, 96], recorded), 6)  # 5 % worse ± 7 % after five
        self.assertEqual(self.rounds_until_settled([85] * 99, recorded), rows.MOST)  # no hasty verdict

    def test_sides_that_do_not_do_the_same_work_end_the_run(self):
        for ours, theirs in (({"loss0": 10.0}, {"loss0": 10.4}), ({"outputs": 3}, {"outputs": 4})):
            with self.assertRaises(SystemExit):
                bench.Bench.agree({"bench": "b", **ours}, theirs)
        bench.Bench.agree({"bench": "b", "loss0": 10.0, "outputs": 3}, {"loss0": 10.2, "outputs": 3})

    def test_commands_are_noted_once_and_without_the_machine_s_folders(self):
        command = ["/builds/one/bin/antiphon_bench", "train", "--file", "/folder/of/files/a b", str(bench.ROOT / "configs/x.toml")]
        self.bench.note(command, command, [bench.PYTHON, bench.HERE / "peer_train.py"])
        self.assertEqual(self.bench.commands, ["build/bin/antiphon_bench train --file 'FOLDER/a b' configs/x.toml", "python benchmarks/peer_train.py"])

    def test_a_part_that_fails_is_named_and_the_others_are_measured(self):
        def failing(bench):
            sys.exit("exit code 1 of: ours\nits output")

        with mock.patch("sys.stderr", new=io.StringIO()) as said:
            self.assertFalse(run.attempt(self.bench, "video", failing))
            self.assertTrue(run.attempt(self.bench, "train", lambda bench: None))
        self.assertEqual(self.bench.skipped, ["video failed: exit code 1 of: ours"])
        self.assertIn("its output", said.getvalue())

    def test_a_check_fails_where_a_ratio_is_worse(self):
        with tempfile.TemporaryDirectory() as folder, redirect_stdout(io.StringIO()):
            path = Path(folder) / "recorded.json"
            record.write(path, {"parts": {"train": page.part(run.facts(self.bench), [faster(*alike(100, 100))], [])}})
            checked = self.bench_with("--check", recorded=json.loads(path.read_text()))
            checked.rows = [faster(*alike(100, 100))]
            self.assertEqual(run.check(checked), 0)
            checked.rows = [faster(*alike(90, 100))]
            self.assertEqual(run.check(checked), 1)

    def test_one_round_is_not_enough_for_a_check(self):
        with self.assertRaises(SystemExit), mock.patch("sys.stderr", new=io.StringIO()):
            run.options_of(["--quick", "--check"])


class FormatLossesTest(unittest.TestCase):
    LOSSES = {"": [2.0, 1.5], "int8": [2.001, 1.4994], "int4": [2.25, 1.5], "nf4": [2.125, 1.75]}

    def test_the_page_gets_a_row_for_each_format_beside_bf16(self):
        asked = []

        def evaluate(command, **options):
            settings = dict(word.split("=") for word, before in zip(command[1:], command) if before == "--set")
            asked.append((command[1:3], command[-2:], settings))
            found = self.LOSSES[settings["generate.weights"]]
            tasks = [{"all": None, "names": {}}, {"words": None}]  # a single task is all
            results = [{"set": name, "tasks": {task: own or {"conditions": {"right": {"loss": {"mean": loss}}}} for task, own in of_set.items()}} for name, loss, of_set in zip(("audio", "image"), found, tasks)]
            (Path(command[command.index("--output") + 1]) / "results.json").write_text(json.dumps(results))
            return mock.Mock(returncode=0)

        with tempfile.TemporaryDirectory() as folder, redirect_stdout(io.StringIO()):
            path = Path(folder) / "page.md"
            path.write_text(f"before\n{format_losses.BEGIN}\nold\n{format_losses.END}\nafter\n")
            words = ["format_losses.py", "runs/some", "--only", "audio,image", "--page", str(path)]
            with mock.patch("sys.argv", words), mock.patch("format_losses.subprocess.run", evaluate), mock.patch("run.git", lambda *words: "abc"):
                format_losses.main()
            text = path.read_text()
        self.assertTrue(text.startswith(f"before\n{format_losses.BEGIN}\n") and text.endswith(f"{format_losses.END}\nafter\n"))
        self.assertIn("| format | audio | image |\n|---|---:|---:|\n| bf16 | 2.000 | 1.500 |\n| int8 | + 0.001 | - 0.001 |\n| int4 | + 0.250 | + 0.000 |\n| nf4 | + 0.125 | + 0.250 |\n", text)
        self.assertRegex(text, r"- some: .*, commit abc with local changes; ")
        self.assertNotIn("old", text)
        self.assertEqual([settings["generate.weights"] for _, _, settings in asked], ["", "int8", "int4", "nf4"])
        self.assertTrue(all(words == ["eval", "runs/some"] and last == ["--only", "image"] and settings["precision.compute"] == "bf16" for words, last, settings in asked))

    def test_a_set_without_a_loss_or_with_one_that_is_not_finite_is_named(self):
        for tasks, word in (({}, "the held-out set sounds has no loss"), ({"a": {}, "b": {}}, "the held-out set sounds has no loss"),
                            ({"all": {"conditions": {"right": {"loss": {"mean": None}}}}}, "the loss of the held-out set sounds with nf4 is not finite")):
            with self.assertRaisesRegex(SystemExit, word):
                format_losses.loss_of({"set": "sounds", "tasks": tasks}, "nf4")

    def test_an_evaluation_that_fails_and_a_page_without_a_place_end_it(self):
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "page.md"
            for text, word in (("no place", "has no line"), (f"{format_losses.BEGIN}\n{format_losses.END}\n", "exit code 4: no model")):
                path.write_text(text)
                with mock.patch("sys.argv", ["format_losses.py", "x", "--page", str(path)]), mock.patch("format_losses.subprocess.run", lambda *words, **options: mock.Mock(returncode=4, stderr="no model")):
                    with self.assertRaisesRegex(SystemExit, word):
                        format_losses.main()
                self.assertEqual(path.read_text(), text)


class OthersTest(unittest.TestCase):
    def test_a_child_s_line_is_its_last(self):
        from child import Child

        self.assertEqual(Child('talk\n{"bench": "b"}\n', 1, 1, 1, 0).line(), {"bench": "b"})

    def test_every_part_has_a_name_to_ask_for(self):
        self.assertEqual(list(run.options_of(["--only", "video,train"]).parts), ["train", "video"])
        with self.assertRaises(SystemExit), mock.patch("sys.stderr", new=io.StringIO()):
            run.options_of(["--only", "nothing"])


if __name__ == "__main__":
    unittest.main()
