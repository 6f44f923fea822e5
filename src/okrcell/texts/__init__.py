"""Cited text descriptions of cells: metadata text, template and language-model writers, fact check."""
