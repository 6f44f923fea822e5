"""Hybrid search of passages: BM25 over words and character n-grams, and dense vectors."""
