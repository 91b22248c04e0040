"""A row of the table: what both sides reached, round after round, and how well that fixes the ratio."""

import math
import statistics
from dataclasses import dataclass, field

BUSY = 0.10  # others' share of the cores from which on a round is not evidence
BEST = 3  # rounds of a side that count: what disturbs a machine only makes it slower
LEAST = 5  # quiet rounds, in any case
MOST, LONGEST = 10, 240  # rounds and seconds after which measuring ends
WANTED = 0.05  # spread at which it ends before
PEER = "transformers + peft"


@dataclass
class Round:
    """Samples of one process a side, ours and the peer's one after the other."""

    ours: list
    theirs: list
    others: float = 0.0


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
        """The quiet rounds; if there are too few, all."""
        return self.rounds if self.busy() else self.quiet()

    def busy(self):
        return len(self.quiet()) < min(BEST, len(self.rounds))

    def ours(self):
        return [value for one in self.used() for value in one.ours]

    def theirs(self):
        return [value for one in self.used() for value in one.theirs]

    def others(self):
        return max(one.others for one in self.used())

    def best(self, side):
        """The best rounds' medians of "ours" or "theirs", the best first."""
        medians = sorted((statistics.median(getattr(one, side)) for one in self.used()), reverse=self.better == "higher")
        return medians[:BEST]

    def ratio(self):
        return statistics.fmean(self.best("ours")) / statistics.fmean(self.best("theirs"))

    def spread(self):
        """How far the best rounds are apart, as a share of the very best, of both sides together."""
        if len(self.used()) < BEST:
            return math.inf
        return math.hypot(*(abs(best[-1] / best[0] - 1) for best in (self.best("ours"), self.best("theirs"))))

    def reached(self):
        return self.ratio() >= self.goal[1] if self.better == "higher" else self.ratio() <= self.goal[1]
