"""Known irregular pulses come back at their size at any pitch, and are not taken for breath."""

from __future__ import annotations

import numpy as np
import pytest

from synth.features import F0Track, analyse
from tests.synth.features.voices import Float32Array, voice

INNER = slice(20, -20)
# Tract and larynx of a voice whose pulses die away before the next one, as most do.
DAMPED = ((600.0, 120.0), (1_300.0, 140.0), (2_500.0, 200.0), (3_500.0, 250.0))


def _heard(audio: Float32Array, f0_hz: float, *, voiced: bool = True) -> dict[str, float]:
    n_frames = len(audio) // 480
    track = F0Track(
        np.full(n_frames, f0_hz, dtype=np.float32), np.ones(n_frames, dtype=np.float32), np.full(n_frames, voiced)
    )
    physical = analyse(audio, track).physical
    return {name: float(np.mean(values[INNER])) for name, values in physical.items()}


@pytest.mark.parametrize("f0_hz", [90.0, 130.0, 180.0, 250.0])
def test_alternation_is_read_at_its_size(f0_hz: float) -> None:
    for depth in (0.15, 0.35):
        heard = _heard(voice(f0_hz, alternation=depth, formants_hz=DAMPED), f0_hz)
        assert heard["subharmonic_depth"] == pytest.approx(depth, rel=0.35), depth


@pytest.mark.parametrize("f0_hz", [110.0, 170.0, 250.0])
def test_jitter_is_read_at_its_size(f0_hz: float) -> None:
    for jitter in (0.02, 0.06):
        # Independent cycle lengths: successive ones differ by sqrt(2) times their deviation.
        heard = _heard(voice(f0_hz, 2.0, jitter=jitter, formants_hz=DAMPED), f0_hz)
        assert heard["jitter_ratio"] == pytest.approx(np.sqrt(2.0) * jitter, rel=0.35), jitter


@pytest.mark.parametrize("f0_hz", [120.0, 200.0])
def test_jitter_is_not_breath(f0_hz: float) -> None:
    steady, irregular = (
        _heard(voice(f0_hz, jitter=jitter, hnr_db=18.0, formants_hz=DAMPED), f0_hz)["hnr_db"] for jitter in (0.0, 0.02)
    )
    assert steady - irregular < 4.0


def test_alternating_cycles_are_heard_where_the_tracker_doubts() -> None:
    audio = voice(118.0, alternation=0.4, formants_hz=DAMPED)
    assert _heard(audio, 118.0, voiced=False)["subharmonic_depth"] > 0.25
    breath = voice(118.0, hnr_db=-np.inf, formants_hz=DAMPED)
    assert _heard(breath, 118.0, voiced=False)["subharmonic_depth"] < 0.03
