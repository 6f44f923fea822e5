"""Why cells were given their names."""
