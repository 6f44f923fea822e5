"""Exponential moving average (EMA) copy of the model."""

import copy
from typing import Generic, TypeVar

import torch
from torch import nn

AnyModule = TypeVar("AnyModule", bound=nn.Module)


class Twin(Generic[AnyModule]):
    """Exponential moving average of a model's parameters (E7); after MoCo (arXiv 1911.05722).

    Parameters without gradient are shared, not copied: those of a frozen text encoder would be identical.

    Parameters
    ----------
    momentum
        m of E7, in [0, 1]: the fraction of the average that is kept at each step.
    """

    def __init__(self, model: AnyModule, momentum: float) -> None:
        shared = {id(parameter): parameter for parameter in model.parameters() if not parameter.requires_grad}
        self.model: AnyModule = copy.deepcopy(model, shared).eval().requires_grad_(requires_grad=False)
        self.momentum = momentum
        self._trained = [name for name, parameter in model.named_parameters() if parameter.requires_grad]

    @torch.no_grad()
    def follow(self, model: AnyModule) -> None:
        """Update the average with ``model``: theta_bar <- m theta_bar + (1 - m) theta (E7 [paper])."""
        mine, others = dict(self.model.named_parameters()), dict(model.named_parameters())
        for name in self._trained:
            mine[name].lerp_(others[name].to(mine[name]), 1 - self.momentum)

    def state(self) -> dict[str, torch.Tensor]:
        """Return the averaged parameters by name."""
        mine = dict(self.model.named_parameters())
        return {name: mine[name].detach() for name in self._trained}

    @torch.no_grad()
    def restore(self, state: dict[str, torch.Tensor]) -> None:
        """Restore the output of `state`.

        Raises
        ------
        KeyError
            If a parameter is missing.
        """
        mine = dict(self.model.named_parameters())
        for name in self._trained:
            mine[name].copy_(state[name])
