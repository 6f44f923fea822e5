"""Descriptions written without a language model."""
