"""LoRA adapters of the encoder's linear layers."""

import warnings
from typing import Any, cast

from torch import nn

from okrcell.errors import MissingExtraError


def add_lora(encoder: nn.Module, rank: int) -> Any:
    """Add a trainable low-rank adapter to each linear layer of the encoder and freeze all other weights.

    LoRA (Hu et al. 2021, arXiv 2106.09685) of the package peft: the second matrix starts at zero, so that the output is
    unchanged before training. ``encoder`` is modified in place; pass a copy.

    Raises
    ------
    MissingExtraError
        If ``peft`` is not installed.
    """
    try:
        from peft import LoraConfig, get_peft_model
    except ImportError:
        raise MissingExtraError("peft", "fine-tuning", "Fine-tuning by low-rank adapters") from None
    layer_names = [name for name, module in encoder.named_modules() if isinstance(module, nn.Linear)]
    config = LoraConfig(r=rank, lora_alpha=2 * rank, lora_dropout=0.1, target_modules=layer_names)
    with warnings.catch_warnings():
        # peft expects attributes of a transformers model; the encoder is a plain module.
        warnings.simplefilter("ignore", UserWarning)
        return get_peft_model(cast(Any, encoder), config)


def merge_lora(encoder: Any) -> Any:
    """Merge the adapters into the layers of the encoder; an encoder without adapters is returned as it is."""
    return encoder.merge_and_unload() if hasattr(encoder, "merge_and_unload") else encoder
