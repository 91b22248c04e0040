"""A row of the table: what both sides reached, round after round, and how well that fixes the ratio."""

import math
import statistics
from dataclasses import dataclass, field

BUSY = 0.10  # others' share of the cores from which on a round is no evidence
LEAST, MOST = 3, 6  # quiet rounds that are wanted; rounds that are tried
WANTED = 0.05  # half width of the ratio's interval at which measuring ends
PEER = "transformers + peft"
STUDENT = [math.inf, 12.71, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365]  # two-sided 95 %, by degrees of freedom


@dataclass
class Round:
    """Samples of one process a side, ours and the peer's one after the other."""

    ours: list
    theirs: list
    others: float = 0.0

    def log_ratio(self):
        return math.log(statistics.median(self.ours) / statistics.median(self.theirs))


@dataclass
class Row:
    what: str
    unit: str
    better: str  # "higher" or "lower"
    peer: str = PEER
    goal: tuple = ()  # ("C1", 1.5): the ratio ours / peer that is to be reached
    rounds: list = field(default_factory=list)

    def key(self):
        return f"{self.what} / {self.peer}"

    def quiet(self):
        return [one for one in self.rounds if one.others < BUSY]

    def used(self):
        """The quiet rounds; where there are too few, all."""
        return self.rounds if self.busy() else self.quiet()

    def busy(self):
        return len(self.quiet()) < min(LEAST, len(self.rounds))

    def ours(self):
        return [value for one in self.used() for value in one.ours]

    def theirs(self):
        return [value for one in self.used() for value in one.theirs]

    def others(self):
        return max(one.others for one in self.used())

    def ratio(self):
        """Geometric mean over the rounds."""
        return math.exp(statistics.fmean(one.log_ratio() for one in self.used()))

    def half_width(self):
        """Of the ratio's 95 % interval, as a share of it, out of how it changes from round to round (Student's t)."""
        ratios = [one.log_ratio() for one in self.used()]
        return STUDENT[len(ratios) - 1] * statistics.stdev(ratios) / math.sqrt(len(ratios)) if len(ratios) > 1 else math.inf

    def reached(self):
        return self.ratio() >= self.goal[1] if self.better == "higher" else self.ratio() <= self.goal[1]
