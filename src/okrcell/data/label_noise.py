"""Label and expression noise for robustness experiments; the affected cells are recorded."""

from dataclasses import dataclass, replace
from typing import Annotated, Literal, get_args

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, ValidationInfo, field_validator

from okrcell.errors import InputError
from okrcell.pairs.mislabelling import find_partners, group_identical_texts, limit_partners, sibling_types, swap_labels
from okrcell.data.dataset import PairDataset
from okrcell.data.expression_noise import (
    AmbientNoise,
    DoubletNoise,
    DropoutNoise,
    ExpressionNoise,
    NoisyCells,
    PermutationNoise,
)
from okrcell.settings import Settings

NoiseKind = Literal["none", "shuffled", "sibling", "dropout", "ambient", "doublets", "permuted"]

NOISE_DESCRIPTIONS: dict[NoiseKind, tuple[str, str]] = {
    "shuffled": ("exchange descriptions with cells of other types", "there are no two cells of different types"),
    "sibling": (
        "have the description of a sibling type",
        "no two cell types of the corpus share a near parent in the Cell Ontology",
    ),
    "dropout": ("lose expression", "there are none"),
    "ambient": ("are mixed with the mean of their study", "there are none"),
    "doublets": ("are doublets with a cell of another type", "no study has cells of two types"),
    "permuted": ("have values of genes permuted", "there are none"),
}
"""By kind of noise: its effect on cells, and why it may be impossible."""


class NoiseSettings(Settings):
    """Noise that is added to the training pairs for robustness experiments (method 8.2). No noise by default."""

    kind: NoiseKind = "none"
    """shuffled: descriptions are permuted between cells, so that no cell keeps its cell type or a text of it [paper, 30 %;
    the procedure is our reconstruction]. sibling: a cell gets the description of a type that shares a direct parent in the
    Cell Ontology with its own, from a cell of the same study if there is one, otherwise of the same tissue (ours: typical
    annotation errors). permuted: values of a fraction of the genes are permuted [paper, 30 %; the procedure is our
    reconstruction]. dropout: expression is lost. ambient: molecules of the study's mean profile replace molecules of the
    cell (ours). doublets: a cell of another type of the same study is added (ours)."""
    rate: Annotated[float, Field(ge=0, le=1)] = 0.0
    """Fraction of cells with noise; cells selected at a lower rate are also selected at every higher rate."""
    share_of: Literal["able", "all"] = "able"
    """Cells that ``rate`` refers to. able: the described training cells to which this noise can apply, as is customary for
    class-dependent errors (arXiv 1609.03683): if the wrong label is more frequent than the right one, no method can tell
    them apart. all: all described training cells, as far as the noise can apply to enough of them."""
    seed: Annotated[int, Field(ge=0)] = 0
    """Random seed of the selection of cells and of the noise."""
    broadest: Annotated[int, Field(ge=1)] = 500
    """sibling: maximum number of descendants of the common parent. Children of broader parents are not similar: all but a few
    of the 3,000 types descend from "eukaryotic cell" (ours)."""
    mistaken: Annotated[float, Field(gt=0)] | None = None
    """sibling: maximum number of cells wrongly labelled with a type, per training cell of this type; unlimited by default.
    Without a limit, cells of a common type can outnumber the true cells of a rare sibling: its label is then mostly wrong,
    which no method can detect (ours)."""
    lost: Annotated[float, Field(gt=0, le=1)] = 0.5
    """dropout: probability that an expressed value (or molecule) is lost."""
    lose: Literal["values", "molecules"] = "values"
    """dropout: unit that is lost: the whole value of a gene, or single molecules (binomial thinning)."""
    ambient: Annotated[float, Field(gt=0, le=1)] = 0.5
    """ambient: fraction of a cell's molecules that is replaced by ambient molecules."""
    permuted: Annotated[float, Field(gt=0, le=1)] = 0.3
    """permuted: fraction of a cell's expressed genes whose values are permuted [paper]."""

    @field_validator("rate")
    @classmethod
    def _check_kind(cls, rate: float, info: ValidationInfo) -> float:
        if rate > 0 and info.data.get("kind") == "none":
            raise ValueError("kind none requires the rate 0; choose a kind of noise")
        return rate


@dataclass(frozen=True)
class NoisyDataset:
    """Pairs with added noise."""

    dataset: PairDataset
    is_noisy: NDArray[np.bool_]
    """Bool, for each cell of the corpus, whether noise was applied."""
    note: str
    """Summary of the noise, in sentences."""


def add_noise(dataset: PairDataset, rows: NDArray[np.integer], settings: NoiseSettings) -> NoisyDataset:
    """Add noise to a fraction of the described cells among ``rows``; all other cells, and the order, are unchanged.

    The selection of cells and the noise depend on the seed and the corpus only, not on batches. Noise of different kinds
    can be combined by repeated calls.

    Parameters
    ----------
    dataset
        Pairs of the corpus; not modified.
    rows
        Training cells, as rows of the corpus.
    settings
        Kind, rate and seed of the noise.

    Raises
    ------
    InputError
        If the noise changes no cell.
    """
    is_noisy = np.zeros(len(dataset.description), dtype=bool)
    if settings.kind == "none" or settings.rate == 0:
        return NoisyDataset(dataset, is_noisy, "No noise.")
    rows = np.unique(np.asarray(rows, dtype=np.int64))
    described_rows = rows[dataset.has_text[rows]]
    partner = _noise_partners(dataset, described_rows, settings)
    eligible = described_rows[partner[described_rows] >= 0]
    selected = _select_cells(eligible, len(described_rows), len(is_noisy), settings)
    if settings.kind == "shuffled":
        group = group_identical_texts(dataset.text_indices, dataset.cell_type)[dataset.description]
        source = selected[swap_labels(group[selected], _rng(settings, 2))]
        is_noisy[selected] = group[source] != group[selected]
        noisy_dataset = _relabel(dataset, selected, source)
    elif settings.kind == "sibling":
        is_noisy[selected] = True
        noisy_dataset = _relabel(dataset, selected, partner[selected])
    else:
        is_noisy[selected] = True
        noisy_dataset = replace(
            dataset,
            cells=NoisyCells(
                dataset.cells, is_noisy, _expression_noise(dataset, rows, partner, settings), (*_seed(settings), 3)
            ),
        )
    if not is_noisy.any():
        raise InputError(
            f"Noise of kind {settings.kind} at rate {settings.rate:g} changes none of the {len(described_rows):,} described "
            f"training cells: {_reason_unchanged(settings, len(eligible))}. Choose another kind or rate, or none."
        )
    return NoisyDataset(
        noisy_dataset,
        is_noisy,
        _noise_note(settings.kind, len(described_rows), len(eligible), len(selected), int(is_noisy.sum())),
    )


