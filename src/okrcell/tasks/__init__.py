"""The questions a biologist asks."""
