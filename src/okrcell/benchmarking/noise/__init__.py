"""Label-noise benchmark: training objectives on partly wrong pairs."""
