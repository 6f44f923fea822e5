"""Everything that can be asked what is known."""
