"""Labeled data sets of the benchmark: cards, splits, leakage checks."""
