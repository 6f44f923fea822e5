"""Two encoders, one space."""
