"""Metrics of the benchmark."""
