#!/usr/bin/env python3
"""Tests of the arithmetic of ./dev bench: rows, goals, the page, what a run is compared with. Measures nothing.
Run: python tests/tools/bench_test.py"""
import io
import json
import sys
import tempfile
import unittest
from contextlib import redirect_stdout
from pathlib import Path
from unittest import mock

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "benchmarks"))
import bench  # noqa: E402
import page  # noqa: E402
import record  # noqa: E402
import run  # noqa: E402
from page import Row  # noqa: E402


def faster(ours, theirs, **more):
    return Row("step", "tokens/s", "higher", ours, theirs, **more)


def shorter(ours, theirs, **more):
    return Row("wait", "s", "lower", ours, theirs, **more)


class RowTest(unittest.TestCase):
    def test_the_ratio_is_of_medians(self):
        self.assertEqual(faster([1, 30, 20], [10, 5, 900]).ratio(), 2)

    def test_a_goal_is_reached_at_its_ratio(self):
        self.assertTrue(faster([15], [10], goal=("C1", 1.5)).reached())
        self.assertFalse(faster([14], [10], goal=("C1", 1.5)).reached())
        self.assertTrue(shorter([5], [10], goal=("C3", 0.5)).reached())
        self.assertFalse(shorter([6], [10], goal=("C3", 0.5)).reached())

    def test_a_line_names_peer_goal_and_whether_it_is_reached(self):
        line = faster([3000], [1000, 1200, 900], peer="llama.cpp", goal=("C6", 2.0)).line()
        self.assertEqual(line, "| step | tokens/s | 3,000 (3,000 to 3,000, n=1) | llama.cpp: 1,000 (900 to 1,200, n=3) | **3.00** | higher | C6 ≥ 2: reached | 0% |")
        self.assertIn("| C3 ≤ 0.5: **not reached** |", shorter([1], [1], goal=("C3", 0.5)).line())
        self.assertIn("| lower |  |", shorter([1], [1]).line())

    def test_a_busy_row_is_marked(self):
        self.assertIn("step (busy)", faster([1], [1], others=0.10).line())
        self.assertNotIn("busy", faster([1], [1], others=0.09).line())


class PageTest(unittest.TestCase):
    def test_the_page_counts_goals_and_busy_rows_and_names_what_is_missing(self):
        rows = [faster([2], [1], goal=("C1", 1.5)), shorter([2], [1], goal=("C3", 0.5), others=0.4)]
        text = page.generated({"machine": "a box"}, {"bench": "peak", "copy_gb_s": 9}, rows, ["one", "two"], skipped=["llama.cpp: not there"])
        for expected in ("- machine: a box", "copy_gb_s 9", "- not measured: llama.cpp: not there", "in 1 of 2 rows", "1 of 2 goals are reached", "one\ntwo"):
            self.assertIn(expected, text)

    def test_only_what_stands_between_the_markers_is_replaced(self):
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "page.md"
            path.write_text(f"before\n{page.BEGIN}\nold\n{page.END}\nafter\n")
            page.put_in(path, f"{page.BEGIN}\nnew\n{page.END}")
            self.assertEqual(path.read_text(), f"before\n{page.BEGIN}\nnew\n{page.END}\nafter\n")

    def test_sessions_have_a_table_of_their_own(self):
        lines = [{"bench": "session_text", "decode_step_s": 0.02, "first_token_s": 0.05},
                 {"bench": "session_ahead", "seconds": 10, "first_token_s": 0.07, "busy_share": 0.25, "samples": {"first_token_s": [0.06, 0.07, 0.08]}}]
        table = page.session_table(lines)
        self.assertIn("| 10 s | yes | by command | 70 (60 to 80, n=3) | +1.00 | 25.0% |", table)
        self.assertEqual(page.session_table([]), [])


