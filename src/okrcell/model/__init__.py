"""Cell and text encoders, model folders and gene signatures."""
