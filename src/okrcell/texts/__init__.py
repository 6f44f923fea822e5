"""A profile and its evidence become a cited description."""
