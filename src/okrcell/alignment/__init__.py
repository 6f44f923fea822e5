"""Training objective: contrastive, complementary and generative losses, pair reliability, memory bank."""
