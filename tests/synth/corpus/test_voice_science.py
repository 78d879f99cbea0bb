"""The simulated voice lies where published measurements lie; Praat is the judge."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from numpy.typing import NDArray

from synth.corpus.measure import true_track
from synth.corpus.simulator import simulate_held, simulate_random
from synth.corpus.voice_science import PUBLISHED, Published, h1_h2_db, is_inside, praat_measures, survey
from synth.errors import UserError
from synth.features.analysis import analyse
from synth.spec.audio import SAMPLE_RATE_HZ

_N_PEOPLE = 7


@cache
def _survey(technique: str) -> dict[str, NDArray[np.float64]]:
    return survey(technique, _N_PEOPLE)


@pytest.mark.evaluation
@pytest.mark.slow
@pytest.mark.parametrize("published", PUBLISHED, ids=lambda row: f"{row.technique}-{row.measure}")
def test_medians_lie_within_published_bounds(published: Published) -> None:
    assert is_inside(published, _survey(published.technique)[published.measure])


@pytest.mark.evaluation
@pytest.mark.slow
def test_techniques_stand_in_the_published_order() -> None:
    """H1-H2 falls from breathy over modal to fry, CPPS from modal over breathy to whisper; whispers are bright."""

    def median(technique: str, measure: str) -> float:
        return float(np.nanmedian(_survey(technique)[measure]))

    assert median("breathy", "h1_h2_db") > median("modal", "h1_h2_db") > median("fry", "h1_h2_db")
    assert median("modal", "cpps_db") > median("breathy", "cpps_db") + 3.0
    assert median("breathy", "cpps_db") > median("whisper", "cpps_db") + 1.0
    assert median("whisper", "alpha_db") > median("modal", "alpha_db") + 8.0
    assert median("modal", "hnr_db") > median("breathy", "hnr_db") + 6.0


@pytest.mark.evaluation
def test_the_judge_tells_a_steady_tone_from_noise() -> None:
    t_s = np.arange(SAMPLE_RATE_HZ) / SAMPLE_RATE_HZ
    partials = np.array([np.sin(2.0 * np.pi * 150.0 * n * t_s) / n for n in range(1, 12)])
    tone = (0.1 * partials.sum(axis=0)).astype(np.float32)
    noise = (0.1 * np.random.default_rng(1).standard_normal(SAMPLE_RATE_HZ)).astype(np.float32)
    steady, hiss = praat_measures(tone, 60.0, 600.0), praat_measures(noise, 60.0, 600.0)
    assert steady["jitter_percent"] < 0.1
    assert steady["hnr_db"] > 40.0
    assert steady["cpps_db"] > hiss["cpps_db"] + 15.0
    assert hiss["hnr_db"] < 3.0
    assert h1_h2_db(tone, 150.0) == pytest.approx(20.0 * np.log10(2.0), abs=0.1)


def test_a_median_outside_its_bounds_is_found_out() -> None:
    row = Published("modal", "jitter_percent", 0.1, 1.0, "a test")
    assert is_inside(row, np.array([0.5, np.nan, 9.0, 0.4]))
    assert not is_inside(row, np.array([1.5, 2.0]))
    assert not is_inside(row, np.array([0.01]))


def test_inhaled_breath_is_what_the_ears_know_as_such_and_nothing_else_is() -> None:
    inwards, outwards = [], []
    for seed in range(80):
        clip = simulate_random(seed, 3.0, "modal")
        breath = clip.controls["ingress"] > 0.9
        if breath.sum() < 15:
            continue
        heard = analyse(clip.audio, true_track(clip)).lanes["ingress"]
        inwards.append(float(heard[breath].mean()))
        outwards.append(float(heard[(clip.controls["ingress"] < 0.1) & (clip.controls["presence"] > 0.5)].mean()))
        if len(inwards) == 5:
            break
    assert len(inwards) == 5
    assert np.median(inwards) > 0.6
    assert max(outwards) < 0.2


def test_breath_noise_pulsates_with_the_glottis() -> None:
    """Above 9 kHz a breathy voice is nearly all turbulence: its envelope still has the fundamental frequency."""
    found = []
    for seed in range(12):
        clip = simulate_held(seed, 1.0, "breathy")
        f0_hz = float(np.median(clip.f0_hz))
        if clip.voicing.min() < 0.8 or f0_hz > 350.0:
            continue
        spectrum = np.fft.rfft(clip.audio)
        spectrum[np.fft.rfftfreq(len(clip.audio), 1.0 / SAMPLE_RATE_HZ) < 9_000.0] = 0.0
        envelope = np.abs(np.fft.irfft(spectrum, len(clip.audio)))
        power = np.abs(np.fft.rfft((envelope - envelope.mean()) * np.hanning(len(envelope)))) ** 2
        hz = np.fft.rfftfreq(len(envelope), 1.0 / SAMPLE_RATE_HZ)
        at = power[np.abs(hz / f0_hz - 1.0) < 0.06].mean()
        beside = power[(np.abs(hz / f0_hz - 1.0) > 0.2) & (np.abs(hz / f0_hz - 1.0) < 0.4)].mean()
        found.append(at / beside)
    assert len(found) >= 3
    assert np.median(found) > 3.0


def test_unknown_techniques_and_empty_tones_are_refused() -> None:
    with pytest.raises(UserError, match="yodel"):
        simulate_held(1, 1.0, "yodel")
    with pytest.raises(ValueError, match="at least one sample"):
        simulate_held(1, 0.0, "modal")
