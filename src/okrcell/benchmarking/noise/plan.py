"""Runs of the label-noise benchmark."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, get_args

from pydantic import Field

from okrcell.benchmarking.records import PROVENANCE_FILE, differing_keys, read_provenance
from okrcell.data.corpus import Corpus
from okrcell.data.label_noise import NoiseSettings
from okrcell.errors import SettingsError
from okrcell.losses.objective import ABLATIONS
from okrcell.provenance import fingerprint, provenance_record, write_json
from okrcell.settings import Settings, deep_merge, parse_settings, rename_old_keys
from okrcell.training.settings import PretrainSettings

NO_NOISE = "none"
"""Kind of noise of a run without noise."""
KINDS = tuple(kind for kind in get_args(NoiseSettings.model_fields["kind"].annotation) if kind != NO_NOISE)
"""Kinds of noise."""
CONTROL = "info_nce"
"""Objective that the others are compared with."""
NO_CHECKPOINTS = 1_000_000_000
"""Steps between checkpoints: none are written, because interrupted runs start again."""


MODELS_DIR, RUNNING_DIR = "models", "under-way"
"""Folders beside the report: finished models, unfinished runs."""


class NoisePlan(Settings):
    """Runs to compare: all combinations of objectives, kinds and rates of noise, and seeds."""

    objectives: Annotated[tuple[str, ...], Field(min_length=1)] = (CONTROL, "faithful", "improved")
    """Names of objectives, see `okrcell.losses.objective`."""
    kinds: Annotated[tuple[str, ...], Field(min_length=1)] = ("shuffled", "sibling", "dropout")
    """Kinds of noise, see `okrcell.data.label_noise`."""
    rates: Annotated[tuple[Annotated[float, Field(ge=0, le=1)], ...], Field(min_length=1)] = (0.0, 0.2, 0.4, 0.6)
    """Fractions of wrong training pairs."""
    seeds: Annotated[tuple[Annotated[int, Field(ge=0)], ...], Field(min_length=1)] = (0, 1, 2)
    """Seeds of the initial weights, the order of pairs, and the noise."""


@dataclass(frozen=True)
class NoiseRun:
    """One training run."""

    objective: str
    kind: str
    """`NO_NOISE` where ``rate`` is 0."""
    rate: float
    seed: int

    @property
    def name(self) -> str:
        """Name of the run's folder, such as ``improved.shuffled-0.4.seed-1``."""
        noise = "clean" if self.kind == NO_NOISE else f"{self.kind}-{self.rate:g}"
        return f"{self.objective}.{noise}.seed-{self.seed}"


def plan_runs(plan: NoisePlan) -> list[NoiseRun]:
    """List the runs without duplicates: at rate 0 all kinds of noise are the same run.

    The seed varies slowest, so an interrupted benchmark has complete tables of fewer seeds.

    Raises
    ------
    SettingsError
        If an objective or a kind of noise is unknown.
    """
    _check_known(plan.objectives, ABLATIONS, "objective")
    _check_known(plan.kinds, KINDS, "kind of noise")
    return list(dict.fromkeys(_combinations(plan)))


def _combinations(plan: NoisePlan) -> Iterator[NoiseRun]:
    for seed in plan.seeds:
        for rate in plan.rates:
            for kind in plan.kinds:
                for objective in plan.objectives:
                    yield NoiseRun(objective, kind if rate > 0 else NO_NOISE, rate, seed)


def run_settings(run: NoiseRun, config: Mapping[str, Any], output: Path, origin: str) -> PretrainSettings:
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
        "objective": ABLATIONS[run.objective],
        "compute": {"threads": 1, "devices": 1, "nodes": 1},
        "save_every": NO_CHECKPOINTS,
    }
    return parse_settings(PretrainSettings, deep_merge(rename_old_keys(PretrainSettings, config), changes), origin)


def _check_known(names: Sequence[str], choices: Mapping[str, Any] | Sequence[str], category: str) -> None:
    for name in names:
        if name not in choices:
            matches = get_close_matches(name, list(choices), n=1)
            hint = f"did you mean '{matches[0]}'?" if matches else f"known are: {', '.join(choices)}."
            raise SettingsError(f"There is no {category} '{name}'; {hint}")


def run_of(record: dict[str, Any]) -> NoiseRun:
    """Return the run that a record belongs to."""
    return NoiseRun(record["objective"], record["kind"], record["rate"], record["seed"])


def input_fingerprints(settings: PretrainSettings, files: Sequence[Path]) -> dict[str, Any]:
    """Return fingerprints of the training corpus, the descriptions and the evaluation files.

    Raises
    ------
    InputError
        If the corpus or a file is missing.
    """
    return {
        "corpus": Corpus.open(settings.corpus).fingerprint,
        "descriptions": fingerprint(settings.texts.descriptions) if settings.texts.descriptions else "",
        "files": {file.name: fingerprint(file) for file in files},
    }


def ensure_provenance(folder: Path, inputs: Mapping[str, Any]) -> dict[str, Any]:
    """Write the provenance, or compare with the existing one: scores on other data are not comparable.

    Raises
    ------
    SettingsError
        If the existing benchmark used another corpus, other descriptions or other files.
    """
    existing = read_provenance(folder / PROVENANCE_FILE)
    if existing is None:
        existing = provenance_record("benchmark", task="noise", inputs=inputs)
        write_json(folder / PROVENANCE_FILE, existing)
    if changed := differing_keys(dict(inputs), existing.get("inputs")):
        raise SettingsError(
            f"{folder} holds a benchmark on other data ({', '.join(changed)}); use the same data, or another folder with -o."
        )
    return existing


def check_settings(records: Sequence[dict[str, Any]], settings: Mapping[NoiseRun, PretrainSettings]) -> None:
    """Check that finished runs have the settings that they would be trained with now.

    Raises
    ------
    SettingsError
        If settings differ; the message lists them.
    """
    for record in records:
        run = run_of(record)
        if run not in settings:
            continue
        current = settings[run].model_dump(mode="json", exclude={"corpus": True, "output": True})
        if changed := differing_keys(current, rename_old_keys(PretrainSettings, record["settings"])):
            raise SettingsError(
                f"The run {run.name} was trained with other settings ({', '.join(changed)}); use the same, or another folder "
                "with -o."
            )
