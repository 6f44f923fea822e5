"""Report of the benchmark: summary, tables, figures, text."""
