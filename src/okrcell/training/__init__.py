"""Learning; `pretrain.py` is read first."""
