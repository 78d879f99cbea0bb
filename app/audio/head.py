"""A place in a clip that is being read, and how loud."""

from __future__ import annotations

from typing import Final

from synth.spec.controls import Float32Array

FADE_FRAMES: Final = 240  # 5 ms
KEEP_CLIP_S: Final = 1.0  # far longer than a block: by then the audio thread has let go of a replaced clip


class Head:
    """A place in a clip that is being read, with its gain. Audio thread only."""

    __slots__ = ("clip", "gain", "is_reading", "position", "slope")

    def __init__(self) -> None:
        self.clip: Float32Array | None = None
        self.position = 0
        self.gain = 0.0
        self.slope = 0.0  # gain per frame, until it reaches 0 or 1
        self.is_reading = False

    def start(self, clip: Float32Array | None, position: int, gain: float, slope: float) -> None:
        """Audio thread."""
        self.clip = clip
        self.position = position
        self.gain = gain
        self.slope = slope
        self.is_reading = True
