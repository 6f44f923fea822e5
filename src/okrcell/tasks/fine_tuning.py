"""Fine-tuning of the cell encoder on a labelled reference (full or LoRA)."""

import copy
import warnings
from dataclasses import dataclass, field
from functools import cached_property
from typing import Annotated, Any, Literal, cast

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from pydantic import AliasChoices, Field
from scipy import sparse
from torch import Tensor, nn

from okrcell.cells.expression import Expression, iter_rows
from okrcell.cells.tokenizer import CellTokenizer, build_tokenizer, measured_genes
from okrcell.errors import InputError, MissingExtraError
from okrcell.model.cell_text_model import CellTextModel
from okrcell.model.checkpoint import Checkpoint
from okrcell.model.embedder import Embedder, Progress
from okrcell.settings import Settings
from okrcell.tasks.candidates import candidate_vectors
from okrcell.tasks.classifier import ExampleLabels, assign_folds
from okrcell.tasks.confidence import calibrated_temperature
from okrcell.tasks.features import balanced_subsample

TuningMethod = Literal["encoder", "lora"]


class FineTuningSettings(Settings):
    """Settings of the fine-tuning of the cell encoder; chosen on pretraining studies."""

    max_epochs: Annotated[int, Field(ge=0, validation_alias=AliasChoices("max_epochs", "rounds"))] = 15
    """Maximum number of epochs."""
    patience: Annotated[int, Field(ge=1)] = 3
    """Epochs without improvement of the validation loss after which training stops; the best epoch is restored."""
    validation_fraction: Annotated[
        float, Field(gt=0, lt=1, validation_alias=AliasChoices("validation_fraction", "held_out"))
    ] = 0.15
    """Fraction of cells used for validation; whole donors if there are at least three."""
    batch_size: Annotated[int, Field(ge=1, validation_alias=AliasChoices("batch_size", "batch"))] = 64
    """Cells per training step."""
    learning_rate: Annotated[float, Field(gt=0)] = 2e-4
    """Learning rate of the whole encoder (AdamW)."""
    lora_learning_rate: Annotated[float, Field(gt=0)] = 2e-3
    """Learning rate of the low-rank adapters, which start from zero."""
    head_learning_rate: Annotated[float, Field(gt=0)] = 5e-3
    """Learning rate of the linear head."""
    rank: Annotated[int, Field(ge=1)] = 8
    """Rank r of the low-rank adapters."""
    max_cells: Annotated[int, Field(ge=1, validation_alias=AliasChoices("max_cells", "most_cells"))] = 4_000
    """Maximum number of reference cells; common types are subsampled, rare types are kept whole."""


@dataclass
class Trainer:
    """Training loop for a model with a linear head."""

    model: CellTextModel
    head: nn.Linear
    tokenizer: CellTokenizer
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

    @cached_property
    def _measured(self) -> NDArray[np.bool_]:
        return measured_genes(self.rows)

    def _logits(self, batch: NDArray[np.intp]) -> Tensor:
        tokens = self.tokenizer.tokenize(sparse.csr_matrix(self.rows[batch]), measured=self._measured)
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


@dataclass(frozen=True)
class FineTunedModel:
    """Fine-tuned copy of a model with a linear head; the original model is unchanged."""

    embedder: Embedder
    names: tuple[str, ...]
    weight: Float[np.ndarray, "dim name"] = field(repr=False)
    bias: Float[np.ndarray, "name"] = field(repr=False)
    n_train_cells: int
    """Number of training cells, without validation cells."""
    losses: tuple[float, ...]
    """Validation cross-entropy before training and after each epoch."""
    n_trainable: int
    """Number of trainable parameters of the model, without the head."""

    def logits(self, expression: Expression, progress: Progress | None = None) -> Float[np.ndarray, "cell name"]:
        """Return the logits of each label; NaN for a cell without expression."""
        return self.embedder.embed_cells(expression, progress) @ self.weight + self.bias


