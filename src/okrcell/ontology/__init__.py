"""Ontology terms, their relations, and the mapping of labels to terms."""
