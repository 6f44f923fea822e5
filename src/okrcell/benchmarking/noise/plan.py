"""Runs of the label-noise benchmark."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, get_args

from pydantic import Field

from okrcell.alignment.presets import LADDER
from okrcell.errors import SettingsError
from okrcell.pairs.noise import NoiseSettings
from okrcell.settings import Settings, laid_over, parse_settings
from okrcell.training.settings import PretrainSettings

CLEAN = "none"
"""Kind of noise of a run without noise."""
KINDS = tuple(kind for kind in get_args(NoiseSettings.model_fields["kind"].annotation) if kind != CLEAN)
"""Kinds of noise."""
CONTROL = "info_nce"
"""Objective that the others are compared with."""
NEVER = 1_000_000_000
"""Steps between checkpoints: none are written, because interrupted runs start again."""


class NoisePlan(Settings):
    """Runs to compare: all combinations of objectives, kinds and rates of noise, and seeds."""

    objectives: Annotated[tuple[str, ...], Field(min_length=1)] = (CONTROL, "faithful", "improved")
    """Names of objectives, see `okrcell.alignment.presets`."""
    kinds: Annotated[tuple[str, ...], Field(min_length=1)] = ("shuffled", "sibling", "dropout")
    """Kinds of noise, see `okrcell.pairs.noise`."""
    rates: Annotated[tuple[Annotated[float, Field(ge=0, le=1)], ...], Field(min_length=1)] = (0.0, 0.2, 0.4, 0.6)
    """Fractions of wrong training pairs."""
    seeds: Annotated[tuple[Annotated[int, Field(ge=0)], ...], Field(min_length=1)] = (0, 1, 2)
    """Seeds of the initial weights, the order of pairs, and the noise."""


@dataclass(frozen=True)
class Run:
    """One training run."""

    objective: str
    kind: str
    """`CLEAN` where ``rate`` is 0."""
    rate: float
    seed: int

    @property
    def name(self) -> str:
        """Name of the run's folder, such as ``improved.shuffled-0.4.seed-1``."""
        noise = "clean" if self.kind == CLEAN else f"{self.kind}-{self.rate:g}"
        return f"{self.objective}.{noise}.seed-{self.seed}"


def planned(plan: NoisePlan) -> list[Run]:
    """List the runs without duplicates: at rate 0 all kinds of noise are the same run.

    The seed varies slowest, so an interrupted benchmark has complete tables of fewer seeds.

    Raises
    ------
    SettingsError
        If an objective or a kind of noise is unknown.
    """
    _must_be_known(plan.objectives, LADDER, "objective")
    _must_be_known(plan.kinds, KINDS, "kind of noise")
    return list(dict.fromkeys(_all(plan)))


def _all(plan: NoisePlan) -> Iterator[Run]:
    for seed in plan.seeds:
        for rate in plan.rates:
            for kind in plan.kinds:
                for objective in plan.objectives:
                    yield Run(objective, kind if rate > 0 else CLEAN, rate, seed)


def settings_of(run: Run, config: Mapping[str, Any], output: Path, origin: str) -> PretrainSettings:
    """Return the settings of a run: those of the ``config`` file, with the run's objective, noise and seed.

    Each run has one thread, so its results do not depend on the number of parallel workers.

    Raises
    ------
    SettingsError
        If the file holds an unknown or invalid setting.
    """
    changes: dict[str, Any] = {
        "output": str(output),
        "title": run.name,
        "seed": run.seed,
        "stream": {"seed": run.seed},
        "noise": {"kind": run.kind, "rate": run.rate, "seed": run.seed},
        "objective": LADDER[run.objective],
        "compute": {"threads": 1, "devices": 1, "nodes": 1},
        "save_every": NEVER,
    }
    return parse_settings(PretrainSettings, laid_over(config, changes), origin)


def _must_be_known(words: Sequence[str], known: Mapping[str, Any] | Sequence[str], what: str) -> None:
    for word in words:
        if word not in known:
            near = get_close_matches(word, list(known), n=1)
            hint = f"did you mean '{near[0]}'?" if near else f"known are: {', '.join(known)}."
            raise SettingsError(f"There is no {what} '{word}'; {hint}")
