"""Training loop of fine-tuning with early stopping."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import sparse
from torch import Tensor, nn

from okrcell.cells.tokenise import BinTokeniser
from okrcell.model.cell_text_model import CellTextModel
from okrcell.tasks.examples.fine_tuning_settings import FineTuningSettings


@dataclass
class Learner:
    """Training loop for a model with a linear head."""

    model: CellTextModel
    head: nn.Linear
    tokeniser: BinTokeniser
    rows: sparse.csr_matrix
    """Expression (cell, gene) of training and validation cells."""
    given: Tensor
    """Label index of each row."""

    def learn(
        self,
        taught: NDArray[np.intp],
        out: NDArray[np.intp],
        tunable: list[nn.Parameter],
        rate: float,
        settings: FineTuningSettings,
        seed: int,
    ) -> list[float]:
        """Train until the validation loss stops improving, and restore the best epoch.

        Parameters
        ----------
        taught
            Rows of the training cells.
        out
            Rows of the validation cells.
        tunable
            Trainable parameters of the encoder. The head is always trained, at its own learning rate.
        rate
            Learning rate of ``tunable``.
        settings
            Settings of fine-tuning.
        seed
            Random seed of the order of the cells.

        Returns
        -------
        Validation cross-entropy before training and after each epoch.
        """
        weight = self._weight_of_names(taught)
        groups = [
            {"params": tunable, "lr": rate},
            {"params": list(self.head.parameters()), "lr": settings.head_learning_rate},
        ]
        optimiser = torch.optim.AdamW(groups, weight_decay=0.01)
        rng = np.random.default_rng(seed)
        losses, best, kept = [self._loss_of(out, weight)], 0, self._state(tunable)
        for number in range(1, settings.rounds + 1):
            self.model.cell_encoder.train()
            order = rng.permutation(taught)
            for start in range(0, len(order), settings.batch):
                some = order[start : start + settings.batch]
                loss = nn.functional.cross_entropy(self._logits(some), self.given[some], weight)
                optimiser.zero_grad()
                loss.backward()
                nn.utils.clip_grad_norm_(tunable, 1.0)
                optimiser.step()
            losses.append(self._loss_of(out, weight))
            if losses[-1] < losses[best]:
                best, kept = number, self._state(tunable)
            elif number - best >= settings.patience:
                break
        with torch.no_grad():
            for part, value in zip([*tunable, *self.head.parameters()], kept, strict=True):
                part.copy_(value)
        return losses

    def _logits(self, some: NDArray[np.intp]) -> Tensor:
        tokens = self.tokeniser.tokenise(sparse.csr_matrix(self.rows[some]))
        return self.head(self.model.embed_cells(tokens))

    @torch.no_grad()
    def _loss_of(self, out: NDArray[np.intp], weight: Tensor) -> float:
        self.model.cell_encoder.eval()
        logits = [self._logits(out[start : start + 128]) for start in range(0, len(out), 128)]
        return float(nn.functional.cross_entropy(torch.cat(logits), self.given[out], weight))

    def _weight_of_names(self, taught: NDArray[np.intp]) -> Tensor:
        count = torch.bincount(self.given[taught], minlength=self.head.out_features).clamp_min(1).float()
        return (count.mean() / count).sqrt()

    def _state(self, tunable: list[nn.Parameter]) -> list[Tensor]:
        return [part.detach().clone() for part in (*tunable, *self.head.parameters())]
