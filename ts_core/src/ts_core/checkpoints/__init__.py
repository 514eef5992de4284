"""Checkpoint files of every format: open them lazily, write them as a stream, whole or not at all."""
