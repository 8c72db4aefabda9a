"""The logic of the benchmark over made-up samples: what fails a run, what is kept, and what counts as worse."""

import contextlib
import io
import tempfile
import unittest
from pathlib import Path

import record
from report import compare, problems_of


def samples(seconds):
    return [{"wall_s": each, "cpu_s": each} for each in seconds]


def row(ours, theirs, peer="PyTorch"):
    found = compare("step", "s/step", samples(ours), samples(theirs), peer, lambda sample: sample["wall_s"])
    return dict(found, part="step")


def report(*rows, processor="Example 9000"):
    return {"rows": rows, "commit": "abc", "date": "2026-01-01", "machine": {"processor": processor}}


QUIET = row([1.00, 1.01, 1.02], [1.5, 1.5, 1.5])


class Problems(unittest.TestCase):
    def test_clear_rows_have_none(self):
        self.assertEqual(problems_of([QUIET]), [])
        self.assertEqual(problems_of([row([1.0, 1.0, 1.0], [0.8, 0.8, 0.8], "ceiling")]), [])

    def test_a_share_above_its_ceiling_is_one(self):
        self.assertIn("0 to 1.05, found 1.20", problems_of([row([1.0] * 3, [1.2] * 3, "ceiling")])[0])

    def test_arithmetic_far_from_the_theoretical_peak_is_one(self):
        self.assertEqual(problems_of([row([1.0] * 3, [0.5] * 3, "theoretical peak")]), [])
        self.assertIn("the bound is wrong", problems_of([row([1.0] * 3, [0.4] * 3, "theoretical peak")])[0])
        self.assertIn("the bound is wrong", problems_of([row([1.0] * 3, [1.1] * 3, "theoretical peak")])[0])

    def test_streams_that_a_cache_holds_are_one(self):
        self.assertIn("the bound is wrong", problems_of([row([1.0] * 3, [0.7] * 3, "half the memory")])[0])

    def test_a_spread_around_1_is_one(self):
        self.assertIn("too far apart", problems_of([row([1.0, 1.0, 1.0], [0.7, 1.0, 1.5])])[0])
        self.assertEqual(problems_of([row([1.0, 1.0, 1.0], [2.0, 3.0, 4.5])]), [], "better in any case")


class Record(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.path = Path(folder.name) / "recorded.json"
        record.keep(self.path, report(QUIET))

    def check(self, *rows, **machine):
        with contextlib.redirect_stdout(io.StringIO()) as self.printed:
            return record.check(self.path, report(*rows, **machine))

    def test_earlier_ratios_stay_beside_the_last_one(self):
        for seconds in (1.1, 1.2, 1.3, 1.4, 1.5):
            record.keep(self.path, dict(report(row([seconds] * 3, [1.5] * 3)), commit=f"at {seconds}"))
        kept = record.read(self.path)["machines"]["Example 9000"]["step: step / PyTorch"]
        self.assertEqual(kept["commit"], "at 1.5")
        self.assertEqual([run["commit"] for run in kept["earlier"]], ["at 1.1", "at 1.2", "at 1.3", "at 1.4"])

    def test_the_same_ratio_holds(self):
        self.assertEqual(self.check(QUIET), [])
        self.assertIn("holds", self.printed.getvalue())

    def test_worse_by_more_than_the_spread_is_named_with_the_commit(self):
        worse = self.check(row([1.1, 1.11, 1.12], [1.5, 1.5, 1.5]))
        self.assertEqual(len(worse), 1)
        self.assertIn("step: step / PyTorch: 1.351 where 1.485 was recorded by abc: worse by 9.0 %", worse[0])

    def test_a_move_within_the_spread_of_either_run_holds(self):
        self.assertEqual(self.check(row([1.01, 1.02, 1.03], [1.5, 1.5, 1.5])), [], "the recorded spread, or 2 %")
        self.assertEqual(self.check(row([0.9, 1.1, 1.3], [1.5, 1.5, 1.5])), [], "the new spread")

    def test_better_is_no_problem(self):
        self.assertEqual(self.check(row([0.5] * 3, [1.5] * 3)), [])
        self.assertIn("better", self.printed.getvalue())

    def test_cores_that_lie_elsewhere_are_said_and_no_problem(self):
        record.keep(self.path, report(dict(QUIET, apart_ns=100.0)))
        record.keep(self.path, report(dict(QUIET, row="another")))
        slow = row([2.0] * 3, [1.5] * 3)
        self.assertEqual(self.check(dict(slow, apart_ns=510.0), dict(QUIET, row="another")), [])
        self.assertIn("cores 510 ns apart, were 100", self.printed.getvalue())
        self.assertIn("1 of 2 rows are not compared", self.printed.getvalue())
        self.assertIn("nothing could be compared", self.check(dict(slow, apart_ns=510.0))[0])
        self.assertEqual(len(self.check(dict(slow, apart_ns=110.0))), 1)
        self.assertEqual(len(self.check(slow)), 1, "nobody measured how far they were")

    def test_what_was_never_recorded_cannot_be_checked(self):
        self.assertIn("nothing of this processor", self.check(QUIET, processor="Other 1")[0])
        self.assertIn("nothing recorded on this processor", self.check(dict(QUIET, row="another"))[0])

    def test_keeping_leaves_other_rows_and_processors(self):
        record.keep(self.path, report(dict(QUIET, row="another")))
        record.keep(self.path, report(QUIET, processor="Other 1"))
        machines = record.read(self.path)["machines"]
        self.assertEqual(sorted(machines["Example 9000"]), ["step: another / PyTorch", "step: step / PyTorch"])
        self.assertEqual(sorted(machines), ["Example 9000", "Other 1"])


if __name__ == "__main__":
    unittest.main()
