"""What labelled cells teach."""
