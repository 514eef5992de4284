"""Saving tensors and gradients from inside a running network."""
