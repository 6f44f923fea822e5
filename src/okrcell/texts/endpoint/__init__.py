"""A language model writes, within a budget, and nothing is paid twice."""
