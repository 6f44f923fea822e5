"""Cells meet their texts."""
