"""Time and memory of a training step, by objective.

    OMP_NUM_THREADS=1 python benchmarks/objectives.py configs/noise.yaml --corpus corpus [--objectives info_nce,improved]

Each objective trains a model of its own in this process, on the same batches. Objectives take turns step by step, in another
order each round, so that a slow phase of the machine affects all of them. Timing starts after the warm-up, when the memory
banks are full and, if the schedule has enough epochs, reliability weights are active.
"""

import argparse
import json
import time
from pathlib import Path

import numpy as np
import torch

from okrcell.alignment.presets import LADDER
from okrcell.benchmarking.noise.plan import CLEAN, CONTROL, Run, settings_of
from okrcell.model.cell_text_model import CellTextModel
from okrcell.pairs.stream import PairBatch, PairStream
from okrcell.provenance import receipt, write_json
from okrcell.settings import read_yaml
from okrcell.training.calendar import Calendar
from okrcell.training.check import moved
from okrcell.training.ground import Ground
from okrcell.training.memory import Memory
from okrcell.training.schedule import Schedule
from okrcell.training.settings import PretrainSettings
from okrcell.training.start import launched, optimiser_of
from okrcell.training.step import TrainingStep
from okrcell.training.text_bank import TextBank

PARTS = ("twin", "bank", "table")


class Contestant:
    """A model trained with one objective, step by step."""

    def __init__(self, name: str, settings: PretrainSettings, ground: Ground, stream: PairStream) -> None:
        self.name = name
        self._settings = settings
        self._fabric = launched(settings)
        torch.manual_seed(settings.seed)
        self._schedule = Schedule(settings.schedule, stream.steps_per_epoch)
        self._calendar = Calendar.of(settings.objective, self._schedule, stream, 1)
        self._model = CellTextModel(settings.model, genes=len(ground.vocabulary))
        step_of = TrainingStep(self._model, ground.pairs, settings, self._fabric, ground.texts)
        self._learner, self._optimiser = self._fabric.setup(step_of, optimiser_of(step_of, settings))
        corpus = len(ground.pairs.corpus)
        self.memory = Memory(self._model, settings.objective, corpus, self._calendar.epochs, self._fabric.device)
        self._learner.train()

    @property
    def steps(self) -> int:
        """Number of steps of the schedule."""
        return self._schedule.total

    @property
    def epoch(self) -> int:
        """Epoch of the reliability table in which the schedule ends."""
        return self._calendar.moment(self.steps - 1).epoch

    def take(self, step: int, batch: PairBatch) -> float:
        """Run a training step as `okrcell.training.pretrain` does; return its seconds."""
        start = time.perf_counter()
        moment = self._calendar.moment(step)
        self._schedule.set_rate(self._optimiser, step)
        loss, visit = self._learner(moved(self._fabric, batch), moment, self.memory)
        self._fabric.backward(loss.total)
        self._fabric.clip_gradients(self._learner, self._optimiser, max_norm=self._settings.schedule.clip)
        self._optimiser.step()
        self._optimiser.zero_grad()
        self.memory.keep(visit, self._model, moment.epoch)
        return time.perf_counter() - start

    def remembered(self) -> dict[str, int]:
        """Bytes of each part of the training state besides the model."""
        state = self.memory.state()
        return {
            part: sum(tensor.nbytes for name, tensor in state.items() if name.startswith(f"{part}.")) for part in PARTS
        }


def _made(
    stream: PairStream, steps: list[int], settings: PretrainSettings, ground: Ground
) -> dict[int, tuple[float, PairBatch]]:
    """Return (seconds, batch) by step; texts and tokens are cached before timing, as late in a long run."""
    model = CellTextModel(settings.model, genes=len(ground.vocabulary))
    texts = TextBank(model, ground.pairs.texts, ground.texts)
    made: dict[int, tuple[float, PairBatch]] = {}
    for step in steps:
        texts.vectors(stream.batch(step).text, 1)
        start = time.perf_counter()
        batch = stream.batch(step)
        made[step] = (time.perf_counter() - start, batch)
    return made


