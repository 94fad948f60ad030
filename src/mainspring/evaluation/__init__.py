"""What a model is worth, how sure that is, and whether it is better than another."""
