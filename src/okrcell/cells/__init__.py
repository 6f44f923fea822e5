"""Reading cells: file formats, counts, genes, expression, tokens."""
