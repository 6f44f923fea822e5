"""Settings of fine-tuning."""

from typing import Annotated

from pydantic import Field

from okrcell.settings import Settings


class FineTuningSettings(Settings):
    """Settings of the fine-tuning of the cell encoder; chosen on pretraining studies."""

    max_epochs: Annotated[int, Field(ge=0)] = 15
    """Maximum number of epochs."""
    patience: Annotated[int, Field(ge=1)] = 3
    """Epochs without improvement of the validation loss after which training stops; the best epoch is restored."""
    validation_fraction: Annotated[float, Field(gt=0, lt=1)] = 0.15
    """Fraction of cells used for validation; whole donors if there are at least three."""
    batch_size: Annotated[int, Field(ge=1)] = 64
    """Cells per training step."""
    learning_rate: Annotated[float, Field(gt=0)] = 2e-4
    """Learning rate of the whole encoder (AdamW)."""
    lora_learning_rate: Annotated[float, Field(gt=0)] = 2e-3
    """Learning rate of the low-rank adapters, which start from zero."""
    head_learning_rate: Annotated[float, Field(gt=0)] = 5e-3
    """Learning rate of the linear head."""
    rank: Annotated[int, Field(ge=1)] = 8
    """Rank r of the low-rank adapters."""
    max_cells: Annotated[int, Field(ge=1)] = 4_000
    """Maximum number of reference cells; common types are subsampled, rare types are kept whole."""
