"""Saving tensors and gradients from inside a running network; `probe` is who else is told of what is saved."""

from ts_core.capture._saving import probe, save, save_grad

__all__ = ["probe", "save", "save_grad"]
