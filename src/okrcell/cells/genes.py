"""Gene table that resolves ids, symbols and aliases of genes, and the gene vocabulary of a model."""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, cached_property
from pathlib import Path
from typing import Literal, Self

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
from numpy.typing import NDArray

from okrcell.errors import CheckpointError

DATA = Path(__file__).parent / "data"
MAX_EXAMPLES = 5
"""Number of unknown names kept as examples for messages."""
MISSING_NAMES = frozenset({"", "nan", "na", "none", "<na>", "null", "-", "unknown"})
"""Placeholders for a missing name ("NaN" is also an alias of SCN11A)."""
NUMBER = re.compile(r"\d+(\.\d+)?")
"""A row number or value, no name ("3635" and "47.11" are also aliases of genes)."""
HUMAN_ID = re.compile(r"(ENSG\d{11})(\.\d+)?")
MOUSE_ID = re.compile(r"(ENSMUSG\d{11})(\.\d+)?")
HUMAN_PREFIX = re.compile(r"^(GRCh3[78]|hg19|hg38|(?i:human|homo_sapiens))[-_.:]+")
DUPLICATE_SUFFIX = re.compile(r"^(.+)[-.]\d{1,2}$")

GeneMatch = tuple[int, str]
"""Row of the gene table (-1 if unknown) and the type of name that matched."""
NO_MATCH: GeneMatch = (-1, "unknown")
PADDING = 0
"""Padding token; gene ``i`` of the vocabulary is token ``i + 1``."""
TARGET_SUM = 10_000.0
"""Total to which each cell is scaled before genes are compared over cells, in the corpus means and in tokens."""


@dataclass(frozen=True)
class GeneResolution:
    """Rows of the gene table for the genes of a file."""

    row: NDArray[np.int32] = field(repr=False)
    """Row of the `GeneTable` for each name, -1 where unknown."""
    match_counts: dict[str, int]
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
        is_mouse = any(self._is_mouse(names) for names in columns)
        matches = [NO_MATCH] * len(columns[0])
        for names in columns:
            distinct_names = set(names)
            for index, name in enumerate(names):
                if matches[index][0] < 0:
                    matches[index] = (
                        self._match_mouse(name) if is_mouse and orthologs else self._match(name, distinct_names)
                    )
        row = np.fromiter((index for index, _ in matches), dtype=np.int32, count=len(matches))
        resolved = row >= 0
        coverage = float(resolved.mean()) if len(row) else 0.0
        species = "mouse" if is_mouse else "human" if resolved.any() else "unknown"
        unresolved = np.flatnonzero(~resolved)[:MAX_EXAMPLES]
        return GeneResolution(
            row=row,
            match_counts=dict(Counter(match_type for _, match_type in matches)),
            unknown=tuple(str(columns[-1][index]) for index in unresolved),
            species=species,
            coverage=coverage,
            duplicated=int(resolved.sum()) - len(np.unique(row[resolved])),
        )

    def is_symbol(self, name: str) -> bool:
        """Whether a name is the current or a previous symbol of a human gene."""
        return name in self._by_symbol or name in self.previous

    def _match(self, name: str, file_names: set[str]) -> GeneMatch:
        name = name.strip()
        if name.casefold() in MISSING_NAMES or NUMBER.fullmatch(name):
            return NO_MATCH
        if match := HUMAN_ID.search(name):
            row = self._by_id.get(match[1], -1)
            if row >= 0:
                return row, "ensembl_version" if match[2] else "ensembl"
        for match_type, names in (("symbol", self._by_symbol), ("previous", self.previous), ("alias", self.alias)):
            if (row := names.get(name, -1)) >= 0:
                return row, match_type
        if (stripped := HUMAN_PREFIX.sub("", name)) != name:
            return self._match(stripped, file_names)
        if (row := self._by_normalized_name.get(_normalize_name(name), -1)) >= 0:
            return row, "case"
        # scanpy and R rename duplicates to NAME-1 or NAME.1; accepted only if NAME is in the file, too
        if (match := DUPLICATE_SUFFIX.match(name)) and match[1] in file_names:
            return self._match(match[1], file_names)
        return NO_MATCH

    def _match_mouse(self, name: str) -> GeneMatch:
        match = MOUSE_ID.search(name)
        human = self._orthologs.get(match[1] if match else name.strip().casefold(), "")
        row = self._by_id.get(human, -1)
        return (row, "mouse_ortholog") if row >= 0 else NO_MATCH

    def _is_mouse(self, names: Sequence[str]) -> bool:
        """Detect mouse genes by ENSMUSG ids or by the spelling of mouse symbols (Cd3d, not CD3D)."""
        if sum(name.startswith("ENSMUSG") for name in names) > len(names) / 2:
            return True
        n_mouse = sum(map(mouse_symbols().__contains__, names))
        return n_mouse > len(names) / 5 and n_mouse > sum(map(self.is_symbol, names))

    @cached_property
    def _by_id(self) -> dict[str, int]:
        return {**self.other_ids, **{gene: row for row, gene in enumerate(self.ensembl_id.tolist())}}

    @cached_property
    def _by_symbol(self) -> dict[str, int]:
        return {symbol: row for row, symbol in enumerate(self.symbol.tolist())}

    @cached_property
    def _by_normalized_name(self) -> dict[str, int]:
        """Rows by name, ignoring case and the dots that R writes for dashes; -1 for names shared by two genes."""
        normalized: dict[str, int] = {}
        for names in filter(None, (self._by_symbol, self.previous, self.alias)):
            keys = _normalize_name("\n".join(names)).split("\n")
            by_key = dict(zip(keys, names.values(), strict=True))
            shared = (key for key, row in zip(keys, names.values(), strict=True) if by_key[key] != row)
            normalized = {**by_key, **dict.fromkeys(shared, -1), **normalized}
        return normalized

    @cached_property
    def _orthologs(self) -> dict[str, str]:
        table = _mouse_table()
        ids = dict(zip(table["mouse_ensembl_id"], table["ensembl_id"], strict=True))
        return ids | {
            symbol.casefold(): gene_id
            for symbol, gene_id in zip(table["mouse_symbol"], table["ensembl_id"], strict=True)
        }


