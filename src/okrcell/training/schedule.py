"""How fast to learn at each step, and which stage it is."""

import math
from dataclasses import dataclass

from okrcell.training.settings import ScheduleSettings


@dataclass(frozen=True)
class Schedule:
    """A plan of steps, counted from 0."""

    settings: ScheduleSettings
    steps_per_epoch: int

    @property
    def switch(self) -> int:
        """First step of stage 2."""
        return round(self.settings.epochs[0] * self.steps_per_epoch)

    @property
    def total(self) -> int:
        """Number of steps in both stages, at least one."""
        return max(1, self.switch + round(self.settings.epochs[1] * self.steps_per_epoch))

    def stage(self, step: int) -> int:
        """Return 1 while the text encoder is frozen, then 2."""
        return 1 if step < self.switch else 2

    def rate(self, step: int) -> float:
        """Return what the learning rate is multiplied by, in (0, 1]."""
        rise = self.settings.warmup * self.total
        if step < rise:
            return (step + 1) / (rise + 1)
        if self.settings.decay == "epoch":
            return 0.9 ** (step // self.steps_per_epoch)
        progress = (step - rise) / max(1, self.total - rise)
        return 0.01 + 0.99 * (1 + math.cos(math.pi * min(progress, 1.0))) / 2
