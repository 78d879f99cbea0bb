"""A voice comes in, what it does comes out: every 5 ms, by nothing but what has been heard.

    listener = Listener(44_100)
    for heard in listener.push(block): ...

One thread; no device, no clock. Pitch and level are made anew every hop, phonation every second one.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

import numpy as np

from synth.listening.filters import HighPass
from synth.listening.heard import HOP_S, READ_LANES, Heard
from synth.listening.phonation import FRAME_SAMPLES, N_NUMBERS, Phonation
from synth.listening.pitch import HOP_SAMPLES, PitchTracker
from synth.listening.presence import PresenceGate
from synth.listening.reading import N_READ, Reading, load_reading
from synth.listening.resampling import LISTENING_RATE_HZ, StreamResampler
from synth.spec.audio import SILENCE_DB
from synth.spec.controls import Float32Array
from synth.spec.lanes import TECHNIQUES

CLIPPED: Final = 0.995

_LEVEL_S: Final = 0.015
_RUMBLE_HZ: Final = 50.0
_LOUDEST: Final = 16.0  # what floating-point inputs may reach; beyond is damage
_LANE_S: Final = 0.02  # time constants of what is read
_TECHNIQUE_S: Final = 0.06
_HOPS_A_FRAME: Final = FRAME_SAMPLES // HOP_SAMPLES
_NO_LANES: Final[Mapping[str, float]] = MappingProxyType({})


class Listener:
    """One voice from one input."""

    def __init__(self, sample_rate_hz: float, *, sensitivity_db: float = 0.0, reading: Reading | None = None) -> None:
        """Raises ValueError for a rate that is no sound card's, UserError where the shipped network is missing."""
        self._resampler = StreamResampler(sample_rate_hz)
        self._piece_samples = round(1.5 * HOP_S * sample_rate_hz)
        self._level_samples = round(_LEVEL_S * sample_rate_hz)
        self._recent = np.zeros(self._level_samples, dtype=np.float32)
        self._reading = load_reading() if reading is None else reading
        self.gate = PresenceGate(HOP_SAMPLES, sensitivity_db)
        self._pitch, self._phonation = PitchTracker(), Phonation()
        self._high_pass = HighPass(_RUMBLE_HZ, LISTENING_RATE_HZ, HOP_SAMPLES)
        self._speech = np.zeros(0, dtype=np.float32)
        self._frame = np.zeros(FRAME_SAMPLES, dtype=np.float32)
        self._n_hops = 0
        self._outputs: Float32Array | None = None
        times_s = np.array([_LANE_S] * N_READ + [_TECHNIQUE_S] * len(TECHNIQUES))
        self._kept = np.exp(-FRAME_SAMPLES / LISTENING_RATE_HZ / times_s).astype(np.float32)
        self._lanes: Mapping[str, float] = _NO_LANES
        self._techniques = (0.0,) * len(TECHNIQUES)
        self.numbers = np.zeros(N_NUMBERS, dtype=np.float32)  # of the last frame, for who fits the network

    def push(self, audio: Float32Array) -> list[Heard]:
        """The next input samples [n], mono, at the input's rate -> what they completed."""
        damaged = not bool(np.isfinite(audio).all())
        if damaged:
            audio = np.nan_to_num(audio, nan=0.0, posinf=0.0, neginf=0.0)
        clipped = len(audio) > 0 and float(np.max(np.abs(audio))) >= CLIPPED
        audio = np.clip(audio, -_LOUDEST, _LOUDEST).astype(np.float32)
        heard: list[Heard] = []
        for at in range(0, len(audio), self._piece_samples):
            piece = audio[at : at + self._piece_samples]
            # Levels are of the input as it is: breath reaches beyond what listening hears.
            self._recent = np.concatenate((self._recent, piece))[-self._level_samples :]
            self._speech = np.concatenate((self._speech, self._resampler.process(piece)))
            while len(self._speech) >= HOP_SAMPLES:
                heard.append(self._hop(is_clipped=clipped, is_damaged=damaged))
        return heard

    def _hop(self, *, is_clipped: bool, is_damaged: bool) -> Heard:
        power = float(self._recent @ self._recent) / self._level_samples
        level_db = max(10.0 * math.log10(power + 1e-20), SILENCE_DB)
        speech, self._speech = self._speech[:HOP_SAMPLES], self._speech[HOP_SAMPLES:]
        speech = self._high_pass.process(speech)
        pitch = self._pitch.process(speech)
        is_present = self.gate.process(level_db, is_voiced=pitch.is_voiced)
        self._frame[:-HOP_SAMPLES] = self._frame[HOP_SAMPLES:]
        self._frame[-HOP_SAMPLES:] = speech
        self._n_hops += 1
        if self._n_hops % _HOPS_A_FRAME == 0:
            self.numbers = self._phonation.process(self._frame, pitch, level_db, is_present=is_present)
            self._read(is_present=is_present)
        return Heard(
            self._n_hops * HOP_S, pitch.hz, pitch.clarity, pitch.is_voiced, is_present, level_db,
            self._lanes, self._techniques, is_clipped, is_damaged,
        )  # fmt: skip

    def _read(self, *, is_present: bool) -> None:
        """Smooth what the network says; where a voice begins, it begins with what it is."""
        said = self._reading(self.numbers)
        if self._outputs is None or not is_present:
            outputs = said
        else:
            outputs = (said + (self._outputs - said) * self._kept).astype(np.float32)
        self._outputs = outputs
        values = outputs.tolist()
        self._lanes = MappingProxyType(dict(zip(READ_LANES, values, strict=False)))
        self._techniques = tuple(values[N_READ:])
