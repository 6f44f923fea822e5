"""Tools in scanpy's grammar: AnnData in, named slots out."""

from okrcell.tl.annotate import annotate
from okrcell.tl.embed import embed
from okrcell.tl.find import find_cells

__all__ = ["annotate", "embed", "find_cells"]