def main() -> None:
    """Print a Markdown table: median step time, ratio to the control (median, minimum, maximum of rounds), state size."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("config", type=Path)
    parser.add_argument("--corpus", type=Path)
    parser.add_argument("--objectives", default=",".join((CONTROL, "faithful", "improved")))
    parser.add_argument("--rounds", type=int, default=40, help="timed steps of each objective")
    parser.add_argument("--warm", type=int, default=20, help="warm-up steps, which fill the memory banks")
    parser.add_argument("--json", type=Path, help="write the results with their provenance")
    given = parser.parse_args()
    names = list(dict.fromkeys([CONTROL, *given.objectives.split(",")]))
    if unknown := [name for name in names if name not in LADDER]:
        parser.error(f"no objective {unknown[0]}; choose from {', '.join(LADDER)}")

    config = read_yaml(given.config) | ({"corpus": str(given.corpus)} if given.corpus else {})
    settings = {
        name: settings_of(Run(name, CLEAN, 0.0, 0), config, Path("unused"), str(given.config)) for name in names
    }
    ground = Ground.of(settings[CONTROL])
    stream, _ = ground.streams(ground.pairs, settings[CONTROL].stream)
    contestants = [Contestant(name, settings[name], ground, stream) for name in names]
    # The last steps of the schedule, in the late phase of the curriculum.
    first = contestants[0].steps - given.rounds
    if first < given.warm:
        parser.error(f"the schedule has {contestants[0].steps} steps, too few for {given.warm} + {given.rounds}")
    batches = _made(stream, [*range(given.warm), *range(first, contestants[0].steps)], settings[CONTROL], ground)
    for step in range(given.warm):
        for contestant in contestants:
            contestant.take(step, batches[step][1])
    clock: dict[str, list[float]] = {name: [] for name in names}
    for turn, step in enumerate(range(first, contestants[0].steps)):
        for place in range(len(contestants)):
            contestant = contestants[(place + turn) % len(contestants)]
            clock[contestant.name].append(contestant.take(step, batches[step][1]))

    making = np.array([batches[step][0] for step in range(first, contestants[0].steps)])
    usual = np.array(clock[CONTROL])
    rows = []
    for contestant in contestants:
        mine = np.array(clock[contestant.name])
        ratio = (making + mine) / (making + usual)
        rows.append(
            {
                "objective": contestant.name,
                "step_ms": float(np.median(making + mine) * 1000),
                "ratio": float(np.median(ratio)),
                "ratio_lowest": float(ratio.min()),
                "ratio_highest": float(ratio.max()),
                "ratio_without_batch": float(np.median(mine / usual)),
                **{f"{part}_bytes": size for part, size in contestant.remembered().items()},
            }
        )
    print(
        f"{len(ground.pairs.corpus):,} cells, batches of {settings[CONTROL].stream.batch_size}, {given.rounds} rounds, "
        f"{torch.get_num_threads()} thread; a step includes {np.median(making) * 1000:.0f} ms for its batch; "
        f"epoch {max(contestant.epoch for contestant in contestants)} of the reliability table."
    )
    print(
        f"| objective | step, ms | ratio to {CONTROL} | min | max | without batch | EMA model, MB | banks, MB | table, MB |"
    )
    print("|---|---:|---:|---:|---:|---:|---:|---:|---:|")
    for row in rows:
        sizes = " | ".join(f"{row[f'{part}_bytes'] / 1e6:.2f}" for part in PARTS)
        ratios = " | ".join(
            f"{row[name]:.2f}" for name in ("ratio", "ratio_lowest", "ratio_highest", "ratio_without_batch")
        )
        print(f"| `{row['objective']}` | {row['step_ms']:.1f} | {ratios} | {sizes} |")
    if given.json:
        facts = receipt(
            "benchmark objectives",
            config=given.config.name,
            corpus=ground.pairs.corpus.fingerprint,
            cells=len(ground.pairs.corpus),
            batch_size=settings[CONTROL].stream.batch_size,
            rounds=given.rounds,
            threads=torch.get_num_threads(),
            batch_ms=float(np.median(making) * 1000),
            settings={name: json.loads(one.objective.model_dump_json()) for name, one in settings.items()},
            rows=rows,
        )
        write_json(given.json, facts)


if __name__ == "__main__":
    main()
