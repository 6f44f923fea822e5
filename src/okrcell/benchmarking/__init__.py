"""Benchmark of okrcell and baseline methods on the same tasks and cells."""
