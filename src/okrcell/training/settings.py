"""All choices of a training run, as one file holds them."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from okrcell.alignment.objective import ObjectiveSettings
from okrcell.model.cell_text_model import ModelSettings
from okrcell.pairs.knowledge_pairs import KnowledgeSettings
from okrcell.pairs.mix import TextSettings
from okrcell.pairs.noise import NoiseSettings
from okrcell.pairs.split import SplitSettings
from okrcell.pairs.stream import StreamSettings
from okrcell.settings import Settings


class ScheduleSettings(Settings):
    """How long, how fast, and what is frozen when (method 6)."""

    epochs: tuple[Annotated[float, Field(ge=0)], Annotated[float, Field(ge=0)]] = (3, 3)
    """Passes over the training cells in stage 1 (text encoder frozen) and stage 2 (its adapted layer trained too). The
    paper: 6 in all; the split is our reconstruction."""
    steps: tuple[Annotated[int, Field(ge=0)], Annotated[int, Field(ge=0)]] | None = None
    """Steps of the two stages, in place of ``epochs``."""
    learning_rate: Annotated[float, Field(gt=0)] = 1e-4
    """[paper]"""
    text_learning_rate: Annotated[float, Field(gt=0)] | None = None
    """For the language side, text projector and adapted layer; the same as the others by default."""
    decay: Literal["epoch", "cosine"] = "epoch"
    """epoch: times 0.9 after each (how we read the paper's "weight decay of 0.9 after each epoch"). cosine: down to a
    hundredth by the end."""
    warmup: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Share of all steps over which the rate rises (`improved`: 0.01)."""
    weight_decay: Annotated[float, Field(ge=0)] = 0.0
    """Decoupled (AdamW); 0 is the paper's Adam."""
    clip: Annotated[float, Field(gt=0)] = 1.0
    """Largest norm of the gradient (our reconstruction)."""


class ComputeSettings(Settings):
    """What it runs on; handed to Lightning Fabric."""

    accelerator: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    devices: Annotated[int, Field(ge=1)] | Literal["auto"] = "auto"
    nodes: Annotated[int, Field(ge=1)] = 1
    strategy: Literal["auto", "ddp"] = "auto"
    precision: Literal["32-true", "bf16-mixed"] = "32-true"
    gather: bool = True
    """With several devices, compare each pair with those of all devices (our reconstruction: whether the paper's N is of one
    device or of all is not said) instead of its own device's."""
    threads: Annotated[int, Field(ge=1)] | None = None
    """Processor threads; by default all cores."""


class PretrainSettings(Settings):
    """One run of pre-training: a corpus in, a model folder out."""

    corpus: Path
    """Folder that `okrcell prepare` wrote."""
    output: Path
    """Folder of the run: ``model/`` when it is done, ``latest/`` to go on from, ``log.jsonl``."""
    title: str = "unnamed"
    """Name of the model, for its card."""
    seed: Annotated[int, Field(ge=0)] = 0
    """Of the starting weights and dropout. `stream.seed` and `split.seed` are apart, so that one can be changed alone."""
    model: ModelSettings = ModelSettings()
    texts: TextSettings = TextSettings()
    stream: StreamSettings = StreamSettings()
    knowledge: KnowledgeSettings | None = None
    """Marker knowledge that takes part in learning (method 11.1 and 11.2); none by default."""
    noise: NoiseSettings = NoiseSettings()
    """What is made wrong on purpose, to see who bears it; for benchmarks."""
    split: SplitSettings = SplitSettings()
    objective: ObjectiveSettings = ObjectiveSettings()
    schedule: ScheduleSettings = ScheduleSettings()
    compute: ComputeSettings = ComputeSettings()
    genes_in_cells: Annotated[int, Field(ge=1)] = 20
    """A gene enters the vocabulary when so many cells of the corpus express it."""
    signatures: bool = False
    """Learn, after the last step, which genes each text predicts, from the corpus and from ``knowledge`` where it is given
    (method 11.3)."""
    save_every: Annotated[int, Field(ge=1)] = 200
    """Steps between savings of ``latest/``."""
    check_every: Annotated[int, Field(ge=1)] = 500
    """Steps between looks at the validation cells."""
    calibrate: bool = True
    """Fit the temperature of confidence on the held-out studies at the end."""
    half: bool = False
    """Store the finished weights as 16-bit floats."""
