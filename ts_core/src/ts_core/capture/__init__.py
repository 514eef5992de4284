"""Saving tensors and gradients from inside a running network."""

from ts_core.capture._saving import save, save_grad

__all__ = ["save", "save_grad"]