def _normalize_name(name: str) -> str:
    return name.upper().replace(".", "-").replace("_", "-").replace(" ", "-")


def _rows_by_name(entries: Iterable[str]) -> dict[str, int]:
    return {name: row for row, entry in enumerate(entries) if entry for name in entry.split("|")}


@cache
def _bundled() -> GeneTable:
    return GeneTable.read(DATA / "genes.parquet")


@cache
def _mouse_table() -> dict[str, list[str]]:
    return pq.read_table(DATA / "mouse_orthologs.parquet").to_pydict()


@cache
def mouse_symbols() -> frozenset[str]:
    """Symbols of the mouse genes that have a one-to-one human ortholog."""
    return frozenset(_mouse_table()["mouse_symbol"])


@dataclass(frozen=True, eq=False)
class GeneVocabulary:
    """Gene list of a model, saved in its checkpoint so that training and inference use the same tokens."""

    ensembl_id: NDArray[np.str_]
    symbol: NDArray[np.str_]
    scale: NDArray[np.float32]
    """Mean expression of each gene in the corpus over the cells that express it, at 10,000 counts per cell."""

    def __len__(self) -> int:
        """Return the number of genes, without padding."""
        return len(self.ensembl_id)

    @classmethod
    def from_table(
        cls, table: GeneTable, rows: Sequence[int] | NDArray[np.integer], scale: NDArray[np.float32]
    ) -> Self:
        """Vocabulary of the genes at ``rows`` of the table, in that order; ``scale`` covers the whole table."""
        rows = np.asarray(rows)
        return cls(table.ensembl_id[rows], table.symbol[rows], scale[rows].astype(np.float32))

    def tokens(self, table: GeneTable) -> NDArray[np.int32]:
        """Token of every row of the gene table, `PADDING` for genes outside the vocabulary; int32 (gene,)."""
        token = {gene: index + 1 for index, gene in enumerate(self.ensembl_id.tolist())}
        return np.array([token.get(gene, PADDING) for gene in table.ensembl_id.tolist()], dtype=np.int32)

    def rows(self, table: GeneTable) -> NDArray[np.intp]:
        """Row of the gene table of each gene, in the order of the vocabulary."""
        token = self.tokens(table)
        known = np.flatnonzero(token > PADDING)
        return known[np.argsort(token[known], kind="stable")]

    def save(self, path: Path) -> None:
        """Write a tab-separated table: ensembl_id, symbol, scale."""
        frame = pd.DataFrame({"ensembl_id": self.ensembl_id, "symbol": self.symbol, "scale": self.scale})
        frame.to_csv(path, sep="\t", index=False, float_format="%.9g")

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read a vocabulary written by `save`.

        Raises
        ------
        CheckpointError
            If the file is missing or is not such a table.
        """
        try:
            frame = pd.read_csv(path, sep="\t", keep_default_na=False)
            return cls(
                frame["ensembl_id"].to_numpy(dtype=np.str_),
                frame["symbol"].to_numpy(dtype=np.str_),
                frame["scale"].to_numpy(dtype=np.float32),
            )
        except (OSError, KeyError, ValueError) as error:
            raise CheckpointError(f"The gene list {path} cannot be read: {str(error).splitlines()[0]}.") from None
