"""Cell profiles: distinct combinations of obs metadata, as ontology terms."""

from collections.abc import Mapping
from dataclasses import astuple, dataclass, field
from typing import cast

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from okrcell.evidence import Evidence
from okrcell.ontology.label_parsing import (
    clean_label,
    find_stage,
    lowercase_words,
    remove_remarks,
    remove_stage,
    split_camel_case,
)
from okrcell.ontology.ontology import prefix_of
from okrcell.ontology.standardise import (
    cell_type_term,
    disease_term,
    names_tissue_or_cell,
    parse_sex,
    resolve_tissue,
    stage_term,
    term_by_id,
    term_by_name,
)

PROFILE_COLUMNS = ("cell_type", "tissue", "disease", "development_stage", "sex", "assay")
"""Columns of obs that are read, each with its optional ``<column>_ontology_term_id`` column."""


@dataclass(frozen=True)
class CellProfile:
    """One combination of metadata values; unknown values are "".

    Names are those of the ontologies if the term is known, otherwise the cleaned label of the author.
    """

    cell_type: str = ""
    cell_type_id: str = ""
    tissue: str = ""
    tissue_id: str = ""
    disease: str = ""
    disease_id: str = ""
    """Mondo id, or PATO:0000461 for healthy tissue."""
    development_stage: str = ""
    sex: str = ""
    assay: str = ""
    label: str = ""
    """Cell type label of the author ("CD14+ Mono")."""

    @property
    def has_values(self) -> bool:
        """Whether any value is known."""
        return any(astuple(self))


@dataclass(frozen=True)
class Profiles:
    """Profiles of many cells, each distinct profile once."""

    distinct: tuple[CellProfile, ...]
    codes: NDArray[np.int32] = field(repr=False)
    """Index into ``distinct`` of each row of obs."""


def read_profiles(obs: pd.DataFrame) -> Profiles:
    """Read the profile of every row of ``obs``.

    A valid ontology id is used, an obsolete one is replaced by its current id; otherwise the label is looked up; a label
    that is not found is kept. Placeholders ("NA", "unknown", "Node1") are unknown. Any column may be missing. Each
    distinct combination is read once, so a million rows take about a second.
    """
    columns = [name for column in PROFILE_COLUMNS for name in (column, f"{column}_ontology_term_id") if name in obs]
    combination = np.zeros(len(obs), dtype=np.int64)
    for name in columns:
        values = _codes(cast(pd.Series, obs[name]))
        combination = pd.factorize(combination * (values.max(initial=-1) + 2) + values + 1)[0].astype(np.int64)
    first_rows = np.unique(combination, return_index=True)[1]
    distinct: dict[CellProfile, int] = {}
    profile_codes = np.zeros(len(first_rows), dtype=np.int32)
    records = obs[columns].iloc[first_rows].astype(object).to_dict("records")
    for i, row in enumerate(records or [{}] * len(first_rows)):
        profile = read_profile({str(name): "" if pd.isna(value) else str(value) for name, value in row.items()})
        profile_codes[i] = distinct.setdefault(profile, len(distinct))
    return Profiles(tuple(distinct), profile_codes[combination])


def read_profile(values: Mapping[str, str]) -> CellProfile:
    """Build one profile from raw values, keyed by column of obs."""
    words = {column: values.get(column, "") for column in PROFILE_COLUMNS}
    ids = {column: values.get(f"{column}_ontology_term_id", "") for column in PROFILE_COLUMNS}
    tissue = resolve_tissue(words["tissue"], ids["tissue"])
    tissue_id = tissue.id if tissue else ""
    tissue_words = lowercase_words(clean_label(remove_stage(remove_remarks(split_camel_case(words["tissue"])))))
    cell_type = term_by_id(ids["cell_type"], "CL") or cell_type_term(words["cell_type"], tissue_id)
    disease = term_by_id(ids["disease"], "MONDO", "PATO") or disease_term(words["disease"])
    stage_label = words["development_stage"]
    stage = term_by_id(ids["development_stage"], "HsapDv", "MmusDv") or stage_term(stage_label)
    sex = term_by_id(ids["sex"], "PATO")
    assay = term_by_id(ids["assay"], "EFO") or term_by_name(words["assay"], "EFO")
    label = clean_label(words["cell_type"])
    return CellProfile(
        cell_type=cell_type.name if cell_type else label,
        cell_type_id=cell_type.id if cell_type else "",
        tissue=tissue.name if tissue else tissue_words if names_tissue_or_cell(tissue_words) else "",
        tissue_id=tissue_id,
        disease=disease.name if disease else clean_label(words["disease"]),
        disease_id=disease.id if disease else "",
        development_stage=(stage.name if stage else clean_label(stage_label))
        or find_stage(split_camel_case(words["tissue"])),
        sex=sex.name if sex else parse_sex(words["sex"]),
        assay=assay.name if assay else clean_label(words["assay"]),
        label=label,
    )


def single_tissue(obs: pd.DataFrame) -> str:
    """Return the Uberon id of the tissue of all cells; "" if it is unknown or there are several.

    Cells without a tissue are ignored.
    """
    columns = [name for name in ("tissue", "tissue_ontology_term_id") if name in obs]
    distinct = pd.DataFrame(obs[columns]).astype(object).drop_duplicates()
    values = [
        {str(name): "" if pd.isna(value) else str(value) for name, value in row.items()}
        for row in distinct.to_dict("records")
    ]
    terms = [
        resolve_tissue(row.get("tissue", ""), row.get("tissue_ontology_term_id", ""))
        for row in values
        if any(row.values())
    ]
    term_ids = {"" if term is None else term.id for term in terms}
    tissue_id = term_ids.pop() if len(term_ids) == 1 else ""
    return tissue_id if prefix_of(tissue_id) == "UBERON" else ""


def profile_evidence(field_name: str, text: str) -> Evidence:
    """Return a value of the profile as evidence; the record is the profile, because a stage may come from a tissue label."""
    return Evidence(text, "metadata", f"profile.{field_name}", "", "", "metadata")


def _codes(column: pd.Series) -> NDArray[np.int64]:
    if isinstance(column.dtype, pd.CategoricalDtype):
        return column.cat.codes.to_numpy(np.int64)
    return pd.factorize(column)[0].astype(np.int64)
