"""Lines at the frame rate are told from a voice, from noise, and from lines elsewhere."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from synth.evaluate.frame_lines import frame_lines_db

RATE_HZ, SECONDS = 48_000, 6
F0_HZ = 225.0


def voice(depth: float = 0.0, hum: float = 0.0, hum_hz: float = 100.0) -> NDArray[np.float32]:
    """Four harmonics, modulated at 100 Hz by `depth`, with a hum of amplitude `hum`, in a little noise."""
    t_s = np.arange(SECONDS * RATE_HZ) / RATE_HZ
    tone = sum(np.cos(2 * np.pi * F0_HZ * k * t_s) / k for k in range(1, 5))
    noise = 1e-3 * np.random.default_rng(0).standard_normal(len(t_s))
    swing = 1.0 + depth * np.cos(2 * np.pi * 100.0 * t_s)
    return (tone * swing + hum * np.cos(2 * np.pi * hum_hz * t_s) + noise).astype(np.float32)


def test_a_still_voice_has_no_lines() -> None:
    hum_db, sideband_db = frame_lines_db(voice(), F0_HZ)
    assert hum_db < -60.0
    assert sideband_db < -50.0


@pytest.mark.parametrize("depth", [0.05, 0.4])
def test_a_modulation_is_told_as_deep_as_it_is(depth: float) -> None:
    _, sideband_db = frame_lines_db(voice(depth), F0_HZ)
    # The fourth harmonic has the least of its own and as much as any from its modulation.
    assert sideband_db == pytest.approx(20 * np.log10(depth / 2), abs=0.5)


def test_a_hum_is_told_against_the_whole_sound() -> None:
    whole = 0.5 * (1 + 1 / 4 + 1 / 9 + 1 / 16)
    hum_db, sideband_db = frame_lines_db(voice(hum=0.1), F0_HZ)
    assert hum_db == pytest.approx(10 * np.log10(0.5 * 0.1**2 / whole), abs=0.3)
    assert sideband_db < -50.0


def test_a_line_elsewhere_is_neither() -> None:
    hum_db, sideband_db = frame_lines_db(voice(hum=0.1, hum_hz=160.0), F0_HZ)
    assert hum_db < -60.0
    assert sideband_db < -50.0


def test_noise_alone_has_neither() -> None:
    noise = np.random.default_rng(1).standard_normal(SECONDS * RATE_HZ).astype(np.float32)
    hum_db, sideband_db = frame_lines_db(noise, F0_HZ)
    assert hum_db < -45.0
    assert sideband_db == -120.0
