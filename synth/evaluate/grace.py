"""Is a sound decent, whatever was asked: finite, without clicks, bounded in level, and not silent where somebody sings.

Works on the samples alone, straight from the decoder.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import maximum_filter1d, uniform_filter1d

from synth.evaluate.report_form import plain
from synth.spec.audio import HOP_SAMPLES, SAMPLE_RATE_HZ
from synth.spec.controls import ControlFrames, Float32Array
from synth.spec.lanes import lane

Float64Array = NDArray[np.float64]

MOST_OVERSHOOT_DB = 9.0
HIGHEST_PEAK = 2.0  # 6 dB over full scale, before the mix and its limiter
LONGEST_DEAD_S = 0.15
DEAD_DB = 30.0  # under the asked level; a fry pulse and the pause after it share one average
# A click is a corner of the waveform three times as sharp as any other near it. In ten minutes of real recordings 40
# are (lips, plosives, edits), none of them in growls; in eight of simulated voices one. A jump that is less sharp than
# the voice's own pulses is covered by them.
_CLICK_RATIO = 3.0
_CLICK_FLOOR = 10.0 ** (-60.0 / 20.0)
_CORE_SAMPLES, _AROUND_SAMPLES = 97, 3_841  # 2 ms and 80 ms: two cycles of the lowest note
_AVERAGE_FRAMES = 5
_SETTLE_FRAMES = 15
_TINY = 1e-12


@dataclass(frozen=True, slots=True)
class Grace:
    """Of one render.

    n_clicks       isolated corners in the waveform
    overshoot_db   loudest 50 ms against the loudest asked there
    peak           largest sample
    dead_s         longest stretch, settled, where presence is 1 and the level DEAD_DB under what is asked
    """

    is_finite: bool
    n_clicks: int
    overshoot_db: float
    peak: float
    dead_s: float

    @property
    def faults(self) -> tuple[str, ...]:
        """What is wrong, in words; empty for a decent sound."""
        found = {
            "not finite": not self.is_finite,
            f"{self.n_clicks} clicks": self.n_clicks > 0,
            f"{self.overshoot_db:.1f} dB too loud": self.overshoot_db > MOST_OVERSHOOT_DB,
            f"peaks at {self.peak:.2g}": self.peak > HIGHEST_PEAK,
            f"silent for {self.dead_s:.2f} s": self.dead_s > LONGEST_DEAD_S,
        }
        return tuple(words for words, is_true in found.items() if is_true)

    def to_json(self) -> dict[str, object]:
        """Plain types only."""
        return plain(self) | {"faults": list(self.faults)}


def click_ratios(audio: Float32Array) -> Float64Array:
    """|second difference| of each sample against the largest one within 40 ms, its own 2 ms left out -> [n]

    Second differences make a jump, or a kink, one spike. The pulses of a voice are spikes as well, but never alone.
    """
    corner = np.zeros(len(audio), dtype=np.float64)
    corner[1:-1] = np.abs(np.diff(audio.astype(np.float64), 2))
    half, core = _AROUND_SAMPLES // 2, _CORE_SAMPLES // 2
    width = half - core
    beside = maximum_filter1d(corner, width, mode="constant")
    offset = core + 1 + width // 2
    padded = np.pad(beside, offset)
    others = np.maximum(padded[: len(corner)], padded[2 * offset :])
    return np.where(corner > _CLICK_FLOOR, corner / np.maximum(others, _TINY), 0.0)


def count_clicks(audio: Float32Array) -> int:
    """Isolated corners of the waveform, at most one in 80 ms."""
    ratio = click_ratios(audio)
    is_top = ratio >= maximum_filter1d(ratio, _AROUND_SAMPLES)
    return int(np.sum(is_top & (ratio > _CLICK_RATIO)))


def grace_of(audio: Float32Array, controls: ControlFrames) -> Grace:
    """Judge audio [n_frames * HOP_SAMPLES] that was sung from `controls`."""
    if not np.isfinite(audio).all():
        return Grace(False, 0, float("nan"), float("nan"), float("nan"))
    power = np.mean(audio.astype(np.float64).reshape(controls.n_frames, HOP_SAMPLES) ** 2, axis=1)
    level_db = 10.0 * np.log10(uniform_filter1d(power, _AVERAGE_FRAMES, mode="nearest") + _TINY)
    spec = lane("loudness")
    asked_db = np.clip(controls.values["loudness"], spec.minimum, spec.maximum).astype(np.float64)
    loudest = int(np.argmax(level_db))
    near = slice(max(loudest - _SETTLE_FRAMES, 0), loudest + _SETTLE_FRAMES)
    dead = _sung(controls.values["presence"]) & (level_db < asked_db - DEAD_DB)
    return Grace(
        is_finite=True,
        n_clicks=count_clicks(audio),
        overshoot_db=float(level_db[loudest] - asked_db[near].max()),
        peak=float(np.abs(audio).max()),
        dead_s=_longest(dead) * HOP_SAMPLES / SAMPLE_RATE_HZ,
    )


def _sung(presence: Float32Array) -> NDArray[np.bool_]:
    """Frames at least _SETTLE_FRAMES inside a stretch of presence 1."""
    sung = (presence >= 1.0).astype(np.float64)
    return uniform_filter1d(sung, 2 * _SETTLE_FRAMES + 1, mode="nearest") > 1.0 - 1e-9


def _longest(true: NDArray[np.bool_]) -> int:
    edges = np.flatnonzero(np.diff(np.concatenate(([False], true, [False])).astype(np.int8)))
    return int(np.max(edges[1::2] - edges[::2], initial=0))
