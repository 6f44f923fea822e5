"""Label and expression noise for robustness experiments; the affected cells are recorded."""

from dataclasses import dataclass, replace
from typing import Annotated, Literal, get_args

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, ValidationInfo, field_validator

from okrcell.errors import InputError
from okrcell.pairs.mislabelling import bounded, exchanged, partners, read_alike, siblings
from okrcell.pairs.pair import Pairs
from okrcell.pairs.tampering import Ambient, Doublets, Dropout, Harm, Permuted, Tampered
from okrcell.settings import Settings

NoiseKind = Literal["none", "shuffled", "sibling", "dropout", "ambient", "doublets", "permuted"]

TOLD: dict[NoiseKind, tuple[str, str]] = {
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
    def _of_some_kind(cls, rate: float, others: ValidationInfo) -> float:
        if rate > 0 and others.data.get("kind") == "none":
            raise ValueError("kind none requires the rate 0; choose a kind of noise")
        return rate


@dataclass(frozen=True)
class Noisy:
    """Pairs with added noise."""

    pairs: Pairs
    wrong: NDArray[np.bool_]
    """Bool, for each cell of the corpus, whether noise was applied."""
    note: str
    """Summary of the noise, in sentences."""


def noisy(pairs: Pairs, rows: NDArray[np.integer], settings: NoiseSettings) -> Noisy:
    """Add noise to a fraction of the described cells among ``rows``; all other cells, and the order, are unchanged.

    The selection of cells and the noise depend on the seed and the corpus only, not on batches. Noise of different kinds
    can be combined by repeated calls.

    Parameters
    ----------
    pairs
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
    wrong = np.zeros(len(pairs.description), dtype=bool)
    if settings.kind == "none" or settings.rate == 0:
        return Noisy(pairs, wrong, "No noise.")
    rows = np.unique(np.asarray(rows, dtype=np.int64))
    described = rows[pairs.described[rows]]
    partner = _partners(pairs, described, settings)
    able = described[partner[described] >= 0]
    chosen = _chosen(able, len(described), len(wrong), settings)
    if settings.kind == "shuffled":
        kind = read_alike(pairs.phrasings, pairs.cell_type)[pairs.description]
        source = chosen[exchanged(kind[chosen], _rng(settings, 2))]
        wrong[chosen] = kind[source] != kind[chosen]
        made = _relabelled(pairs, chosen, source)
    elif settings.kind == "sibling":
        wrong[chosen] = True
        made = _relabelled(pairs, chosen, partner[chosen])
    else:
        wrong[chosen] = True
        made = replace(
            pairs, cells=Tampered(pairs.cells, wrong, _harm(pairs, rows, partner, settings), (*_seed(settings), 3))
        )
    if not wrong.any():
        raise InputError(
            f"Noise of kind {settings.kind} at rate {settings.rate:g} changes none of the {len(described):,} described "
            f"training cells: {_why_not(settings, len(able))}. Choose another kind or rate, or none."
        )
    return Noisy(made, wrong, _note(settings.kind, len(described), len(able), len(chosen), int(wrong.sum())))


def _partners(pairs: Pairs, rows: NDArray[np.int64], settings: NoiseSettings) -> NDArray[np.int64]:
    """For each cell of the corpus, the source of its noise: a row, -1 if there is none, itself if none is needed."""
    kind = pairs.cell_type[pairs.description]
    chance = _rng(settings, 1).random(len(kind))
    if settings.kind == "sibling":
        present = set(kind[rows].tolist())
        names = [name if number in present else "" for number, name in enumerate(pairs.cell_type_names)]
        companies = (_study(pairs), _tissue(pairs), np.zeros(len(kind), dtype=np.int64))
        found = partners(rows, kind, siblings(names, settings.broadest), companies, chance)
        if settings.mistaken is not None:
            order = rows[np.argsort(_lottery(settings, len(kind))[rows], kind="stable")]
            found = bounded(found, order, kind, settings.mistaken)
        return found
    if settings.kind == "doublets":
        others = ~np.eye(len(pairs.cell_type_names), dtype=bool)
        return partners(rows, kind, others, (_study(pairs),), chance)
    return np.arange(len(kind))


def _chosen(able: NDArray[np.int64], described: int, cells: int, settings: NoiseSettings) -> NDArray[np.int64]:
    """Select exactly the number of cells given by the rate: those with the lowest random numbers."""
    whole = len(able) if settings.share_of == "able" else described
    return np.sort(able[np.argsort(_lottery(settings, cells)[able], kind="stable")[: round(settings.rate * whole)]])


def _lottery(settings: NoiseSettings, cells: int) -> NDArray[np.float64]:
    """For each cell of the corpus, a random number in [0, 1); cells with lower numbers are selected first."""
    return _rng(settings, 0).random(cells)


def _relabelled(pairs: Pairs, rows: NDArray[np.int64], source: NDArray[np.int64]) -> Pairs:
    description = pairs.description.copy()
    description[rows] = pairs.description[source]
    return replace(pairs, description=description)


def _harm(pairs: Pairs, rows: NDArray[np.int64], partner: NDArray[np.int64], settings: NoiseSettings) -> Harm:
    if settings.kind == "dropout":
        return Dropout(settings.lost, settings.lose)
    if settings.kind == "permuted":
        return Permuted(settings.permuted)
    if settings.kind == "doublets":
        return Doublets(pairs.cells, partner)
    return Ambient.of(pairs.cells, rows, _study(pairs), settings.ambient)


def _study(pairs: Pairs) -> NDArray[np.int64]:
    return pairs.corpus.obs["study"].cat.codes.to_numpy(dtype=np.int64)


def _tissue(pairs: Pairs) -> NDArray[np.int64]:
    """For each cell of the corpus, the index of its tissue, -1 if unknown."""
    names = [each.profile.tissue_id or each.profile.tissue for each in pairs.descriptions]
    number = {name: place for place, name in enumerate(sorted(set(names) - {""}))}
    return np.array([number.get(name, -1) for name in names], dtype=np.int64)[pairs.description_before_noise]


def _seed(settings: NoiseSettings) -> tuple[int, int]:
    return settings.seed, get_args(NoiseKind).index(settings.kind)


def _rng(settings: NoiseSettings, purpose: int) -> np.random.Generator:
    return np.random.default_rng([*_seed(settings), purpose])


def _why_not(settings: NoiseSettings, able: int) -> str:
    if able > 1:
        return f"the rate selects too few, or all are of one type ({able:,} are eligible)"
    return TOLD[settings.kind][1]


def _note(kind: NoiseKind, described: int, able: int, chosen: int, harmed: int) -> str:
    note = f"{harmed:,} of {described:,} described training cells ({harmed / described:.1%}) {TOLD[kind][0]}."
    if able < described:
        note += f" {described - able:,} cannot have this noise; it is {harmed / able:.1%} of the others."
    if harmed < chosen:
        note += (
            f" {chosen - harmed:,} more were chosen but keep their type, which has more than half of the chosen cells."
        )
    return note
