"""What a group of cells is."""
