"""Tools in scanpy's grammar: AnnData in, named slots out."""

from okrcell.tl.annotate import annotate
from okrcell.tl.audit import audit
from okrcell.tl.cluster import cluster
from okrcell.tl.describe import describe, descriptions_json, descriptions_page
from okrcell.tl.embed import embed
from okrcell.tl.enrich import enrich
from okrcell.tl.explain import explain, explanations_json, explanations_page
from okrcell.tl.integrate import integrate
from okrcell.tl.retrieval import find_cells, find_texts
from okrcell.tl.standardise import standardise

standardize = standardise
"""Alias of `standardise`."""

__all__ = [
    "annotate",
    "audit",
    "cluster",
    "describe",
    "descriptions_json",
    "descriptions_page",
    "embed",
    "enrich",
    "explain",
    "explanations_json",
    "explanations_page",
    "find_cells",
    "find_texts",
    "integrate",
    "standardise",
    "standardize",
]
