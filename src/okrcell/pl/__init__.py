"""Pictures in scanpy's grammar: AnnData with named slots in, axes out."""

from okrcell.pl.audit import audit
from okrcell.pl.heat_map import confusion
from okrcell.pl.maps import answers
from okrcell.pl.shades import confidence, match

__all__ = ["answers", "audit", "confidence", "confusion", "match"]
