"""Fine-tuning of the cell encoder on a labelled reference (full or LoRA)."""

import copy
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from scipy import sparse
from torch import nn

from okrcell.cells.expression import Expression
from okrcell.cells.samples.some_cells import iter_rows
from okrcell.cells.tokenizer import BinTokenizer
from okrcell.errors import InputError
from okrcell.model.cell_text_model import CellTextModel
from okrcell.model.checkpoint import Checkpoint
from okrcell.model.embedder import Embedder, Progress
from okrcell.tasks.auditing.other_cells import assign_folds
from okrcell.tasks.candidates import candidate_vectors
from okrcell.tasks.confidence import calibrated_temperature
from okrcell.tasks.examples.evenly import balanced_subsample
from okrcell.tasks.examples.fine_tuning_settings import FineTuningSettings
from okrcell.tasks.examples.learner import Trainer
from okrcell.tasks.classifier import ExampleLabels

TuningMethod = Literal["encoder", "lora"]


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
        tokenizer = BinTokenizer(model.settings.tokeniser, embedder.vocabulary, embedder.gene_table)
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
        from okrcell.tasks.examples.adapters import add_lora

        model.cell_encoder = add_lora(model.cell_encoder, settings.rank)
    else:
        model.cell_encoder.requires_grad_(True)
        model.cell_projector.requires_grad_(True)
    return [parameter for parameter in model.parameters() if parameter.requires_grad]


def _merge_adapters(model: CellTextModel) -> None:
    from okrcell.tasks.examples.adapters import merge_lora

    model.cell_encoder = merge_lora(model.cell_encoder)
