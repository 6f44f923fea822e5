"""Tools in scanpy's grammar: AnnData in, named slots out."""

from okrcell.tl.annotate import annotate
from okrcell.tl.audit import audit
from okrcell.tl.embed import embed
from okrcell.tl.enrich import enrich
from okrcell.tl.find import find_cells
from okrcell.tl.standardise import standardise

__all__ = ["annotate", "audit", "embed", "enrich", "find_cells", "standardise"]
