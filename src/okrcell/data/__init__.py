"""Pretraining data: corpus, cell-text pairs, splits, noise and batches."""
