"""Cluster stability, per-batch standardisation and batch correction of a sample."""
