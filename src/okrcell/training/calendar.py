"""When a step is: its stage, its share of the whole, its epoch."""

import math
from dataclasses import dataclass
from typing import NamedTuple, Self

from okrcell.alignment.objective import ObjectiveSettings
from okrcell.pairs.stream import PairStream
from okrcell.training.schedule import Schedule


class Moment(NamedTuple):
    """When a step is."""

    stage: int
    """1 while the text encoder is frozen, then 2."""
    progress: float
    """Share of all steps that is done, in [0, 1)."""
    epoch: int
    """Of the table of trust, from 1."""


@dataclass(frozen=True)
class Calendar:
    """Steps counted in epochs of the table of trust, which are so many visits of a pair (method 5.3)."""

    schedule: Schedule
    steps_per_epoch: int

    @classmethod
    def of(cls, objective: ObjectiveSettings, schedule: Schedule, stream: PairStream, devices: int) -> Self:
        """Count the steps in which ``devices`` together draw as many pairs as an epoch has."""
        visits = objective.reliability.visits_per_epoch
        return cls(
            schedule, max(1, math.ceil(visits * stream.pairs_per_epoch / (stream.settings.batch_size * devices)))
        )

    @property
    def epochs(self) -> int:
        """Epochs that are begun in the whole run."""
        return -(-self.schedule.total // self.steps_per_epoch)

    def moment(self, step: int) -> Moment:
        """Return when ``step`` (from 0) is."""
        return Moment(self.schedule.stage(step), step / self.schedule.total, 1 + step // self.steps_per_epoch)
