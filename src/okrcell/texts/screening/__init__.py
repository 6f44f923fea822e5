"""Screening of written texts: fact check against the cited evidence, similarity to the original text."""
