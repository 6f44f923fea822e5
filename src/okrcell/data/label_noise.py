"""Label and expression noise for robustness experiments; the affected cells are recorded."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, ValidationInfo, field_validator
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from okrcell.data.dataset import PairDataset
from okrcell.data.expression_noise import (
    AmbientNoise,
    DoubletNoise,
    DropoutNoise,
    ExpressionNoise,
    NoisyCells,
    PermutationNoise,
)
from okrcell.errors import InputError
from okrcell.ontology.ontology import ontology
from okrcell.settings import Settings

N_RANDOM_TRIES = 64
"""Number of random swap candidates that are tried before all are searched."""


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


def group_identical_texts(text_indices: Sequence[NDArray[np.int32]], cell_type: NDArray[np.int32]) -> NDArray[np.int32]:
    """Group descriptions: those of one cell type, and of types that have a text in common, get the same group index.

    Parameters
    ----------
    text_indices
        For each description, the indices of its texts.
    cell_type
        For each description, the index of its cell type; -1 if unknown.

    Returns
    -------
    int32, group index of each description.
    """
    text = np.concatenate([np.zeros(0, dtype=np.int32), *text_indices])
    # A description of an unknown type has no texts.
    text_types = np.repeat(cell_type, [len(indices) for indices in text_indices])
    n_types, n_texts = int(cell_type.max(initial=-1)) + 1, int(text.max(initial=-1)) + 1
    link: Any = coo_matrix(
        (np.ones(len(text)), (text_types, text + n_types)), shape=(n_types + n_texts, n_types + n_texts)
    )
    return connected_components(link, directed=False)[1][cell_type]


def swap_labels(group: NDArray[np.integer], rng: np.random.Generator) -> NDArray[np.int64]:
    """Permutation of cells in which no cell gets the description of a cell of its own group.

    A random permutation, followed by swaps for the cells that got their own group. Such a swap exists unless one group has
    more than half of all cells; then the number of cells that keep their own group is minimal (ours).

    Parameters
    ----------
    group
        For each cell, the index of its group.
    rng
        Source of the permutation.

    Returns
    -------
    For each cell, the index of the cell whose description it gets; each index once.
    """
    source = rng.permutation(len(group))
    for i in np.flatnonzero(group[source] == group).tolist():
        group_id = group[i]
        if group[source[i]] != group_id:
            continue  # Already resolved by an earlier swap.
        tries = rng.integers(0, len(group), N_RANDOM_TRIES)
        valid = tries[(group[tries] != group_id) & (group[source[tries]] != group_id)]
        if not len(valid):
            valid = rng.permutation(np.flatnonzero((group != group_id) & (group[source] != group_id)))
        if len(valid):
            j = int(valid[0])
            source[i], source[j] = source[j], source[i]
    return source


def sibling_types(names: Sequence[str], max_descendants: int) -> NDArray[np.bool_]:
    """Pairs of cell types that share a direct parent in the Cell Ontology and exclude each other.

    Types of which one is an ancestor of the other, or that have a descendant in common (a naive regulatory T cell is both a
    naive and a regulatory T cell), are not siblings.

    Parameters
    ----------
    names
        Cell Ontology ids in use; other names have no siblings.
    max_descendants
        Maximum number of descendants of a parent; children of broader parents do not count as siblings.

    Returns
    -------
    Bool of shape (type, type), symmetric.
    """
    cl = ontology("CL")
    is_sibling = np.zeros((len(names), len(names)), dtype=bool)
    index_of = {name: index for index, name in enumerate(names) if cl.current_id(name) == name}
    children: dict[str, list[str]] = {}
    for name in index_of:
        for parent in cl.parents(name):
            if cl.n_descendants.get(parent, 0) <= max_descendants:
                children.setdefault(parent, []).append(name)
    for name, index in index_of.items():
        sibling_names = {child for parent in cl.parents(name) for child in children.get(parent, ())} - cl.overlapping(
            name
        )
        is_sibling[index, [index_of[sibling] for sibling in sibling_names]] = True
    return is_sibling


def find_partners(
    rows: NDArray[np.int64],
    cell_type: NDArray[np.integer],
    allowed: NDArray[np.bool_],
    groupings: Sequence[NDArray[np.integer]],
    random_numbers: NDArray[np.float64],
) -> NDArray[np.int64]:
    """Partner of each cell: another cell of an ``allowed`` type, from the first grouping that contains one.

    Within a group all allowed cells have equal probability, so that common types are chosen more often than rare ones.

    Parameters
    ----------
    rows
        Cells, as rows of the corpus, that get a partner and are partners.
    cell_type
        For each row of the corpus, the index of its cell type.
    allowed
        Bool of shape (type, type).
    groupings
        Groupings in order of preference; each holds the group index of each row of the corpus, -1 for no group.
    random_numbers
        For each row of the corpus, a uniform random number in [0, 1) that selects the partner.

    Returns
    -------
    int64, for each row of the corpus, the row of its partner, -1 if there is none.
    """
    partner = np.full(len(cell_type), -1, dtype=np.int64)
    for grouping in groupings:
        unmatched = rows[(partner[rows] < 0) & (grouping[rows] >= 0)]
        for members, group_rows in _group_members(rows[grouping[rows] >= 0], unmatched, grouping):
            for _, same_type_rows in _group_rows(group_rows, cell_type):
                candidates = members[allowed[cell_type[same_type_rows[0]], cell_type[members]]]
                if len(candidates):
                    partner[same_type_rows] = candidates[
                        (random_numbers[same_type_rows] * len(candidates)).astype(np.int64)
                    ]
    return partner


def limit_partners(
    partner: NDArray[np.int64], order: NDArray[np.int64], cell_type: NDArray[np.integer], max_ratio: float
) -> NDArray[np.int64]:
    """Limit how often each cell type occurs among the partners.

    Parameters
    ----------
    partner
        For each row of the corpus, the row of its partner, -1 if there is none.
    order
        Cells, as rows of the corpus, in order of priority.
    cell_type
        For each row of the corpus, the index of its cell type.
    max_ratio
        Maximum number of partners of a type, per cell of this type in ``order``.

    Returns
    -------
    ``partner``, with -1 for the cells beyond the limit.
    """
    cells_by_type = dict(_group_rows(order, cell_type))
    limited = partner.copy()
    for type_id, type_rows in _group_rows(order[partner[order] >= 0], cell_type[partner]):
        limited[type_rows[int(max_ratio * len(cells_by_type[type_id])) :]] = -1
    return limited


def _group_members(
    rows: NDArray[np.int64], unmatched: NDArray[np.int64], grouping: NDArray[np.integer]
) -> list[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """For each group, all of its cells and those without a partner."""
    members = dict(_group_rows(rows, grouping))
    return [(members[group_id], group_rows) for group_id, group_rows in _group_rows(unmatched, grouping)]


def _group_rows(rows: NDArray[np.int64], code: NDArray[np.integer]) -> list[tuple[int, NDArray[np.int64]]]:
    """Group rows by their code; the order within a group is preserved."""
    sorted_rows = rows[np.argsort(code[rows], kind="stable")]
    codes, starts = np.unique(code[sorted_rows], return_index=True)
    return list(zip(codes.tolist(), np.split(sorted_rows, starts[1:]), strict=True)) if len(rows) else []


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
    fraction = n_noisy / n_described
    note = f"{n_noisy:,} of {n_described:,} described training cells ({fraction:.1%}) {NOISE_DESCRIPTIONS[kind][0]}."
    if n_eligible < n_described:
        note += f" {n_described - n_eligible:,} cannot have this noise; it is {n_noisy / n_eligible:.1%} of the others."
    if n_noisy < n_selected:
        note += f" {n_selected - n_noisy:,} more were chosen but keep their type, which has more than half of the chosen cells."
    return note
