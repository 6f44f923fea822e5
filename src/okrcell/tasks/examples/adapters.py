"""Low-rank additions to an encoder's linear layers."""

import warnings
from typing import Any, cast

from torch import nn

from okrcell.errors import MissingExtraError


def with_adapters(encoder: nn.Module, rank: int) -> Any:
    """Return the encoder with a trainable product of two matrices beside each linear layer, all else frozen.

    LoRA (Hu et al. 2021, arXiv 2106.09685) as the package peft has it: the second matrix starts at zero, so that nothing
    changes before anything is learned. ``encoder`` itself is changed; hand in a copy.

    Raises
    ------
    MissingExtraError
        If ``peft`` is not installed.
    """
    try:
        from peft import LoraConfig, get_peft_model
    except ImportError:
        raise MissingExtraError("peft", "fine-tuning", "Fine-tuning by low-rank additions") from None
    layers = [name for name, part in encoder.named_modules() if isinstance(part, nn.Linear)]
    settings = LoraConfig(r=rank, lora_alpha=2 * rank, lora_dropout=0.1, target_modules=layers)
    with warnings.catch_warnings():
        # peft looks for what transformers' models have; ours is a plain module.
        warnings.simplefilter("ignore", UserWarning)
        return get_peft_model(cast(Any, encoder), settings)


def merged(encoder: Any) -> Any:
    """Return the encoder with its additions added up into its own layers; one without additions as it is."""
    return encoder.merge_and_unload() if hasattr(encoder, "merge_and_unload") else encoder
