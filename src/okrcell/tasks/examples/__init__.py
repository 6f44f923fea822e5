"""Supervised annotation: features, classifier with text prior, label columns, fine-tuning."""
