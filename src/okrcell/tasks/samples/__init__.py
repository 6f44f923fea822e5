"""What a sample tells by itself."""
