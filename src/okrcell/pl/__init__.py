"""Plots in scanpy's grammar: read named AnnData slots, return matplotlib axes."""

from okrcell.pl.audit import audit
from okrcell.pl.calibration import calibration
from okrcell.pl.clusters import clusters
from okrcell.pl.explanation import explanation
from okrcell.pl.confusion import confusion
from okrcell.pl.integration import integration
from okrcell.pl.maps import answers
from okrcell.pl.retrieval import retrieval
from okrcell.pl.embedding import confidence, match

__all__ = [
    "answers",
    "audit",
    "calibration",
    "clusters",
    "confidence",
    "confusion",
    "explanation",
    "integration",
    "match",
    "retrieval",
]
