"""What a writer says is held against what is known."""
