"""Distances of a codec have known answers, ratios are what they say, and a bend is measured as one."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from synth.codec.model import Codec
from synth.corpus.simulator import simulate_random
from synth.evaluate.codec_bending import MEASURES, bend_drift, bend_figures, measure_bends
from synth.evaluate.codec_distances import (
    DISTANCES,
    averaged_log_mel_distance,
    codec_distances,
    modulation_depths_db,
    modulation_spectrum_distance,
)
from synth.evaluate.codec_fidelity import fidelity_rows, judge_codec, ratio_interval, technique_of
from synth.evaluate.encoding import Encoded, encode_recording
from synth.evaluate.recordings import Recording
from synth.features.analysis import analyse
from synth.spec.audio import HOP_SAMPLES, SAMPLE_RATE_HZ
from tests.tiny_weights import TINY_CODEC

N_FRAMES = 160
ALL_SUNG = np.ones(N_FRAMES, dtype=np.float32)


def noise(seed: int, gain: float = 1.0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return (gain * 0.05 * rng.standard_normal(N_FRAMES * HOP_SAMPLES)).astype(np.float32)


def throb(rate_hz: float, depth: float = 0.8) -> np.ndarray:
    t_s = np.arange(N_FRAMES * HOP_SAMPLES) / SAMPLE_RATE_HZ
    return (noise(5) * (1.0 + depth * np.cos(2 * np.pi * rate_hz * t_s))).astype(np.float32)


def vowel(note: np.ndarray) -> np.ndarray:
    """Harmonics under two fixed resonances, at frame-rate pitch."""
    f0_hz = np.repeat(440.0 * 2.0 ** ((note - 69.0) / 12.0), HOP_SAMPLES)
    phase = 2 * np.pi * np.cumsum(f0_hz) / SAMPLE_RATE_HZ
    total = np.zeros(len(f0_hz))
    for k in range(1, 40):
        hz = k * f0_hz
        gain = 1.0 / (1 + ((hz - 600) / 120) ** 2) + 0.5 / (1 + ((hz - 1500) / 150) ** 2) + 0.01
        total += np.where(hz < 8000, gain * np.sin(k * phase), 0.0)
    return (0.1 * total / np.abs(total).max() + 1e-4 * noise(1)[: len(total)]).astype(np.float32)


def test_the_same_sound_has_no_distance() -> None:
    assert all(
        value == pytest.approx(0.0, abs=1e-6) for value in codec_distances(noise(1), noise(1), ALL_SUNG).values()
    )


def test_a_gain_is_its_decibels_and_no_modulation() -> None:
    assert averaged_log_mel_distance(noise(1, 2.0), noise(1), ALL_SUNG) == pytest.approx(6.02, abs=0.02)
    assert modulation_spectrum_distance(noise(1, 2.0), noise(1), ALL_SUNG) < 0.05


def test_averages_hear_less_of_noise_than_frames_do() -> None:
    distance = averaged_log_mel_distance(noise(1), noise(2), ALL_SUNG)
    assert 0.2 < distance < 2.0


def test_modulation_is_found_at_its_rate() -> None:
    plain, growled = modulation_depths_db(noise(5)), modulation_depths_db(throb(90.0))
    gained = (growled - plain).mean(axis=1)  # by octaves of 2, 4, 8, 16, 32 and 64 Hz
    assert int(np.argmax(gained)) == 5
    assert gained[5] > 3.0
    assert np.abs(gained[:4]).max() < 0.4 * gained[5]
    assert modulation_spectrum_distance(throb(90.0), noise(5), ALL_SUNG) > 0.5


def test_silence_is_not_judged() -> None:
    nobody = np.zeros(N_FRAMES, dtype=np.float32)
    assert np.isnan(averaged_log_mel_distance(noise(1), noise(2), nobody))
    assert np.isnan(modulation_spectrum_distance(noise(1), noise(2), nobody))


def test_ratio_places_the_codec_between_floor_and_world() -> None:
    values = np.array([[2.0, 3.0, 1.0], [2.2, 3.4, 1.0], [1.8, 2.6, 1.0], [2.0, 3.0, 1.0]])
    ratio = ratio_interval(values)
    assert ratio.value == pytest.approx(0.5)
    assert ratio.low <= 0.5 <= ratio.high
    assert ratio.high - ratio.low < 0.05
    assert np.isnan(ratio_interval(np.array([[1.0, 1.0, 1.5]])).value)  # WORLD under the floor says nothing
    assert np.isnan(ratio_interval(values[:2]).low)


def test_rows_pool_labels_by_technique() -> None:
    assert [technique_of(label) for label in ("growl_vowel", "sung_note_sustained", "singing_scat")] == [
        "growl", "song", "song",
    ]  # fmt: skip
    found = [(technique, name, 1.0, 2.0, 0.0) for technique in ("song", "growl") for name in DISTANCES]
    rows = {(row.technique, row.distance): row for row in fidelity_rows(found)}
    assert rows["song", "mr_stft"].n_recordings == 1
    assert rows["all", "mr_stft"].n_recordings == 2
    assert rows["all", "mr_stft"].ratio.value == pytest.approx(0.5)


def test_an_ideal_bend_keeps_the_vowel() -> None:
    note = np.full(N_FRAMES, 50.0, dtype=np.float32)
    unbent = analyse(vowel(note))
    encoded = Encoded(np.zeros((1, 1), np.float32), note, ALL_SUNG, ALL_SUNG, unbent)
    drifts = measure_bends(encoded, lambda _, wanted: vowel(wanted))
    for semitones in (-3, 3, 7):
        assert drifts[semitones]["pitch_cents"] < 8.0
        assert drifts[semitones]["gross_percent"] < 2.0
        assert abs(drifts[semitones]["f1_percent"]) < 12.0
    figures = bend_figures([drifts, {}])
    assert [row.semitones for row in figures] == sorted(drifts)
    assert set(figures[0].measures) == set(MEASURES)
    # Tape that is sped up keeps nothing.
    spoilt = vowel(np.full(N_FRAMES, 57.0, dtype=np.float32))
    spectrum_moved = replace(unbent, physical={**unbent.physical, "f1_hz": unbent.physical["f1_hz"] * 1.5})
    drift = bend_drift(spectrum_moved, unbent, note, np.ones(N_FRAMES, np.bool_))
    assert drift["f1_percent"] == pytest.approx(50.0, abs=1.0)
    assert bend_drift(analyse(spoilt), unbent, note, np.ones(N_FRAMES, np.bool_))["gross_percent"] > 90.0


@pytest.mark.world
def test_a_random_codec_loses_to_world_and_streams_exactly() -> None:
    torch.manual_seed(0)
    codec = Codec(TINY_CODEC).eval().requires_grad_(False)
    torch.nn.init.normal_(codec.decoder.leave.weight, std=0.1)
    recordings = [Recording("one", "modal", simulate_random(205, 1.0, "modal").audio)]
    report = judge_codec(codec, recordings, "untrained", with_bends=False)
    assert report.numbers_per_frame == codec.config.latent_dim
    assert report.streaming_difference_db < -100.0
    assert report.row("modal", "log_mel_100ms_db").ratio.value > 1.0
    assert json.loads(json.dumps(report.to_json()))["rows"][0]["n_recordings"] == 1
    encoded = encode_recording(codec, recordings[0].audio)
    assert encoded.latents.shape == (codec.config.latent_dim, len(encoded.note) + 32)
