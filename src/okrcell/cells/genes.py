"""Gene table: resolve Ensembl ids, symbols, previous symbols and aliases of genes."""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, cached_property
from pathlib import Path
from typing import Literal, Self

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray

DATA = Path(__file__).parent / "data"
SHOWN = 5
"""Number of unknown names kept as examples for messages."""
NO_NAME = frozenset({"", "nan", "na", "none", "<na>", "null", "-", "unknown"})
"""Placeholders for a missing name ("NaN" is also an alias of SCN11A)."""
HUMAN_ID = re.compile(r"(ENSG\d{11})(\.\d+)?")
MOUSE_ID = re.compile(r"(ENSMUSG\d{11})(\.\d+)?")
GENOME_PREFIX = re.compile(r"^(GRCh3[78]|hg19|hg38)[_-]+")
REPEATED = re.compile(r"^(.+)[-.]\d{1,2}$")

Found = tuple[int, str]
"""Row of the gene table (-1 if unknown) and the type of name that matched."""
UNKNOWN: Found = (-1, "unknown")


@dataclass(frozen=True)
class GeneResolution:
    """Rows of the gene table for the genes of a file."""

    row: NDArray[np.int32] = field(repr=False)
    """Row of the `GeneTable` for each name, -1 where unknown."""
    how: dict[str, int]
    """Number of names by match type: ensembl, ensembl_version, symbol, previous, alias, case, mouse_ortholog or
    unknown."""
    unknown: tuple[str, ...]
    """First few unknown names."""
    species: Literal["human", "mouse", "unknown"]
    coverage: float
    """Fraction of the file's names that were resolved, in [0, 1]."""
    duplicated: int
    """Number of names that resolved to the same gene as an earlier name."""


