"""Biological knowledge with its sources: ontologies, marker tables, gene summaries, literature."""
