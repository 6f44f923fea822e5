"""Pairs of cells and texts: preparation, splits, batches, label and expression noise."""
