"""Pairs made wrong on purpose, with the truth kept."""

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
        "have the description of a type that shares a parent with theirs",
        "no two cell types of the corpus share a near parent in the Cell Ontology",
    ),
    "dropout": ("lose expression", "there are none"),
    "ambient": ("are mixed with the mean of their study", "there are none"),
    "doublets": ("are joined by a cell of another type", "no study has cells of two types"),
    "permuted": ("have values of genes permuted", "there are none"),
}
"""What happens to the cells, and why it may not be possible."""


class NoiseSettings(Settings):
    """What is made wrong before learning, to see who bears it (method 8.2). No noise by default."""

    kind: NoiseKind = "none"
    """shuffled: cells exchange descriptions, so that none keeps its cell type or a text of it [paper, 30 %; how is our
    reconstruction]. sibling: a cell gets the description of a type that shares a direct parent in the Cell Ontology with
    its own, from a cell of the same study where there is one, else of the same tissue (ours: what annotators mistake).
    permuted: values of a share of the genes are permuted [paper, 30 %; how is our reconstruction]. dropout: expression is
    lost. ambient: molecules from the study's mean profile take the place of the cell's own (ours). doublets: a cell of
    another type of the same study is added (ours)."""
    rate: Annotated[float, Field(ge=0, le=1)] = 0.0
    """Share of the cells that are harmed; those harmed at a lower rate are harmed at a higher one too."""
    share_of: Literal["able", "all"] = "able"
    """What ``rate`` is a share of. able: of the described training cells that can be harmed in this way, as is the custom
    for errors that only some classes can make (arXiv 1609.03683): with so many errors that the wrong label prevails, no
    method can tell it from the right one. all: of all described training cells, as far as enough of them can be harmed."""
    seed: Annotated[int, Field(ge=0)] = 0
    """Another seed harms other cells."""
    broadest: Annotated[int, Field(ge=1)] = 500
    """sibling: a parent with more kinds below it does not count, for its children are not near each other: all but a few
    of the 3,000 types are kinds of "eukaryotic cell" (ours)."""
    mistaken: Annotated[float, Field(gt=0)] | None = None
    """sibling: how many cells at most are given a type wrongly, for each training cell that has it; no bound by default.
    Unbounded, the errors of a common type can outnumber the cells of a rare sibling: its label is then mostly wrong, which
    no method can find out (ours)."""
    lost: Annotated[float, Field(gt=0, le=1)] = 0.5
    """dropout: the chance of what is expressed to be lost."""
    lose: Literal["values", "molecules"] = "values"
    """dropout: whether a gene is lost whole, or each of its molecules by itself (binomial thinning)."""
    ambient: Annotated[float, Field(gt=0, le=1)] = 0.5
    """ambient: the share of a cell's molecules that are not its own."""
    permuted: Annotated[float, Field(gt=0, le=1)] = 0.3
    """permuted: the share of a cell's expressed genes whose values change places [paper]."""

    @field_validator("rate")
    @classmethod
    def _of_some_kind(cls, rate: float, others: ValidationInfo) -> float:
        if rate > 0 and others.data.get("kind") == "none":
            raise ValueError("no noise has the rate 0; name a kind of noise")
        return rate


@dataclass(frozen=True)
class Noisy:
    """Pairs of which some are wrong."""

    pairs: Pairs
    wrong: NDArray[np.bool_]
    """For each cell of the corpus, whether it was harmed."""
    note: str
    """What was done, in a sentence."""


def noisy(pairs: Pairs, rows: NDArray[np.integer], settings: NoiseSettings) -> Noisy:
    """Harm some of the described cells among ``rows``; all others, and the order of all, stay as they are.

    Which cells are harmed, and how, depends on the seed and on what the corpus holds, never on batches. Noise of another
    kind may be laid upon pairs that are noisy already.

    Parameters
    ----------
    rows
        The cells that are learned from, as rows of the corpus.

    Raises
    ------
    InputError
        If there is no cell that can be harmed in this way.
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
            f"Noise of the kind {settings.kind} at the rate {settings.rate:g} harms none of the {len(described):,} described "
            f"training cells: {_why_not(settings, len(able))}. Choose another kind or rate, or none."
        )
    return Noisy(made, wrong, _note(settings.kind, len(described), len(able), len(chosen), int(wrong.sum())))


def _partners(pairs: Pairs, rows: NDArray[np.int64], settings: NoiseSettings) -> NDArray[np.int64]:
    """For each cell of the corpus, the one it gets something from; -1 where there is none, itself where none is needed."""
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
    """Draw exactly as many cells as the rate asks for, those with the lowest numbers of a lottery."""
    whole = len(able) if settings.share_of == "able" else described
    return np.sort(able[np.argsort(_lottery(settings, cells)[able], kind="stable")[: round(settings.rate * whole)]])


def _lottery(settings: NoiseSettings, cells: int) -> NDArray[np.float64]:
    """For each cell of the corpus, a number in [0, 1); the lower, the sooner it is harmed."""
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
    """For each cell of the corpus a number for its tissue, -1 where that is unknown."""
    names = [each.profile.tissue_id or each.profile.tissue for each in pairs.descriptions]
    number = {name: place for place, name in enumerate(sorted(set(names) - {""}))}
    return np.array([number.get(name, -1) for name in names], dtype=np.int64)[pairs.description_before_noise]


def _seed(settings: NoiseSettings) -> tuple[int, int]:
    return settings.seed, get_args(NoiseKind).index(settings.kind)


def _rng(settings: NoiseSettings, purpose: int) -> np.random.Generator:
    return np.random.default_rng([*_seed(settings), purpose])


def _why_not(settings: NoiseSettings, able: int) -> str:
    if able > 1:
        return f"too few are asked for, or all are of one type ({able:,} could be harmed)"
    return TOLD[settings.kind][1]


def _note(kind: NoiseKind, described: int, able: int, chosen: int, harmed: int) -> str:
    note = f"{harmed:,} of {described:,} described training cells ({harmed / described:.1%}) {TOLD[kind][0]}."
    if able < described:
        note += f" {described - able:,} cannot be harmed so; of the others it is {harmed / able:.1%}."
    if harmed < chosen:
        note += (
            f" {chosen - harmed:,} more were chosen but keep their type, which is more than half of the chosen cells."
        )
    return note
