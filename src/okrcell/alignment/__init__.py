"""The objective, one idea a file."""
