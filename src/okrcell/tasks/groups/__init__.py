"""Annotation and description of groups of cells."""
