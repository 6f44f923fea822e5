"""Exponential moving average (EMA) copy of the model."""

import copy
from typing import Generic, TypeVar

import torch
from torch import nn

AnyModule = TypeVar("AnyModule", bound=nn.Module)


class EMAModel(Generic[AnyModule]):
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
        self._trained_names = [name for name, parameter in model.named_parameters() if parameter.requires_grad]

    @torch.no_grad()
    def update(self, model: AnyModule) -> None:
        """Update the average with ``model``: theta_bar <- m theta_bar + (1 - m) theta (E7 [paper])."""
        averaged, current = dict(self.model.named_parameters()), dict(model.named_parameters())
        for name in self._trained_names:
            averaged[name].lerp_(current[name].to(averaged[name]), 1 - self.momentum)

    def state_dict(self) -> dict[str, torch.Tensor]:
        """Return the averaged parameters by name."""
        averaged = dict(self.model.named_parameters())
        return {name: averaged[name].detach() for name in self._trained_names}

    @torch.no_grad()
    def load_state_dict(self, state_dict: dict[str, torch.Tensor]) -> None:
        """Restore the output of `state_dict`.

        Raises
        ------
        KeyError
            If a parameter is missing.
        """
        averaged = dict(self.model.named_parameters())
        for name in self._trained_names:
            averaged[name].copy_(state_dict[name])
