"""Find a model's files, verify them before use, and load them into transformers' modules."""
