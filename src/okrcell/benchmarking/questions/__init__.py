"""The questions, each with its protocol."""
