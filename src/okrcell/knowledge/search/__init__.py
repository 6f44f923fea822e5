"""Passages found by their words and their meaning."""
