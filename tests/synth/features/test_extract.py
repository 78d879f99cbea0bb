"""Recording to lanes and notes, and simplification within its tolerance."""

from __future__ import annotations

import numpy as np
import pytest

from synth.features import F0Track, analyse
from synth.features.extract import breakpoints, controls_from_analysis, controls_from_audio, notes_from_f0, simplify
from tests.synth.features.voices import voice


def _track(note: np.ndarray, voiced: np.ndarray) -> F0Track:
    f0_hz = (440.0 * 2.0 ** ((note - 69.0) / 12.0)).astype(np.float32)
    return F0Track(f0_hz, voiced.astype(np.float32), voiced)


@pytest.mark.parametrize("tolerance", [0.01, 0.1, 0.5])
def test_simplified_curve_stays_within_tolerance(tolerance: float) -> None:
    t = np.arange(1_000) / 100.0
    curve = np.sin(t) + 0.3 * np.sin(7.0 * t)
    kept = simplify(curve, tolerance)
    redrawn = np.interp(np.arange(len(curve)), kept, curve[kept])
    assert np.abs(redrawn - curve).max() <= tolerance + 1e-12
    assert len(kept) < len(curve) / 4
    assert kept[0] == 0
    assert kept[-1] == len(curve) - 1


def test_straight_lines_need_only_their_ends() -> None:
    assert simplify(np.linspace(0.0, 5.0, 400), 1e-6).tolist() == [0, 399]
    assert simplify(np.array([1.0]), 0.1).tolist() == [0]
    assert simplify(np.zeros(0), 0.1).tolist() == []


def test_a_corner_is_kept_where_it_is() -> None:
    curve = np.concatenate([np.zeros(50), np.arange(1, 51) * 0.1])
    assert 49 in simplify(curve, 0.01).tolist()


def test_breakpoints_are_at_frame_centres() -> None:
    assert breakpoints("roughness", np.linspace(0.0, 1.0, 101)) == ((0.005, 0.0), (1.005, 1.0))


def test_notes_are_split_at_steps_and_rests_but_not_by_vibrato() -> None:
    n = 300
    note = np.full(n, 60.0)
    note[100:200] = 64.0
    note += 0.4 * np.sin(2.0 * np.pi * 5.5 * np.arange(n) / 100.0)
    voiced = np.ones(n, dtype=np.bool_)
    voiced[200:220] = False
    voiced[50:53] = False  # a consonant inside a note
    notes = notes_from_f0(_track(note, voiced), np.full(n, -20.0))
    assert [round(heard.note) for heard in notes] == [60, 64, 60]
    assert [heard.start_s for heard in notes] == pytest.approx([0.0, 1.0, 2.2], abs=0.05)
    assert [heard.duration_s for heard in notes] == pytest.approx([1.0, 1.0, 0.8], abs=0.1)
    assert all(heard.loudness_db == pytest.approx(-20.0) for heard in notes)


def test_nothing_voiced_gives_no_notes() -> None:
    assert notes_from_f0(_track(np.full(50, 60.0), np.zeros(50, dtype=np.bool_)), np.full(50, -20.0)) == ()


def test_controls_are_finite_and_follow_the_voice() -> None:
    audio = np.concatenate([voice(200.0, 0.6), np.zeros(14_400, dtype=np.float32), voice(200.0, 0.6, hnr_db=-np.inf)])
    controls = controls_from_audio(audio)
    assert all(np.isfinite(values).all() for values in controls.values())
    assert np.median(controls["pitch"][10:50]) == pytest.approx(55.35, abs=0.1)
    assert np.median(controls["breathiness"][100:140]) > np.median(controls["breathiness"][10:50]) + 0.5
    assert controls["presence"][75] == 0.0
    # Silence holds its neighbours' vowel instead of inventing one.
    analysis = analyse(np.zeros(9_600, dtype=np.float32))
    assert controls_from_analysis(analysis)["vowel_open"].tolist() == [0.0] * analysis.n_frames