def _noise_partners(dataset: PairDataset, rows: NDArray[np.int64], settings: NoiseSettings) -> NDArray[np.int64]:
    """For each cell of the corpus, the source of its noise: a row, -1 if there is none, itself if none is needed."""
    cell_type = dataset.cell_type[dataset.description]
    random_numbers = _rng(settings, 1).random(len(cell_type))
    if settings.kind == "sibling":
        present_types = set(cell_type[rows].tolist())
        names = [name if index in present_types else "" for index, name in enumerate(dataset.cell_type_names)]
        groupings = (_study_codes(dataset), _tissue_codes(dataset), np.zeros(len(cell_type), dtype=np.int64))
        partner = find_partners(rows, cell_type, sibling_types(names, settings.broadest), groupings, random_numbers)
        if settings.mistaken is not None:
            order = rows[np.argsort(_selection_order(settings, len(cell_type))[rows], kind="stable")]
            partner = limit_partners(partner, order, cell_type, settings.mistaken)
        return partner
    if settings.kind == "doublets":
        other_types = ~np.eye(len(dataset.cell_type_names), dtype=bool)
        return find_partners(rows, cell_type, other_types, (_study_codes(dataset),), random_numbers)
    return np.arange(len(cell_type))


def _select_cells(
    eligible: NDArray[np.int64], n_described: int, n_cells: int, settings: NoiseSettings
) -> NDArray[np.int64]:
    """Select exactly the number of cells given by the rate: those with the lowest random numbers."""
    n_reference = len(eligible) if settings.share_of == "able" else n_described
    return np.sort(
        eligible[
            np.argsort(_selection_order(settings, n_cells)[eligible], kind="stable")[
                : round(settings.rate * n_reference)
            ]
        ]
    )


def _selection_order(settings: NoiseSettings, n_cells: int) -> NDArray[np.float64]:
    """For each cell of the corpus, a random number in [0, 1); cells with lower numbers are selected first."""
    return _rng(settings, 0).random(n_cells)


def _relabel(dataset: PairDataset, rows: NDArray[np.int64], source: NDArray[np.int64]) -> PairDataset:
    description = dataset.description.copy()
    description[rows] = dataset.description[source]
    return replace(dataset, description=description)


def _expression_noise(
    dataset: PairDataset, rows: NDArray[np.int64], partner: NDArray[np.int64], settings: NoiseSettings
) -> ExpressionNoise:
    if settings.kind == "dropout":
        return DropoutNoise(settings.lost, settings.lose)
    if settings.kind == "permuted":
        return PermutationNoise(settings.permuted)
    if settings.kind == "doublets":
        return DoubletNoise(dataset.cells, partner)
    return AmbientNoise.from_cells(dataset.cells, rows, _study_codes(dataset), settings.ambient)


def _study_codes(dataset: PairDataset) -> NDArray[np.int64]:
    return dataset.corpus.obs["study"].cat.codes.to_numpy(dtype=np.int64)


def _tissue_codes(dataset: PairDataset) -> NDArray[np.int64]:
    """For each cell of the corpus, the index of its tissue, -1 if unknown."""
    names = [description.profile.tissue_id or description.profile.tissue for description in dataset.descriptions]
    code_of = {name: code for code, name in enumerate(sorted(set(names) - {""}))}
    return np.array([code_of.get(name, -1) for name in names], dtype=np.int64)[dataset.clean_description]


def _seed(settings: NoiseSettings) -> tuple[int, int]:
    return settings.seed, get_args(NoiseKind).index(settings.kind)


def _rng(settings: NoiseSettings, purpose: int) -> np.random.Generator:
    return np.random.default_rng([*_seed(settings), purpose])


def _reason_unchanged(settings: NoiseSettings, n_eligible: int) -> str:
    if n_eligible > 1:
        return f"the rate selects too few, or all are of one type ({n_eligible:,} are eligible)"
    return NOISE_DESCRIPTIONS[settings.kind][1]


def _noise_note(kind: NoiseKind, n_described: int, n_eligible: int, n_selected: int, n_noisy: int) -> str:
    note = f"{n_noisy:,} of {n_described:,} described training cells ({n_noisy / n_described:.1%}) {NOISE_DESCRIPTIONS[kind][0]}."
    if n_eligible < n_described:
        note += f" {n_described - n_eligible:,} cannot have this noise; it is {n_noisy / n_eligible:.1%} of the others."
    if n_noisy < n_selected:
        note += f" {n_selected - n_noisy:,} more were chosen but keep their type, which has more than half of the chosen cells."
    return note
