"""The same questions, asked of everyone."""
