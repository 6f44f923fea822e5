"""Plots in scanpy's grammar: read named AnnData slots, return matplotlib axes."""

from okrcell.pl.audit import audit
from okrcell.pl.calibration import calibration
from okrcell.pl.clusters import clusters, integration
from okrcell.pl.confusion import confusion
from okrcell.pl.embedding import answers, confidence, match
from okrcell.pl.explanation import explanation
from okrcell.pl.retrieval import retrieval

annotation = answers

__all__ = [
    "annotation",
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
