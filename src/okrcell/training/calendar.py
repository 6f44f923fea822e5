"""Stage, progress and epoch of a training step."""

import math
from dataclasses import dataclass
from typing import NamedTuple, Self

from okrcell.losses.objective import ObjectiveSettings
from okrcell.data.dataloader import PairDataLoader
from okrcell.training.schedule import Schedule


class StepInfo(NamedTuple):
    """Stage, progress and epoch of a step."""

    stage: int
    """1 while the text encoder is frozen, then 2."""
    progress: float
    """Fraction of all steps that is done, in [0, 1)."""
    epoch: int
    """Epoch of the reliability table, from 1."""


@dataclass(frozen=True)
class EpochSchedule:
    """Steps counted in epochs of the reliability table; an epoch is a fixed number of visits per pair (method 5.3)."""

    schedule: Schedule
    steps_per_epoch: int

    @classmethod
    def from_settings(
        cls, objective: ObjectiveSettings, schedule: Schedule, loader: PairDataLoader, n_devices: int
    ) -> Self:
        """Count the steps in which ``n_devices`` devices together draw the pairs of one epoch."""
        visits = objective.reliability.visits_per_epoch
        return cls(
            schedule, max(1, math.ceil(visits * loader.pairs_per_epoch / (loader.settings.batch_size * n_devices)))
        )

    @property
    def n_epochs(self) -> int:
        """Number of epochs begun in the whole run."""
        return -(-self.schedule.total_steps // self.steps_per_epoch)

    def step_info(self, step: int) -> StepInfo:
        """Return stage, progress and epoch of ``step`` (from 0)."""
        return StepInfo(self.schedule.stage(step), step / self.schedule.total_steps, 1 + step // self.steps_per_epoch)
