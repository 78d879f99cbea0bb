"""Agreement of tracks whose delay and error are known."""

from __future__ import annotations

import numpy as np
import pytest

from synth.evaluate.voice_in.agreement import pitch_agreement, summary
from synth.evaluate.voice_in.report import partials
from synth.listening.heard import Heard


def heard_late(delay_s: float, *, wrong_every: int = 0) -> list[Heard]:
    """Vibrato around A3, answered `delay_s` late; every so many hops an octave too high."""
    hops = []
    for index in range(400):
        end_s = 0.005 * (index + 1)
        note = vibrato(np.array([end_s - delay_s]))[0]
        if wrong_every and index % wrong_every == 0:
            note += 12.0
        hz = 440.0 * 2.0 ** ((note - 69.0) / 12.0)
        hops.append(Heard(end_s, float(hz), 0.9, True, True, -20.0, {}, ()))
    return hops


def vibrato(t_s: np.ndarray) -> np.ndarray:
    return 57.0 + 2.0 * np.sin(2.0 * np.pi * 3.0 * t_s)


T_S = ((np.arange(200) + 0.5) * 0.01).astype(np.float64)


@pytest.mark.parametrize("delay_s", [0.0, 0.012, 0.03])
def test_the_delay_is_found_to_a_millisecond(delay_s: float) -> None:
    found = pitch_agreement(heard_late(delay_s), T_S, vibrato(T_S))
    assert found is not None
    assert found.delay_s == pytest.approx(delay_s, abs=0.001)
    assert np.median(found.cents) < 5.0
    assert found.gross_share == 0.0


def test_octave_errors_are_counted_and_do_not_move_the_delay() -> None:
    found = pitch_agreement(heard_late(0.02, wrong_every=10), T_S, vibrato(T_S))
    assert found is not None
    assert found.delay_s == pytest.approx(0.02, abs=0.001)
    assert found.octave_share == pytest.approx(0.1, abs=0.01)


def test_what_one_of_both_does_not_hear_is_left_out() -> None:
    note = np.where(T_S < 1.0, vibrato(T_S), np.nan)
    found = pitch_agreement(heard_late(0.0), T_S, note)
    assert found is not None
    assert len(found.cents) == pytest.approx(200, abs=4)
    assert pitch_agreement(heard_late(0.0), T_S, np.full(len(T_S), np.nan)) is None
    assert pitch_agreement(heard_late(0.0), T_S, vibrato(T_S), above_hz=300.0) is None


def test_nothing_has_no_median() -> None:
    assert summary([])["n"] == 0
    assert np.isnan(summary([])["median"])
    assert summary([1.0, 2.0, 3.0])["median"] == 2.0


def test_partials_have_their_pitch() -> None:
    spectrum = np.abs(np.fft.rfft(partials(np.full(48_000, 250.0))))
    peaks = np.flatnonzero(spectrum > 0.02 * spectrum.max())
    assert set(peaks.tolist()) <= set(range(250, 24_000, 250))
