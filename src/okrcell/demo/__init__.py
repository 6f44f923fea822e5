"""Demo: annotate and search bundled cells, and write an HTML report."""
