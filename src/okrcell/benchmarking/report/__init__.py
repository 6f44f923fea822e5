"""What the figures say, for reading."""
