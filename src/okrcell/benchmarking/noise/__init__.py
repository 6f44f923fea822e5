"""How well objectives learn from wrong pairs."""