@dataclass(frozen=True, eq=False)
class GeneTable:
    """Distinct human genes: one row per symbol, with its previous symbols, aliases and further Ensembl ids.

    Rows are sorted by Ensembl id. Ambiguous names, which could mean two genes, are not in the table.
    """

    version: str
    ensembl_id: NDArray[np.str_]
    symbol: NDArray[np.str_]
    biotype: NDArray[np.str_]
    source: str = ""
    licence: str = ""
    other_ids: Mapping[str, int] = field(default_factory=dict[str, int], repr=False)
    previous: Mapping[str, int] = field(default_factory=dict[str, int], repr=False)
    alias: Mapping[str, int] = field(default_factory=dict[str, int], repr=False)

    def __len__(self) -> int:
        return len(self.ensembl_id)

    @classmethod
    def bundled(cls) -> "GeneTable":
        """Gene table that ships with okrcell; it is read once per process."""
        return _bundled()

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read a table written by ``scripts/build_gene_table.py``."""
        table = pq.read_table(path)
        facts = {key.decode(): value.decode() for key, value in (table.schema.metadata or {}).items()}
        column: dict[str, list[str]] = {name: table.column(name).to_pylist() for name in table.column_names}
        return cls(
            version=facts["version"],
            ensembl_id=np.array(column["ensembl_id"], dtype=np.str_),
            symbol=np.array(column["symbol"], dtype=np.str_),
            biotype=np.array(column["biotype"], dtype=np.str_),
            source=facts["source"],
            licence=facts["licence"],
            other_ids=_rows_by_name(column["other_ids"]),
            previous=_rows_by_name(column["previous"]),
            alias=_rows_by_name(column["alias"]),
        )

    def resolve(self, names: Sequence[str], *, orthologs: bool = False) -> GeneResolution:
        """Resolve each name: Ensembl id (with or without version), symbol, previous symbol or alias, case-insensitively.

        With ``orthologs``, mouse names are mapped to the human gene if the two are one-to-one orthologs.
        """
        return self.resolve_any([names], orthologs=orthologs)

    def resolve_any(self, columns: Sequence[Sequence[str]], *, orthologs: bool = False) -> GeneResolution:
        """Resolve each gene by the first of several columns of names that matches; columns are in order of preference."""
        mouse = any(self._looks_like_mouse(names) for names in columns)
        found = [UNKNOWN] * len(columns[0])
        for names in columns:
            own = set(names)
            for place, name in enumerate(names):
                if found[place][0] < 0:
                    found[place] = self._find_mouse(name) if mouse and orthologs else self._find(name, own)
        row = np.fromiter((place for place, _ in found), dtype=np.int32, count=len(found))
        known = row >= 0
        coverage = float(known.mean()) if len(row) else 0.0
        species = "mouse" if mouse else "human" if known.any() else "unknown"
        missed = np.flatnonzero(~known)[:SHOWN]
        return GeneResolution(
            row=row,
            how=dict(Counter(how for _, how in found)),
            unknown=tuple(str(columns[-1][place]) for place in missed),
            species=species,
            coverage=coverage,
            duplicated=int(known.sum()) - len(np.unique(row[known])),
        )

    def _find(self, name: str, own: set[str]) -> Found:
        name = name.strip()
        if name.casefold() in NO_NAME:
            return UNKNOWN
        if match := HUMAN_ID.search(name):
            row = self._by_id.get(match[1], -1)
            if row >= 0:
                return row, "ensembl_version" if match[2] else "ensembl"
        for how, names in (("symbol", self._by_symbol), ("previous", self.previous), ("alias", self.alias)):
            if (row := names.get(name, -1)) >= 0:
                return row, how
        if (bare := GENOME_PREFIX.sub("", name)) != name:
            return self._find(bare, own)
        if (row := self._by_fold.get(_fold(name), -1)) >= 0:
            return row, "case"
        # scanpy and R rename duplicates to NAME-1 or NAME.1; accepted only if NAME is in the file, too
        if (match := REPEATED.match(name)) and match[1] in own:
            return self._find(match[1], own)
        return UNKNOWN

    def _find_mouse(self, name: str) -> Found:
        match = MOUSE_ID.search(name)
        human = self._orthologs.get(match[1] if match else name.strip().casefold(), "")
        row = self._by_id.get(human, -1)
        return (row, "mouse_ortholog") if row >= 0 else UNKNOWN

    def _looks_like_mouse(self, names: Sequence[str]) -> bool:
        """Detect mouse genes by ENSMUSG ids or by the spelling of mouse symbols (Cd3d, not CD3D)."""
        if sum(name.startswith("ENSMUSG") for name in names) > len(names) / 2:
            return True
        mouse = sum(name in _mouse_symbols() for name in names)
        human = sum(name in self._by_symbol or name in self.previous for name in names)
        return mouse > human and mouse > len(names) / 5

    @cached_property
    def _by_id(self) -> dict[str, int]:
        return {**self.other_ids, **{str(gene): row for row, gene in enumerate(self.ensembl_id)}}

    @cached_property
    def _by_symbol(self) -> dict[str, int]:
        return {str(symbol): row for row, symbol in enumerate(self.symbol)}

    @cached_property
    def _by_fold(self) -> dict[str, int]:
        """Rows by name, ignoring case and the dots that R writes for dashes; -1 for names shared by two genes."""
        folded: dict[str, int] = {}
        for names in (self._by_symbol, self.previous, self.alias):
            here: dict[str, int] = {}
            for name, row in names.items():
                key = _fold(name)
                here[key] = row if here.get(key, row) == row else -1
            folded = {**here, **folded}
        return folded

    @cached_property
    def _orthologs(self) -> dict[str, str]:
        table = _mouse_table()
        ids = dict(zip(table["mouse_ensembl_id"], table["ensembl_id"], strict=True))
        return ids | {s.casefold(): g for s, g in zip(table["mouse_symbol"], table["ensembl_id"], strict=True)}


def _fold(name: str) -> str:
    return name.upper().replace(".", "-").replace("_", "-").replace(" ", "-")


def _rows_by_name(cells: Iterable[str]) -> dict[str, int]:
    return {name: row for row, cell in enumerate(cells) if cell for name in cell.split("|")}


@cache
def _bundled() -> GeneTable:
    return GeneTable.read(DATA / "genes.parquet")


@cache
def _mouse_table() -> dict[str, list[str]]:
    return pq.read_table(DATA / "mouse_orthologs.parquet").to_pydict()


@cache
def _mouse_symbols() -> frozenset[str]:
    return frozenset(_mouse_table()["mouse_symbol"])
