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
from okrcell.cells.samples.some_cells import some_cells
from okrcell.cells.tokenise import BinTokeniser
from okrcell.errors import InputError
from okrcell.model.cell_text_model import CellTextModel
from okrcell.model.checkpoint import Checkpoint
from okrcell.model.embedder import Embedder, Progress
from okrcell.tasks.auditing.other_cells import folds
from okrcell.tasks.candidates import candidate_vectors
from okrcell.tasks.confidence import temperature
from okrcell.tasks.examples.evenly import evenly
from okrcell.tasks.examples.fine_tuning_settings import FineTuningSettings
from okrcell.tasks.examples.learner import Learner
from okrcell.tasks.examples.words import Labels

Method = Literal["encoder", "lora"]


@dataclass(frozen=True)
class Tuned:
    """Fine-tuned copy of a model with a linear head; the original model is unchanged."""

    embedder: Embedder
    names: tuple[str, ...]
    weight: Float[np.ndarray, "dim name"] = field(repr=False)
    bias: Float[np.ndarray, "name"] = field(repr=False)
    learned_from: int
    """Number of training cells, without validation cells."""
    losses: tuple[float, ...]
    """Validation cross-entropy before training and after each epoch."""
    learned: int
    """Number of trainable parameters of the model, without the head."""

    def logits(self, expression: Expression, progress: Progress | None = None) -> Float[np.ndarray, "cell name"]:
        """Return the logits of each label; NaN for a cell without expression."""
        return self.embedder.embed_cells(expression, progress) @ self.weight + self.bias


def fine_tune(
    reference: Expression,
    labels: Labels,
    embedder: Embedder,
    *,
    method: Method = "encoder",
    donors: NDArray[np.str_] | None = None,
    seed: int = 0,
    settings: FineTuningSettings | None = None,
) -> Tuned:
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
    rows, given, groups = _taught(reference, labels, embedder, donors, settings, seed)
    fold = folds(given, groups, np.random.default_rng(seed))
    out = _held_out(fold, given, settings.held_out, seed, whole=groups is not None and len(np.unique(groups)) >= 3)
    # The global random state must not change.
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        # The text encoder is not trained: it is shared, not copied.
        text_encoder = embedder.model.text_encoder
        model = copy.deepcopy(embedder.model, {id(text_encoder): text_encoder})
        tunable = _tunable(model, method, settings)
        divisor = temperature(embedder.facts, embedder.measured(reference))
        head = _head(candidate_vectors(labels.candidates, embedder) / divisor)
        tokeniser = BinTokeniser(model.settings.tokeniser, embedder.vocabulary, embedder.table)
        learner = Learner(model, head, tokeniser, rows, torch.from_numpy(given))
        # If each type has one cell there are no validation cells, and the training loss is used.
        judges = np.flatnonzero(out) if out.any() else np.arange(len(out))
        rate = settings.lora_learning_rate if method == "lora" else settings.learning_rate
        losses = learner.learn(np.flatnonzero(~out), judges, tunable, rate, settings, seed)
        _merge(model)
    facts = {**embedder.facts, "weights_sha256": ""}
    named = Checkpoint(
        model.eval().requires_grad_(False), embedder.vocabulary, facts, f"{embedder.name}, tuned ({method})"
    )
    weight, bias = head.weight.detach().numpy().T.copy(), head.bias.detach().numpy().copy()
    free = sum(part.numel() for part in tunable)
    return Tuned(Embedder(named), labels.names, weight, bias, int((~out).sum()), tuple(losses), free)


def _taught(
    reference: Expression,
    labels: Labels,
    embedder: Embedder,
    donors: NDArray[np.str_] | None,
    settings: FineTuningSettings,
    seed: int,
) -> tuple[sparse.csr_matrix, NDArray[np.intp], NDArray[np.str_] | None]:
    """Read the training rows: labelled cells with expression of the model's genes."""
    token = embedder.vocabulary.tokens(embedder.table) > 0
    seen = np.concatenate([np.diff(block[:, token].indptr) > 0 for block in reference.blocks()] or [np.zeros(0, bool)])
    known = evenly(np.flatnonzero(seen & (labels.given >= 0)), labels.given, settings.most_cells, seed)
    if not len(known):
        raise InputError("No labelled cell of the reference expresses a gene of the model's vocabulary.")
    rows = sparse.csr_matrix(sparse.vstack(list(some_cells(reference, known)), format="csr"))
    return rows, labels.given[known], None if donors is None else np.asarray(donors, dtype=str)[known]


def _held_out(
    fold: NDArray[np.int64], given: NDArray[np.intp], share: float, seed: int, *, whole: bool
) -> NDArray[np.bool_]:
    """Choose validation cells: one fold of donors, or a random fraction of the cells; never all cells of a type."""
    out = fold == 0 if whole else np.random.default_rng(seed).random(len(given)) < share
    taught = np.bincount(given[~out], minlength=int(given.max()) + 1)
    out &= taught[given] > 0
    if not out.any():
        out[np.flatnonzero(np.bincount(given)[given] > 1)[:1]] = True
    return out


def _head(start: Float[np.ndarray, "name dim"]) -> nn.Linear:
    head = nn.Linear(start.shape[1], start.shape[0])
    with torch.no_grad():
        head.weight.copy_(torch.from_numpy(start))
        head.bias.zero_()
    return head


def _tunable(model: CellTextModel, method: Method, settings: FineTuningSettings) -> list[nn.Parameter]:
    """Return the parameters to train, and freeze all others."""
    model.requires_grad_(False)
    if method == "lora":
        from okrcell.tasks.examples.adapters import with_adapters

        model.cell_encoder = with_adapters(model.cell_encoder, settings.rank)
    else:
        model.cell_encoder.requires_grad_(True)
        model.cell_projector.requires_grad_(True)
    return [part for part in model.parameters() if part.requires_grad]


def _merge(model: CellTextModel) -> None:
    from okrcell.tasks.examples.adapters import merged

    model.cell_encoder = merged(model.cell_encoder)
