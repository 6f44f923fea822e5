"""Training losses as pure functions of tensors."""
