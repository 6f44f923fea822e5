"""What a sample's cells tell by themselves, without a model."""
