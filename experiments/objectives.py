"""Time and memory of a training step, by objective.

    OMP_NUM_THREADS=1 python experiments/objectives.py configs/noise.yaml --corpus corpus [--objectives info_nce,improved]

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

from okrcell.benchmarking.noise.plan import CONTROL, NO_NOISE, NoiseRun, run_settings
from okrcell.data.dataloader import PairBatch, PairDataLoader
from okrcell.losses.objective import ABLATIONS
from okrcell.model.cell_text_model import CellTextModel
from okrcell.provenance import provenance_record, write_json
from okrcell.settings import read_yaml
from okrcell.training.pretrain import to_device
from okrcell.training.schedule import EpochSchedule, Schedule
from okrcell.training.settings import PretrainSettings
from okrcell.training.setup import RunInputs, build_optimizer, launch_fabric
from okrcell.training.state import TrainState
from okrcell.training.step import TextBank, TrainingStep

STATE_PARTS = ("twin", "bank", "table")


class ObjectiveRun:
    """A model trained with one objective, step by step."""

    def __init__(self, name: str, settings: PretrainSettings, ground: RunInputs, stream: PairDataLoader) -> None:
        self.name = name
        self._settings = settings
        self._fabric = launch_fabric(settings)
        torch.manual_seed(settings.seed)
        self._schedule = Schedule(settings.schedule, stream.steps_per_epoch)
        self._epochs = EpochSchedule.from_settings(settings.objective, self._schedule, stream, 1)
        self._model = CellTextModel(settings.model, n_genes=len(ground.vocabulary))
        step_of = TrainingStep(self._model, ground.pairs, settings, self._fabric, ground.text_cache)
        self._training_step, self._optimizer = self._fabric.setup(step_of, build_optimizer(step_of, settings))
        corpus = len(ground.pairs.corpus)
        self.memory = TrainState(self._model, settings.objective, corpus, self._epochs.n_epochs, self._fabric.device)
        self._training_step.train()

    @property
    def steps(self) -> int:
        """Number of steps of the schedule."""
        return self._schedule.total_steps

    @property
    def epoch(self) -> int:
        """Epoch of the reliability table in which the schedule ends."""
        return self._epochs.step_info(self.steps - 1).epoch

    def train_step(self, step: int, batch: PairBatch) -> float:
        """Run a training step as `okrcell.training.pretrain` does; return its seconds."""
        start = time.perf_counter()
        moment = self._epochs.step_info(step)
        self._schedule.set_lr(self._optimizer, step)
        loss, visit = self._training_step(to_device(self._fabric, batch), moment, self.memory)
        self._fabric.backward(loss.total)
        self._fabric.clip_gradients(self._training_step, self._optimizer, max_norm=self._settings.schedule.clip)
        self._optimizer.step()
        self._optimizer.zero_grad()
        self.memory.update(visit, self._model, moment.epoch)
        return time.perf_counter() - start

    def state_bytes(self) -> dict[str, int]:
        """Bytes of each part of the training state besides the model."""
        state = self.memory.state_dict()
        return {
            part: sum(tensor.nbytes for name, tensor in state.items() if name.startswith(f"{part}."))
            for part in STATE_PARTS
        }


def _prepare_batches(
    stream: PairDataLoader, steps: list[int], settings: PretrainSettings, ground: RunInputs
) -> dict[int, tuple[float, PairBatch]]:
    """Return (seconds, batch) by step; texts and tokens are cached before timing, as late in a long run."""
    model = CellTextModel(settings.model, n_genes=len(ground.vocabulary))
    texts = TextBank(model, ground.pairs.texts, ground.text_cache)
    batches: dict[int, tuple[float, PairBatch]] = {}
    for step in steps:
        texts.vectors(stream.batch(step).text, 1)
        start = time.perf_counter()
        batch = stream.batch(step)
        batches[step] = (time.perf_counter() - start, batch)
    return batches


def main() -> None:
    """Print a Markdown table: median step time, ratio to the control (median, minimum, maximum of rounds), state size."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("config", type=Path, nargs="?")
    parser.add_argument("--corpus", type=Path)
    parser.add_argument("--objectives", default=",".join((CONTROL, "faithful", "improved")))
    parser.add_argument("--rounds", type=int, default=40, help="timed steps of each objective")
    parser.add_argument("--warm", type=int, default=20, help="warm-up steps, which fill the memory banks")
    parser.add_argument("--json", type=Path, help="write the results with their provenance")
    args = parser.parse_args()
    if not (args.config and args.corpus):
        parser.exit(0, "Nothing to train on: give a settings file, such as configs/noise.yaml, and --corpus.\n")
    objectives = list(dict.fromkeys([CONTROL, *args.objectives.split(",")]))
    if unknown := [name for name in objectives if name not in ABLATIONS]:
        parser.error(f"no objective {unknown[0]}; choose from {', '.join(ABLATIONS)}")

    config = read_yaml(args.config) | {"corpus": str(args.corpus)}
    settings = {
        name: run_settings(NoiseRun(name, NO_NOISE, 0.0, 0), config, Path("unused"), str(args.config))
        for name in objectives
    }
    ground = RunInputs.from_settings(settings[CONTROL])
    stream, _ = ground.loaders(ground.pairs, settings[CONTROL].stream)
    runs = [ObjectiveRun(name, settings[name], ground, stream) for name in objectives]
    # The last steps of the schedule, in the late phase of the curriculum.
    first_step = runs[0].steps - args.rounds
    if first_step < args.warm:
        parser.error(f"the schedule has {runs[0].steps} steps, too few for {args.warm} + {args.rounds}")
    batches = _prepare_batches(
        stream, [*range(args.warm), *range(first_step, runs[0].steps)], settings[CONTROL], ground
    )
    for step in range(args.warm):
        for run in runs:
            run.train_step(step, batches[step][1])
    clock: dict[str, list[float]] = {name: [] for name in objectives}
    for round_index, step in enumerate(range(first_step, runs[0].steps)):
        for i in range(len(runs)):
            run = runs[(i + round_index) % len(runs)]
            clock[run.name].append(run.train_step(step, batches[step][1]))

    batch_seconds = np.array([batches[step][0] for step in range(first_step, runs[0].steps)])
    control_seconds = np.array(clock[CONTROL])
    rows = []
    for run in runs:
        run_seconds = np.array(clock[run.name])
        ratio = (batch_seconds + run_seconds) / (batch_seconds + control_seconds)
        rows.append(
            {
                "objective": run.name,
                "step_ms": float(np.median(batch_seconds + run_seconds) * 1000),
                "ratio": float(np.median(ratio)),
                "ratio_lowest": float(ratio.min()),
                "ratio_highest": float(ratio.max()),
                "ratio_without_batch": float(np.median(run_seconds / control_seconds)),
                **{f"{part}_bytes": size for part, size in run.state_bytes().items()},
            }
        )
    print(
        f"{len(ground.pairs.corpus):,} cells, batches of {settings[CONTROL].stream.batch_size}, {args.rounds} rounds, "
        f"{torch.get_num_threads()} thread; a step includes {np.median(batch_seconds) * 1000:.0f} ms for its batch; "
        f"epoch {max(run.epoch for run in runs)} of the reliability table."
    )
    print(
        f"| objective | step, ms | ratio to {CONTROL} | min | max | without batch | EMA model, MB | banks, MB | table, MB |"
    )
    print("|---|---:|---:|---:|---:|---:|---:|---:|---:|")
    for row in rows:
        sizes = " | ".join(f"{row[f'{part}_bytes'] / 1e6:.2f}" for part in STATE_PARTS)
        ratios = " | ".join(
            f"{row[name]:.2f}" for name in ("ratio", "ratio_lowest", "ratio_highest", "ratio_without_batch")
        )
        print(f"| `{row['objective']}` | {row['step_ms']:.1f} | {ratios} | {sizes} |")
    if args.json:
        facts = provenance_record(
            "benchmark objectives",
            config=args.config.name,
            corpus=ground.pairs.corpus.fingerprint,
            cells=len(ground.pairs.corpus),
            batch_size=settings[CONTROL].stream.batch_size,
            rounds=args.rounds,
            threads=torch.get_num_threads(),
            batch_ms=float(np.median(batch_seconds) * 1000),
            settings={
                name: json.loads(objective_settings.objective.model_dump_json())
                for name, objective_settings in settings.items()
            },
            rows=rows,
        )
        write_json(args.json, facts)


if __name__ == "__main__":
    main()