def fine_tune(
    reference: Expression,
    labels: ExampleLabels,
    embedder: Embedder,
    *,
    method: TuningMethod = "encoder",
    donors: NDArray[np.str_] | None = None,
    seed: int = 0,
    settings: FineTuningSettings | None = None,
) -> FineTunedModel:
    """Fine-tune a copy of the cell encoder, with a linear head initialised from the label texts.

    The loss is cross-entropy with class weights (inverse square root of the class frequency). Training stops early on
    validation cells or donors and restores the best epoch, or the initial weights if no epoch is better. Memory holds the
    training rows.

    Parameters
    ----------
    reference
        Expression of the reference cells.
    labels
        Labels of the reference cells.
    embedder
        Model to fine-tune; it is not modified.
    method
        encoder: the whole cell encoder and its projector are trained. lora: only low-rank adapters of its linear layers (Hu
        et al. 2021, arXiv 2106.09685) are trained, and merged into the layers at the end.
    donors
        Donor of each reference cell.
    seed
        Random seed of subsampling, validation split and training.
    settings
        Settings of fine-tuning.

    Raises
    ------
    MissingExtraError
        If ``peft`` is needed and not installed.
    InputError
        If no labelled cell expresses a gene of the model's vocabulary.
    """
    settings = FineTuningSettings() if settings is None else settings
    rows, label_idx, groups = _training_rows(reference, labels, embedder, donors, settings, seed)
    fold = assign_folds(label_idx, groups, np.random.default_rng(seed))
    is_validation = _validation_mask(
        fold, label_idx, settings.validation_fraction, seed, by_group=groups is not None and len(np.unique(groups)) >= 3
    )
    # The global random state must not change.
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        # The text encoder is not trained: it is shared, not copied.
        text_encoder = embedder.model.text_encoder
        model = copy.deepcopy(embedder.model, {id(text_encoder): text_encoder})
        trainable = _trainable_parameters(model, method, settings)
        softmax_temperature = calibrated_temperature(embedder.facts, embedder.n_measured_genes(reference))
        head = _init_head(candidate_vectors(labels.candidates, embedder) / softmax_temperature)
        tokenizer = build_tokenizer(model.settings.tokeniser, embedder.vocabulary, embedder.gene_table)
        trainer = Trainer(model, head, tokenizer, rows, torch.from_numpy(label_idx))
        # If each type has one cell there are no validation cells, and the training loss is used.
        validation_idx = np.flatnonzero(is_validation) if is_validation.any() else np.arange(len(is_validation))
        learning_rate = settings.lora_learning_rate if method == "lora" else settings.learning_rate
        losses = trainer.fit(np.flatnonzero(~is_validation), validation_idx, trainable, learning_rate, settings, seed)
        _merge_adapters(model)
    facts = {**embedder.facts, "weights_sha256": ""}
    checkpoint = Checkpoint(
        model.eval().requires_grad_(False), embedder.vocabulary, facts, f"{embedder.name}, tuned ({method})"
    )
    weight, bias = head.weight.detach().numpy().T.copy(), head.bias.detach().numpy().copy()
    n_trainable = sum(parameter.numel() for parameter in trainable)
    return FineTunedModel(
        Embedder(checkpoint), labels.names, weight, bias, int((~is_validation).sum()), tuple(losses), n_trainable
    )


def _training_rows(
    reference: Expression,
    labels: ExampleLabels,
    embedder: Embedder,
    donors: NDArray[np.str_] | None,
    settings: FineTuningSettings,
    seed: int,
) -> tuple[sparse.csr_matrix, NDArray[np.intp], NDArray[np.str_] | None]:
    """Read the training rows: labelled cells with expression of the model's genes."""
    in_vocabulary = embedder.vocabulary.tokens(embedder.gene_table) > 0
    has_expression = np.concatenate(
        [np.diff(block[:, in_vocabulary].indptr) > 0 for block in reference.blocks()] or [np.zeros(0, bool)]
    )
    train_idx = balanced_subsample(
        np.flatnonzero(has_expression & (labels.label_idx >= 0)), labels.label_idx, settings.max_cells, seed
    )
    if not len(train_idx):
        raise InputError("No labelled cell of the reference expresses a gene of the model's vocabulary.")
    rows = sparse.csr_matrix(sparse.vstack(list(iter_rows(reference, train_idx)), format="csr"))
    return rows, labels.label_idx[train_idx], None if donors is None else np.asarray(donors, dtype=str)[train_idx]


def _validation_mask(
    fold: NDArray[np.int64], label_idx: NDArray[np.intp], fraction: float, seed: int, *, by_group: bool
) -> NDArray[np.bool_]:
    """Choose validation cells: one fold of donors, or a random fraction of the cells; never all cells of a type."""
    is_validation = fold == 0 if by_group else np.random.default_rng(seed).random(len(label_idx)) < fraction
    n_train = np.bincount(label_idx[~is_validation], minlength=int(label_idx.max()) + 1)
    is_validation &= n_train[label_idx] > 0
    if not is_validation.any():
        is_validation[np.flatnonzero(np.bincount(label_idx)[label_idx] > 1)[:1]] = True
    return is_validation


def _init_head(weight: Float[np.ndarray, "name dim"]) -> nn.Linear:
    head = nn.Linear(weight.shape[1], weight.shape[0])
    with torch.no_grad():
        head.weight.copy_(torch.from_numpy(weight))
        head.bias.zero_()
    return head


def _trainable_parameters(
    model: CellTextModel, method: TuningMethod, settings: FineTuningSettings
) -> list[nn.Parameter]:
    """Return the parameters to train, and freeze all others."""
    model.requires_grad_(False)
    if method == "lora":
        if model.settings.cell_encoder.kind == "linear":
            raise InputError(
                "The cell encoder of this model is linear, without layers for lora; use 'encoder' or 'head'."
            )
        model.cell_encoder = add_lora(model.cell_encoder, settings.rank)
    else:
        model.cell_encoder.requires_grad_(True)
        model.cell_projector.requires_grad_(True)
    return [parameter for parameter in model.parameters() if parameter.requires_grad]


def _merge_adapters(model: CellTextModel) -> None:

    model.cell_encoder = merge_lora(model.cell_encoder)
