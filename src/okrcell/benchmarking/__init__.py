"""The same questions, asked of every way to learn."""
