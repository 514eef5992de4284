"""Five synthesised notes, and the pitch that a network hears in them."""

import numpy as np

SAMPLE_RATE = 16_000  # Hz, what CREPE was trained with
FRAME = 1024  # samples
HOP = 160  # samples: a frame every 10 ms
NOTES = {"A3": 220.0, "D4": 293.665, "A4": 440.0, "C5": 523.251, "E5": 659.255}  # Hz, equal temperament


def frames(frequency: float, seconds: float = 0.25) -> np.ndarray:
    """A tone with five harmonics as frames of zero mean and unit variance, float32, shape (count, 1024)."""
    time = np.arange(int(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    tone = sum(np.sin(2 * np.pi * frequency * k * time) / k for k in range(1, 6))
    windows = np.lib.stride_tricks.sliding_window_view(tone, FRAME)[::HOP]
    centred = windows - windows.mean(axis=1, keepdims=True)
    return (centred / centred.std(axis=1, keepdims=True)).astype(np.float32)


def hertz(activation: np.ndarray) -> float:
    """The pitch in Hz of activations of shape (frames, 360): the median over the frames.

    A bin is 20 cents wide; the pitch of a frame is the mean of the nine bins around the strongest one, weighted by
    their activation (section 2.2 of the CREPE paper).
    """
    cents = 1997.3794 + 20 * np.arange(activation.shape[1])
    heard = []
    for frame in activation:
        peak = int(frame.argmax())
        near = slice(max(0, peak - 4), peak + 5)
        heard.append(float((frame[near] * cents[near]).sum() / frame[near].sum()))
    return float(10 * 2 ** (np.median(heard) / 1200))


def cents_off(heard: float, true: float) -> float:
    """How far a pitch is from another, in cents (hundredths of a semitone)."""
    return float(1200 * np.log2(heard / true))
