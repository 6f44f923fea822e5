"""Any label a person writes becomes an ontology term."""
