"""Pretraining; start reading at `pretrain.py`."""
