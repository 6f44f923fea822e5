"""Labelled data sets: cards, files, splits, leakage checks."""
