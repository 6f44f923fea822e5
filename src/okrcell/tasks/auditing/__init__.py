"""Labels that may be wrong."""
