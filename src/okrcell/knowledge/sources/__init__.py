"""Knowledge sources: ontologies, curated texts, marker tables, literature."""
