"""Learning-rate schedule and training stages."""

import math
from dataclasses import dataclass
from typing import NamedTuple, Self

from torch.optim import Optimizer

from okrcell.data.dataloader import PairDataLoader
from okrcell.losses.objective import ObjectiveSettings
from okrcell.training.settings import ScheduleSettings


@dataclass(frozen=True)
class Schedule:
    """Learning rate and stage of each step, counted from 0."""

    settings: ScheduleSettings
    steps_per_epoch: int

    @property
    def stage2_start(self) -> int:
        """First step of stage 2."""
        return self._stage_steps[0]

    @property
    def total_steps(self) -> int:
        """Number of steps in both stages, at least one."""
        return max(1, sum(self._stage_steps))

    def stage(self, step: int) -> int:
        """Return 1 while the text encoder is frozen, then 2."""
        return 1 if step < self.stage2_start else 2

    def lr_factor(self, step: int) -> float:
        """Return the factor of the learning rate, in (0, 1]."""
        warmup_steps = self.settings.warmup * self.total_steps
        if step < warmup_steps:
            return (step + 1) / (warmup_steps + 1)
        if self.settings.decay == "epoch":
            return 0.9 ** (step // self.steps_per_epoch)
        progress = (step - warmup_steps) / max(1, self.total_steps - warmup_steps)
        return 0.01 + 0.99 * (1 + math.cos(math.pi * min(progress, 1.0))) / 2

    def set_lr(self, optimizer: Optimizer, step: int) -> None:
        """Set the learning rate of each parameter group for ``step``."""
        for group in optimizer.param_groups:
            group["lr"] = group["full_rate"] * self.lr_factor(step)

    @property
    def _stage_steps(self) -> tuple[int, int]:
        if self.settings.steps is not None:
            return self.settings.steps
        first, second = self.settings.epochs
        return round(first * self.steps_per_epoch), round(second * self.steps_per_epoch)


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
