"""What the world knows, with its source."""
