"""The loop: fit, evaluate, promote, and (with the gateway) serve."""
