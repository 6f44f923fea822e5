"""Match author labels to ontology terms."""
