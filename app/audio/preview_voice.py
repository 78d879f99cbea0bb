"""One short sound beside everything else: the preview of a preset.

Control thread: set() and sweep(). Audio thread: mix(), nothing else. There are no locks, and nothing is freed on the
audio thread.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

from app.audio.head import FADE_FRAMES, KEEP_CLIP_S, Head
from synth.spec.controls import Float32Array

ATTACK_FRAMES: Final = 96  # 2 ms


class PreviewVoice:
    """Sounds one clip at a time, once; the one before dies away under it."""

    def __init__(self, read: Callable[[Head, Float32Array], None]) -> None:
        """read   adds a head's next frames at its gain, and moves it on"""
        self._read = read
        # Written by the control thread
        self._wanted: Float32Array | None = None
        self._kept: list[tuple[Float32Array, float]] = []  # replaced clips and when
        # Written by the audio thread
        self._obeyed: Float32Array | None = None
        self._head, self._fading = Head(), Head()

    # ---- control thread

    def set(self, clip: Float32Array | None) -> None:
        """Sound `clip` [n, 2] from its beginning, at once; None ends the one that sounds."""
        if self._wanted is not None:
            self._kept.append((self._wanted, time.monotonic()))
        self._wanted = clip

    def sweep(self) -> None:
        """Let go of what the audio thread no longer uses."""
        now_s = time.monotonic()
        in_use = (self._obeyed, self._head.clip, self._fading.clip)
        self._kept = [
            (clip, since_s)
            for clip, since_s in self._kept
            if now_s - since_s < KEEP_CLIP_S or any(clip is used for used in in_use)
        ]

    # ---- audio thread

    def mix(self, out: Float32Array) -> None:
        """Audio thread. Add to `out` [n, 2]. A new clip waits until the one before the last has died away: 5 ms."""
        head, fading = self._head, self._fading
        wanted = self._wanted
        if wanted is not self._obeyed and not fading.is_reading:
            self._obeyed = wanted
            if head.is_reading:
                fading.start(head.clip, head.position, head.gain, -1.0 / FADE_FRAMES)
            head.start(wanted, 0, 0.0, 1.0 / ATTACK_FRAMES)
        if fading.is_reading:
            self._read(fading, out)
        if head.is_reading:
            if head.clip is None or head.position >= head.clip.shape[0]:
                head.is_reading = False
                head.clip = None
            else:
                self._read(head, out)
