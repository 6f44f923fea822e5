"""Inference tasks: annotate, cluster, integrate, describe, explain, retrieve and audit cells."""
