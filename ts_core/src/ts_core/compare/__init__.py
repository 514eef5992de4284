"""Comparing arrays, folders and checkpoints: metrics, pairing, the engine that runs them, and the report."""
