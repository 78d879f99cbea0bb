"""The comb on voices whose pulses are known, and onsets on engines that are in or out of tune."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from synth.evaluate.comb import agreement, comb_f0_hz
from synth.evaluate.crosstalk import evaluate_crosstalk
from synth.evaluate.onsets import KINDS, evaluate_onsets
from synth.evaluate.singing import Singer
from synth.spec import SAMPLE_RATE_HZ, Float32Array
from tests.synth.evaluate.known_engines import KnownEngine

_N_FRAMES = 60


def _pulses(f0_hz: float, weak: float = 0.0, order: int = 2, noise: float = 0.0) -> Float32Array:
    """A pulse train; every `order`-th pulse is weaker by `weak`."""
    n_samples = _N_FRAMES * SAMPLE_RATE_HZ // 100
    audio = noise * np.random.default_rng(0).standard_normal(n_samples)
    at = np.arange(0.0, n_samples - 60, SAMPLE_RATE_HZ / f0_hz)
    shape = np.exp(-np.arange(60) / 12.0)
    for index, start in enumerate(at):
        audio[round(start) : round(start) + 60] += (1.0 - weak * (index % order == 0)) * shape
    return audio.astype(np.float32)


@pytest.mark.parametrize("f0_hz", [40.0, 110.0, 440.0])
def test_plain_pulses_are_heard_at_their_rate(f0_hz: float) -> None:
    asked = np.full(_N_FRAMES, f0_hz)
    found = agreement(comb_f0_hz(_pulses(f0_hz, noise=0.02), asked), asked)
    assert np.mean(found[10:-10] == 1) > 0.95


@pytest.mark.parametrize(("weak", "order", "divisor"), [(0.2, 2, 1), (0.9, 2, 2), (0.9, 3, 1)])
def test_subharmonic_pulses_are_right_at_a_divisor(weak: float, order: int, divisor: int) -> None:
    asked = np.full(_N_FRAMES, 120.0)
    found = agreement(comb_f0_hz(_pulses(120.0, weak, order), asked), asked)[10:-10]
    assert np.mean(found > 0) > 0.95
    assert np.mean(found == divisor) > 0.5


def test_a_fifth_off_and_an_octave_up_are_wrong() -> None:
    asked = np.full(_N_FRAMES, 120.0)
    for wrong_hz in (180.0, 240.0):
        assert np.mean(agreement(comb_f0_hz(_pulses(wrong_hz), asked), asked)[10:-10] == 0) > 0.95


def test_silence_has_no_pitch() -> None:
    asked = np.full(_N_FRAMES, 120.0)
    silent = np.zeros(_N_FRAMES * SAMPLE_RATE_HZ // 100, dtype=np.float32)
    assert not agreement(comb_f0_hz(silent, asked), asked).any()


@pytest.mark.parametrize(("offset_cents", "right"), [(0.0, 100.0), (-450.0, 0.0)])
def test_onsets_are_scored_against_the_lane(offset_cents: float, right: float) -> None:
    engine: Any = KnownEngine(offset_cents=offset_cents)
    report = evaluate_onsets(Singer(engine, "draft"), n_clips=1, n_simulated=2)
    assert [found.kind for found in report.figures] == list(KINDS)
    for found in report.figures:
        assert found.right_percent.value == pytest.approx(right, abs=12.0), found
    assert {found.kind for found in report.comb_alone} == {"onset", "fry", "growl"}


@pytest.mark.evaluation
def test_an_engine_deaf_to_breath_adds_no_error() -> None:
    engine: Any = KnownEngine()
    report = evaluate_crosstalk(Singer(engine, "draft"), n_notes=3)
    assert len(report.figures) == 4
    for found in report.figures:
        assert found.n_notes == 3
        assert found.added_cents.value == pytest.approx(0.0, abs=0.5)
        assert found.octave_percent == 0.0
