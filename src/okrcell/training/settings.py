"""Settings of a training run, one YAML file."""

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from okrcell.data.dataloader import StreamSettings
from okrcell.data.dataset import TextSettings
from okrcell.data.label_noise import NoiseSettings
from okrcell.data.simulated_pairs import KnowledgeSettings
from okrcell.data.split import SplitSettings
from okrcell.losses.objective import ObjectiveSettings
from okrcell.model.cell_text_model import ModelSettings
from okrcell.settings import Settings


class ScheduleSettings(Settings):
    """Length of the two stages, and learning rate (method 6)."""

    epochs: tuple[Annotated[float, Field(ge=0)], Annotated[float, Field(ge=0)]] = (3, 3)
    """Passes over the training cells in stage 1 (text encoder frozen) and stage 2 (its adapted layer trained too). The
    paper: 6 in all; the split is our reconstruction."""
    steps: tuple[Annotated[int, Field(ge=0)], Annotated[int, Field(ge=0)]] | None = None
    """Steps of the two stages, instead of ``epochs``."""
    learning_rate: Annotated[float, Field(gt=0)] = 1e-4
    """Peak learning rate [paper]."""
    text_learning_rate: Annotated[float, Field(gt=0)] | None = None
    """Peak learning rate of the text projector and the adapted text layer; by default ``learning_rate``."""
    decay: Literal["epoch", "cosine"] = "epoch"
    """epoch: times 0.9 after each epoch (our reading of the paper's "weight decay of 0.9 after each epoch"). cosine: down to
    1 % at the end."""
    warmup: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Fraction of all steps over which the rate rises (`improved`: 0.01)."""
    weight_decay: Annotated[float, Field(ge=0)] = 0.0
    """Decoupled (AdamW); 0 is the paper's Adam."""
    clip: Annotated[float, Field(gt=0)] = 1.0
    """Maximum norm of the gradient (our reconstruction)."""


class ComputeSettings(Settings):
    """Hardware, passed to Lightning Fabric."""

    accelerator: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    devices: Annotated[int, Field(ge=1)] | Literal["auto"] = "auto"
    nodes: Annotated[int, Field(ge=1)] = 1
    strategy: Literal["auto", "ddp"] = "auto"
    precision: Literal["32-true", "bf16-mixed"] = "32-true"
    gather: bool = True
    """With several devices, compare each pair with those of all devices instead of its own device's (our reconstruction: the
    paper does not say whether its N counts one device or all)."""
    threads: Annotated[int, Field(ge=1)] | None = None
    """Processor threads; by default all cores."""


class PretrainSettings(Settings):
    """Settings of a pretraining run, from a corpus to a model folder."""

    corpus: Path
    """Corpus folder, written by `okrcell prepare`."""
    output: Path
    """Folder of the run: ``model/`` when it is finished, ``latest/`` to resume from, ``log.jsonl``."""
    title: str = "unnamed"
    """Name of the model, for its card."""
    seed: Annotated[int, Field(ge=0)] = 0
    """Seed of initial weights and dropout. `stream.seed` and `split.seed` are separate, so that each can be changed alone."""
    model: ModelSettings = ModelSettings()
    texts: TextSettings = TextSettings()
    stream: StreamSettings = StreamSettings()
    knowledge: KnowledgeSettings | None = None
    """Marker knowledge used in training (method 11.1 and 11.2); none by default."""
    noise: NoiseSettings = NoiseSettings()
    """Noise added on purpose, for robustness benchmarks."""
    split: SplitSettings = SplitSettings()
    objective: ObjectiveSettings = ObjectiveSettings()
    schedule: ScheduleSettings = ScheduleSettings()
    compute: ComputeSettings = ComputeSettings()
    genes_in_cells: Annotated[int, Field(ge=1)] = 20
    """Minimum number of cells of the corpus that express a gene of the vocabulary."""
    signatures: bool = False
    """Fit gene signatures of texts after the last step, from the corpus and from ``knowledge`` if given (method 11.3)."""
    save_every: Annotated[int, Field(ge=1)] = 200
    """Steps between checkpoints in ``latest/``."""
    check_every: Annotated[int, Field(ge=1)] = 500
    """Steps between validations."""
    calibrate: bool = True
    """Fit the confidence temperature on the held-out studies at the end."""
    half: bool = False
    """Store the final weights as 16-bit floats."""

    @model_validator(mode="after")
    def _check_masking(self) -> Self:
        if self.model.cell_encoder.kind == "linear":
            if any(self.stream.mask):
                raise ValueError("the linear cell encoder predicts no masked genes; set stream.mask to [0]")
            if self.stream.keep_tokens:
                raise ValueError(
                    "stream.keep_tokens caches value bins, not the expression that the linear cell encoder needs"
                )
            if self.knowledge is not None and self.knowledge.share > 0:
                raise ValueError("simulated pairs are not made for the linear cell encoder; set knowledge.share to 0")
        return self
