"""How a model goes on learning from a reference."""

from typing import Annotated

from pydantic import Field

from okrcell.settings import Settings


class FineTuningSettings(Settings):
    """How the cell encoder is tuned to a reference; chosen on pretraining studies."""

    rounds: Annotated[int, Field(ge=0)] = 15
    """Times that all cells are seen, at most."""
    patience: Annotated[int, Field(ge=1)] = 3
    """Rounds without an improvement on the cells held out, after which learning ends; the best round is kept."""
    held_out: Annotated[float, Field(gt=0, lt=1)] = 0.15
    """Share of the cells, of every type, that only tells when to stop; whole donors where there are at least three."""
    batch: Annotated[int, Field(ge=1)] = 64
    """Cells in a step."""
    learning_rate: Annotated[float, Field(gt=0)] = 2e-4
    """Of the whole encoder (AdamW)."""
    lora_learning_rate: Annotated[float, Field(gt=0)] = 2e-3
    """Of the low-rank additions, which start from zero."""
    head_learning_rate: Annotated[float, Field(gt=0)] = 5e-3
    rank: Annotated[int, Field(ge=1)] = 8
    """Of the low-rank additions (r)."""
    most_cells: Annotated[int, Field(ge=1)] = 4_000
    """Of the reference, so many are learned from at most: of common types fewer, of rare ones all."""