class RecordTest(unittest.TestCase):
    @staticmethod
    def judged(now, then):
        return record.judge("row", record.entry(now), then and record.entry(then)).kind

    def test_spread_is_that_of_the_middle_half(self):
        self.assertEqual(record.spread([7]), 0)
        self.assertAlmostEqual(record.spread([8, 9, 10, 11, 900]), 0.2)

    def test_worse_by_more_than_a_tenth_is_worse(self):
        self.assertEqual(self.judged(faster([89], [100]), faster([100], [100])), "worse")
        self.assertEqual(self.judged(faster([92], [100]), faster([100], [100])), "as recorded")
        self.assertEqual(self.judged(shorter([111], [100]), shorter([100], [100])), "worse")
        self.assertEqual(self.judged(shorter([109], [100]), shorter([100], [100])), "as recorded")

    def test_better_is_never_worse(self):
        self.assertEqual(self.judged(faster([300], [100]), faster([100], [100])), "as recorded")
        self.assertEqual(self.judged(shorter([10], [100]), shorter([100], [100])), "as recorded")

    def test_the_spread_of_either_run_is_allowed_for(self):
        wide = [70, 80, 80, 90, 100]  # median 80, the middle half is 10 wide
        self.assertEqual(self.judged(faster(wide, [100]), faster([97], [100])), "as recorded")
        self.assertEqual(self.judged(faster(wide, [100]), faster([99], [100])), "worse")
        self.assertEqual(self.judged(faster([80], [100]), faster([90, 95, 97, 105, 110], [100])), "worse")
        self.assertEqual(self.judged(faster([83], [100]), faster([90, 95, 97, 105, 110], [100])), "as recorded")

    def test_a_busy_run_is_no_evidence(self):
        self.assertEqual(self.judged(faster([1], [100], others=0.5), faster([100], [100])), "no evidence")
        self.assertEqual(self.judged(faster([1], [100]), faster([100], [100], others=0.5)), "no evidence")

    def test_a_new_row_is_said_to_be_new(self):
        self.assertEqual(self.judged(faster([1], [1]), None), "not recorded")

    def test_what_is_written_is_what_later_runs_are_compared_with(self):
        rows = [faster([100], [100]), shorter([100], [100], peer="PyAV")]
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "recorded.json"
            record.write(path, {"machine": "a box"}, rows)
            recorded = json.loads(path.read_text())
        self.assertEqual(recorded["facts"]["machine"], "a box")
        findings = record.check([faster([50], [100]), shorter([100], [100], peer="PyAV"), shorter([1], [1], peer="ffmpeg")], recorded)
        self.assertEqual([finding.kind for finding in findings], ["worse", "as recorded", "not recorded"])
        text, well = record.report(findings)
        self.assertFalse(well)
        self.assertIn("worse: step / transformers + peft: 0.50, recorded 1.00: 100% worse, spread 0%", text)
        self.assertTrue(text.endswith("1 of 3 ratios are worse than recorded by more than 10% beyond the spread of the runs"))
        self.assertTrue(record.report(findings[1:])[1])


class CompareTest(unittest.TestCase):
    def setUp(self):
        self.bench = bench.Bench(run.options_of(["--quick", "--build", "/builds/one"]), Path("/folder/of/files"))

    def compare(self, lines, metrics):
        with mock.patch.object(bench.Bench, "lines", side_effect=lines), redirect_stdout(io.StringIO()):
            self.bench.compare(["ours"], [["first"], ["second"]], metrics)

    def test_samples_go_into_the_rows_of_their_peers(self):
        one, two, other = faster([], []), faster([], [], peer="other"), shorter([], [])
        lines = [({"bench": "b", "samples": {"rate": [4, 6]}, "rss": 9}, 0.01), ({"samples": {"rate": [1]}, "rss": 8, "versions": {"torch": "1"}}, 0.02), ({"samples": {"fps": [2]}, "versions": {"av": "3"}}, 0.3)]
        self.compare(lines, [(one, "rate"), (two, "rate", 1, "fps"), (other, "rss")])
        self.assertEqual((one.ours, one.theirs, one.others), ([4, 6], [1], 0.02))
        self.assertEqual((two.ours, two.theirs, two.others), ([4, 6], [2], 0.3))
        self.assertEqual((other.ours, other.theirs), ([9], [8]))
        self.assertEqual(self.bench.versions, {"torch": "1", "av": "3"})
        self.assertEqual(self.bench.rows, [one, two, other])

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
            self.bench.options.recorded, self.bench.rows = str(path), [faster([100], [100])]
            record.write(path, run.facts(self.bench), self.bench.rows)
            self.assertEqual(run.check(self.bench), 0)
            self.bench.rows = [faster([80], [100])]
            self.assertEqual(run.check(self.bench), 1)


class OthersTest(unittest.TestCase):
    def test_a_child_s_line_is_its_last(self):
        from child import Child

        self.assertEqual(Child('talk\n{"bench": "b"}\n', 1, 1, 1, 0).line(), {"bench": "b"})

    def test_every_part_has_a_name_to_ask_for(self):
        self.assertEqual(run.options_of(["--only", "video"]).only, "video")
        with self.assertRaises(SystemExit), mock.patch("sys.stderr", new=io.StringIO()):
            run.options_of(["--only", "nothing"])


if __name__ == "__main__":
    unittest.main()
