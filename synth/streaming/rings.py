"""Frames between who makes them and who sounds them, in memory that two processes may share.

The maker (synth.streaming.frames) owns the network, the sounder (synth.streaming.sounding) only filters. Every field
has one writer: the rings, `ready` and `fed` belong to the maker while a voice lives, `latest_hz` to the sounder; who
starts a voice writes its seed and drift. `ready` is stored last, so a frame that is counted is whole.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from synth.codec.bands import FILTER_BINS
from synth.codec.excitation import KNOT_SAMPLES
from synth.codec.layout import EXPLICIT_NAMES, N_EXPLICIT
from synth.codec.model import SUBFRAMES
from synth.spec.audio import HOP_SAMPLES
from synth.streaming.memory import Layout, laid_out, layout_bytes

Float32Array = NDArray[np.float32]
Float64Array = NDArray[np.float64]
IntArray = NDArray[np.int64]

RING_FRAMES = 16
KNOTS_PER_FRAME = HOP_SAMPLES // KNOT_SAMPLES
_JITTER, _SUBHARMONIC = EXPLICIT_NAMES.index("jitter_ratio"), EXPLICIT_NAMES.index("subharmonic_depth")


def rings_layout(n_voices: int, pulse_fft: int, ring_frames: int = RING_FRAMES) -> Layout:
    """What `FrameRings` of n_voices are made of."""
    ring = (n_voices, ring_frames)
    return {
        "explicit": ((*ring, N_EXPLICIT), np.float64),
        "pulse_filters": ((*ring, SUBFRAMES, pulse_fft // 2 + 1), np.complex64),
        "noise_filters": ((*ring, SUBFRAMES, FILTER_BINS), np.float32),
        "gates": ((*ring, SUBFRAMES), np.float32),
        "gain": ((*ring, HOP_SAMPLES), np.float32),
        "breath": ((*ring, HOP_SAMPLES), np.float32),
        "drift_s": ((*ring, KNOTS_PER_FRAME), np.float64),
        "ready": ((n_voices,), np.int64),
        "fed": ((n_voices,), np.int64),
        "seeds": ((n_voices,), np.int64),
        "drifts": ((n_voices,), np.float64),
        "latest_hz": ((n_voices,), np.float64),
    }


class FrameRings:
    """Rings over `ring_frames` frames for n_voices, indexed [voice, frame % ring_frames].

    explicit        [.., N_EXPLICIT] in physical units
    pulse_filters   [.., SUBFRAMES, pulse_fft // 2 + 1] complex, minimum phase
    noise_filters   [.., SUBFRAMES, FILTER_BINS] amplitudes
    gates           [.., SUBFRAMES] how much of the breath comes and goes with the glottal cycle
    gain, breath    [.., HOP_SAMPLES] of the false folds, and noise that carries it
    drift_s         [.., KNOTS_PER_FRAME] see synth.codec.excitation.drift_time_s
    ready           [n_voices] how many frames of each voice are there
    fed             [n_voices] how many of its frames have gone into the network: `ready` and the look-ahead
    seeds, drifts   [n_voices] of the voice's noises; 0..1 of its drift of F0 that is heard
    latest_hz       [n_voices] the pitch for frames that came without one
    """

    def __init__(
        self,
        n_voices: int,
        pulse_fft: int,
        *,
        ring_frames: int = RING_FRAMES,
        buffer: memoryview | None = None,
        offset: int = 0,
    ) -> None:
        self.n_voices, self.pulse_fft, self.ring_frames = n_voices, pulse_fft, ring_frames
        layout = rings_layout(n_voices, pulse_fft, ring_frames)
        self.n_bytes = layout_bytes(layout)
        arrays = laid_out(layout, buffer, offset)
        self.explicit: Float64Array = arrays["explicit"]
        self.pulse_filters: NDArray[np.complex64] = arrays["pulse_filters"]
        self.noise_filters: Float32Array = arrays["noise_filters"]
        self.gates: Float32Array = arrays["gates"]
        self.gain: Float32Array = arrays["gain"]
        self.breath: Float32Array = arrays["breath"]
        self.drift_s: Float64Array = arrays["drift_s"]
        self.ready: IntArray = arrays["ready"]
        self.fed: IntArray = arrays["fed"]
        self.seeds: IntArray = arrays["seeds"]
        self.drifts: Float64Array = arrays["drifts"]
        self.latest_hz: Float64Array = arrays["latest_hz"]

    @property
    def rings(self) -> tuple[NDArray[np.generic], ...]:
        """The arrays that are rings."""
        return (
            self.explicit, self.pulse_filters, self.noise_filters, self.gates, self.gain, self.breath, self.drift_s
        )  # fmt: skip

    def copy_head(self, voice: int, source: FrameRings, entry: int) -> None:
        """Let `voice` begin with the frames that lie at the start of `source`'s `entry`; its drift stays."""
        for ring, kept in zip(self.rings, source.rings, strict=True):
            ring[voice, : source.ring_frames] = kept[entry]
        self.seeds[voice] = source.seeds[entry]
        self.fed[voice] = source.fed[entry]
        self.ready[voice] = source.ready[entry]

    def jitter_and_subharmonic(self, voices: IntArray, at_sample: Float64Array) -> tuple[Float64Array, Float64Array]:
        """Jitter ratio and depth of the sub-harmonics at fractional samples [n] of `voices` [n]."""
        position = np.clip((at_sample + 0.5) / HOP_SAMPLES - 0.5, 0.0, self.fed[voices] - 1.0)
        lower = position.astype(np.int64)
        upper = np.minimum(lower + 1, self.fed[voices] - 1)
        size = self.ring_frames
        low, high = self.explicit[voices, lower % size], self.explicit[voices, upper % size]
        mixed = low + (high - low) * (position - lower)[:, None]
        return mixed[:, _JITTER], mixed[:, _SUBHARMONIC]

    def most_jitter(self, voices: IntArray) -> Float64Array:
        """The greatest jitter ratio in the frames at hand, for every one of `voices`."""
        return self.explicit[voices, :, _JITTER].max(axis=1)
