"""Implementations of the methods: okrcell, its controls and the baselines."""
