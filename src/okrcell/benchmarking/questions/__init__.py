"""Tasks of the benchmark, one module each."""
