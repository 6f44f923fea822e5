"""Cited text descriptions of cells: retrieval, writing and screening."""
