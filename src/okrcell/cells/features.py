"""Features of a file: which of them are genes, where their names are, and of which species they are."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from okrcell.cells.genes import GeneResolution, GeneTable, mouse_symbols

ID_COLUMNS = ("ensembl_id", "gene_ids", "gene_id", "ensembl", "ensembl_ids", "feature_id")
SYMBOL_COLUMNS = ("gene_symbol", "feature_name", "gene_symbols", "gene_name", "gene_names", "symbol")
"""Columns whose names are always read, in order of preference; other columns only if these name too few genes."""
MIN_COVERAGE = 0.5
"""Fraction of resolved genes below which other columns are tried, and fraction of known names that such a column needs."""
TYPE_COLUMNS = frozenset(
    ("featuretype", "featuretypes", "featureclass", "type", "types", "class", "modality", "modalities", "assay")
)
"""Columns with the types of features, in lower case and without separators."""
EXPRESSION_TYPES = frozenset(("gene expression", "gene_expression", "geneexpression", "rna", "gex"))
OTHER_TYPES = re.compile(
    r".*(antibod|peak|crispr|guide|multiplex|hashtag|chromatin|totalseq).*|adt|hto|atac|ab|abs|s?grnas?|custom"
    r"|((cell )?surface )?(prot|proteins?)( expression| capture)?|(cell )?tags?|vdj.*|tcr|bcr"
)
"""Types of features that are not genes, in lower case."""
OTHER_NAMES: Mapping[str, re.Pattern[str]] = {
    "antibody": re.compile(r"(?i).*(totalseq|antibody|hashtag).*|(adt|hto|anti)[-_.].+|.+[-_.](adt|hto|prot|protein)"),
    "peaks": re.compile(r"(chr)?[\dXYM]{1,2}[:_-]\d+[_-]\d+"),
}
"""Names of features that are not genes."""
PROTEIN_NAME = re.compile(r"CD\d+[a-zA-Z]{0,2}|HLA-(DR|ABC|A,?B,?C)|Ig[GMADE]\d?[a-z]?")
"""Names of surface proteins; where many of them are no gene symbols, the features are antibodies."""
GENOMES: Mapping[str, str] = {
    "human": r"GRCh3[678](?:\.p\d+)?|hg1[89]|hg38|human|homo[_.]sapiens|CHM13",
    "mouse": r"GRCm3[89]|mm9|mm10|mm39|mouse|mus[_.]musculus",
    "rat": r"rn[4567]|Rnor_6\.0|mRatBN7\.2|rat",
    "zebrafish": r"GRCz1[01]|danRer\d+|zebrafish",
    "macaque": r"rheMac\d+|Mmul_\d+|macFas\d+|macaque",
    "pig": r"Sscrofa11\.1|susScr\d+",
}
GENOME = "(?i:" + "|".join(f"(?P<{name}>{genome})" for name, genome in GENOMES.items()) + ")"
GENOME_PREFIX = re.compile(rf"^{GENOME}[-_.:]+", re.MULTILINE)
"""Genome in front of a gene name, as Cell Ranger writes it for a reference of two species."""
ENSEMBL_ID = re.compile(r"ENS([A-Z]{3,4})?G\d{11}")
ENSEMBL_SPECIES: Mapping[str, str] = {
    "": "human", "MUS": "mouse", "RNO": "rat", "DAR": "zebrafish", "MMU": "macaque", "MFA": "macaque", "MNE": "macaque",
    "PTR": "chimpanzee", "GGO": "gorilla", "CJA": "marmoset", "MIC": "mouse lemur", "SSC": "pig", "BTA": "cow",
    "OAR": "sheep", "CHI": "goat", "ECA": "horse", "CAF": "dog", "FCA": "cat", "MPU": "ferret", "OCU": "rabbit",
    "CPO": "guinea pig", "MAU": "hamster", "CGR": "hamster", "GAL": "chicken", "XET": "frog", "ORL": "medaka",
}  # fmt: skip
"""Species by the letters between ENS and G of an Ensembl gene id."""
TYPICAL_NAMES: Mapping[str, re.Pattern[str]] = {
    "rat": re.compile(r"^(RT1-[A-Z]\S*|AABR\d{8}\S*|RGD\d{6,})$", re.MULTILINE),
    "zebrafish": re.compile(r"^(si|zgc|wu|im)[:.]\S+$", re.MULTILINE),
    "macaque": re.compile(r"^(?i:mamu)-\S+$", re.MULTILINE),
    "pig": re.compile(r"^SLA-(\d|D[A-Z])\S*$", re.MULTILINE),
}
"""Names that only genes of this species have."""
MOUSE_STYLE = re.compile(r"[A-Z][a-z][a-z0-9-]*|mt-[A-Z].*|.*Rik|Gm\d+")
MIN_SHARE, MIN_FOREIGN_SHARE = 0.05, 0.01
"""Fractions of the genes from which a species is one of several in a file, and from which a file without human ids is of it."""
QUOTED = re.compile(r"b?(['\"])(.*)\1")


@dataclass(frozen=True)
class GeneFeatures:
    """Genes among the features of a file, and their rows in the gene table."""

    resolution: GeneResolution
    """One entry per feature: -1 for features that are not genes, and for genes of another species."""
    species: str
    """Species of the genes: human, mouse, another, or unknown."""
    other_types: Mapping[str, int] = field(default_factory=dict[str, int])
    """Number of features of each type that are not genes."""
    labels: NDArray[np.str_] | None = None
    """Species of each feature, empty where unknown, if the file has genes of human and another species."""
    column: str = ""
    """Unusual column of ``var`` that names were read from."""


def resolve_features(var: pd.DataFrame, table: GeneTable, *, orthologs: bool = True) -> GeneFeatures:
    """Resolve each gene of ``var`` by its Ensembl id, otherwise by its symbol, from the usual columns and the index.

    Antibodies, peaks and guides are set aside, and so are the genes of the other species if there are human ones; the coverage
    is that of the remaining genes. With ``orthologs``, mouse genes are mapped to their one-to-one human orthologs.
    """
    columns = _name_columns(var)
    types = _feature_types(var, table)
    labels = _species_labels(columns, var, table)
    counts = Counter(labels[types == ""].tolist())
    n_human = counts.pop("human", 0)
    n_foreign = sum(counts.values()) - counts.pop("", 0)
    n_genes = n_human + n_foreign + int(((labels == "") & (types == "")).sum())
    is_mixed = min(n_human, n_foreign) >= max(MIN_SHARE * n_genes, 1)
    foreign = max(counts, key=lambda name: counts[name]) if n_foreign >= max(MIN_FOREIGN_SHARE * n_genes, 1) else ""
    is_used = (types == "") & (np.isin(labels, ("", "human")) if is_mixed else np.True_)
    resolution, column = _resolve(columns, var, is_used, table, orthologs=orthologs)
    species = "human" if is_mixed else foreign if foreign not in ("", "mouse") and not n_human else resolution.species
    return GeneFeatures(
        resolution, species, dict(Counter(types[types != ""].tolist())), labels if is_mixed else None, column
    )


def _resolve(
    columns: Sequence[NDArray[np.str_]],
    var: pd.DataFrame,
    is_used: NDArray[np.bool_],
    table: GeneTable,
    *,
    orthologs: bool,
) -> tuple[GeneResolution, str]:
    """Resolve the used features; if too few names are known, also by the best other column of text, which is named."""
    names = [_strip_genome(column[is_used].tolist()) for column in columns]
    resolution, name = table.resolve_any(names, orthologs=orthologs), ""
    if resolution.coverage < MIN_COVERAGE and is_used.any():
        unusual = [key for key in var if key not in (*ID_COLUMNS, *SYMBOL_COLUMNS) and _is_text(_column(var, key))]
        for key in unusual:
            further = _strip_genome(_names(_column(var, key))[is_used].tolist())
            if table.resolve(further[:2000], orthologs=orthologs).coverage > MIN_COVERAGE:
                other = table.resolve_any([further, *names], orthologs=orthologs)
                resolution, name = (other, str(key)) if other.coverage > resolution.coverage else (resolution, name)
    row = np.full(len(var), -1, dtype=np.int32)
    row[is_used] = resolution.row
    return replace(resolution, row=row), name


def _name_columns(var: pd.DataFrame) -> list[NDArray[np.str_]]:
    """Names of the features by the usual columns and the index, in order of preference."""
    columns = [_names(_column(var, name)) for name in (*ID_COLUMNS, *SYMBOL_COLUMNS) if name in var]
    index = _names(var.index.to_series())
    if len(index) and np.mean(["ENSG0" in name for name in index]) > 0.5:
        return [index, *columns]
    return [*columns, index]


def _column(var: pd.DataFrame, name: object) -> pd.Series:
    """Column of that name; the first one if there are several."""
    return pd.Series(var.loc[:, var.columns == name].iloc[:, 0])


def _is_text(column: pd.Series) -> bool:
    return not (pd.api.types.is_numeric_dtype(column) or pd.api.types.is_datetime64_any_dtype(column))


def _names(column: pd.Series) -> NDArray[np.str_]:
    """Names without the quotes and byte marks that other programs left around them."""
    names = column.astype(str).to_numpy(dtype=object)
    for index, name in enumerate(names):
        if name[-1:] in "'\"" and (match := QUOTED.fullmatch(name.strip())):
            names[index] = match[2]
    return names


def _strip_genome(names: list[str]) -> list[str]:
    """Remove the prefix of a genome if many names have one."""
    has_prefix = len(GENOME_PREFIX.findall("\n".join(names))) > MIN_SHARE * len(names)
    return [GENOME_PREFIX.sub("", name) for name in names] if has_prefix else names


def _feature_types(var: pd.DataFrame, table: GeneTable) -> NDArray[np.str_]:
    """Type of each feature that is not a gene; empty for genes."""
    types = np.full(len(var), "", dtype=object)
    for name in var:
        if re.sub(r"[^a-z]", "", str(name).lower()) in TYPE_COLUMNS and _is_text(_column(var, name)):
            values = _names(_column(var, name))
            distinct = {value: value.strip().lower() for value in set(values)}
            is_expression = [value for value, text in distinct.items() if text in EXPRESSION_TYPES]
            others = [value for value, text in distinct.items() if OTHER_TYPES.fullmatch(text)]
            is_other = ~np.isin(values, is_expression) if is_expression else np.isin(values, others)
            types = np.where((types == "") & is_other, values, types)
    names = _names(var.index.to_series())
    for kind, pattern in OTHER_NAMES.items():
        is_other = np.array([pattern.fullmatch(name) is not None for name in names], dtype=bool)
        types = np.where((types == "") & is_other, kind, types)
    return np.where(types == "", "antibody", types) if _are_proteins(names[types == ""], table) else types


def _are_proteins(names: NDArray[np.str_], table: GeneTable) -> bool:
    """Whether a short list of names is of surface proteins: many names such as CD3 or CD45RA, which are no gene symbols."""
    if not 3 <= len(names) <= 1000:
        return False
    is_protein = [PROTEIN_NAME.fullmatch(name) is not None and not table.is_symbol(name) for name in names]
    return float(np.mean(is_protein)) > 0.15


def _species_labels(columns: Sequence[NDArray[np.str_]], var: pd.DataFrame, table: GeneTable) -> NDArray[np.str_]:
    """Species of each feature by the prefix or column of the genome, its Ensembl id or the style of names; empty if unknown."""
    labels = np.full(len(var), "", dtype=object)
    genomes = (
        [] if "genome" not in var else [np.array([f"{name}_" for name in _names(_column(var, "genome"))], dtype=object)]
    )
    has_prefix = False
    for names in (*genomes, *columns):
        text = "\n".join(names)
        prefixes = {match.lastgroup for match in GENOME_PREFIX.finditer(text)}
        if prefixes - {"human"} or set(ENSEMBL_ID.findall(text)) - {""}:
            labels = np.where(labels == "", [_species_of(name) for name in names], labels)
            has_prefix |= bool(prefixes)
    if has_prefix and np.mean(labels == "human") < MIN_SHARE:
        labels[[label == "" and table.is_symbol(name) for label, name in zip(labels, columns[-1], strict=True)]] = (
            "human"
        )
    return labels if (labels != "").any() else _labels_by_style(columns[-1], table)


def _species_of(name: str) -> str:
    if match := GENOME_PREFIX.match(name):
        return str(match.lastgroup)
    match = ENSEMBL_ID.search(name)
    return ENSEMBL_SPECIES.get(match[1] or "", "another species") if match else ""


def _labels_by_style(names: NDArray[np.str_], table: GeneTable) -> NDArray[np.str_]:
    """Species by names that only one species has, or by the spelling of symbols of human and mouse in one file."""
    text = "\n".join(names)
    for species, pattern in TYPICAL_NAMES.items():
        if len(pattern.findall(text)) >= 3 and "HLA-" not in text:
            return np.full(len(names), species, dtype=object)
    n_mouse = len(mouse_symbols().intersection(names))
    is_human = np.array([table.is_symbol(name) for name in names], dtype=bool) if n_mouse > 0.2 * len(names) else None
    if is_human is None or is_human.sum() <= 0.2 * len(names):
        return np.full(len(names), "", dtype=object)
    is_mouse = [name in mouse_symbols() or MOUSE_STYLE.fullmatch(name) is not None for name in names]
    return np.where(is_human, "human", np.where(is_mouse, "mouse", "")).astype(object)
