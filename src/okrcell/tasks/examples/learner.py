"""Training loop of fine-tuning with early stopping."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import sparse
from torch import Tensor, nn

from okrcell.cells.tokenizer import BinTokenizer
from okrcell.model.cell_text_model import CellTextModel
from okrcell.tasks.examples.fine_tuning_settings import FineTuningSettings


@dataclass
class Trainer:
    """Training loop for a model with a linear head."""

    model: CellTextModel
    head: nn.Linear
    tokenizer: BinTokenizer
    rows: sparse.csr_matrix
    """Expression (cell, gene) of training and validation cells."""
    label_idx: Tensor
    """Label index of each row."""

    def fit(
        self,
        train_idx: NDArray[np.intp],
        val_idx: NDArray[np.intp],
        trainable: list[nn.Parameter],
        learning_rate: float,
        settings: FineTuningSettings,
        seed: int,
    ) -> list[float]:
        """Train until the validation loss stops improving, and restore the best epoch.

        Parameters
        ----------
        train_idx
            Rows of the training cells.
        val_idx
            Rows of the validation cells.
        trainable
            Trainable parameters of the encoder. The head is always trained, at its own learning rate.
        learning_rate
            Learning rate of ``trainable``.
        settings
            Settings of fine-tuning.
        seed
            Random seed of the order of the cells.

        Returns
        -------
        Validation cross-entropy before training and after each epoch.
        """
        class_weight = self._class_weight(train_idx)
        param_groups = [
            {"params": trainable, "lr": learning_rate},
            {"params": list(self.head.parameters()), "lr": settings.head_learning_rate},
        ]
        optimizer = torch.optim.AdamW(param_groups, weight_decay=0.01)
        rng = np.random.default_rng(seed)
        losses, best_epoch, best_state = [self._loss(val_idx, class_weight)], 0, self._state(trainable)
        for epoch in range(1, settings.max_epochs + 1):
            self.model.cell_encoder.train()
            order = rng.permutation(train_idx)
            for start in range(0, len(order), settings.batch_size):
                batch = order[start : start + settings.batch_size]
                loss = nn.functional.cross_entropy(self._logits(batch), self.label_idx[batch], class_weight)
                optimizer.zero_grad()
                loss.backward()
                nn.utils.clip_grad_norm_(trainable, 1.0)
                optimizer.step()
            losses.append(self._loss(val_idx, class_weight))
            if losses[-1] < losses[best_epoch]:
                best_epoch, best_state = epoch, self._state(trainable)
            elif epoch - best_epoch >= settings.patience:
                break
        with torch.no_grad():
            for parameter, value in zip([*trainable, *self.head.parameters()], best_state, strict=True):
                parameter.copy_(value)
        return losses

    def _logits(self, batch: NDArray[np.intp]) -> Tensor:
        tokens = self.tokenizer.tokenize(sparse.csr_matrix(self.rows[batch]))
        return self.head(self.model.embed_cells(tokens))

    @torch.no_grad()
    def _loss(self, val_idx: NDArray[np.intp], class_weight: Tensor) -> float:
        self.model.cell_encoder.eval()
        logits = [self._logits(val_idx[start : start + 128]) for start in range(0, len(val_idx), 128)]
        return float(nn.functional.cross_entropy(torch.cat(logits), self.label_idx[val_idx], class_weight))

    def _class_weight(self, train_idx: NDArray[np.intp]) -> Tensor:
        count = torch.bincount(self.label_idx[train_idx], minlength=self.head.out_features).clamp_min(1).float()
        return (count.mean() / count).sqrt()

    def _state(self, trainable: list[nn.Parameter]) -> list[Tensor]:
        return [parameter.detach().clone() for parameter in (*trainable, *self.head.parameters())]
