"""Listening on voices whose pitch, level and silence are known."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from synth.errors import UserError
from synth.features.presence import STARTS_DB
from synth.listening import presence
from synth.listening.filters import HighPass
from synth.listening.heard import HOP_S, READ_LANES, Heard
from synth.listening.listener import Listener
from synth.listening.reading import OUTPUTS, load_reading
from synth.listening.resampling import StreamResampler
from synth.spec.controls import Float32Array
from synth.spec.lanes import TECHNIQUES
from tests.synth.listening.voices import sung, whispered

RATE_HZ = 48_000


def heard_in(audio: Float32Array, rate_hz: int = RATE_HZ, block: int = 128) -> list[Heard]:
    listener = Listener(rate_hz)
    return [hop for at in range(0, len(audio), block) for hop in listener.push(audio[at : at + block])]


def cents_off(heard: list[Heard], f0_hz: Float32Array, delay_s: float, rate_hz: int = RATE_HZ) -> Float32Array:
    """Absolute errors of voiced hops against what was sung `delay_s` before their end."""
    voiced = [hop for hop in heard if hop.is_voiced]
    times_s = np.array([hop.end_s - delay_s for hop in voiced])
    truth = np.interp(times_s, np.arange(len(f0_hz)) / rate_hz, f0_hz)
    return np.abs(1200.0 * np.log2(np.array([hop.hz for hop in voiced]) / truth)).astype(np.float32)


@pytest.mark.parametrize("hz", [100.0, 146.8, 220.0, 440.0, 880.0])
def test_steady_pitch_is_heard_to_a_cent(hz: float) -> None:
    f0 = np.full(RATE_HZ // 2, hz)
    heard = heard_in(sung(f0))
    assert np.mean([hop.is_voiced for hop in heard[8:]]) > 0.98
    errors = cents_off(heard[10:], f0.astype(np.float32), 0.0)
    assert np.median(errors) < 1.0
    assert np.percentile(errors, 99) < 10.0


def test_glides_are_followed_within_thirty_milliseconds() -> None:
    f0 = np.geomspace(110.0, 880.0, RATE_HZ)
    heard = heard_in(sung(f0))
    delays_s = np.arange(0.0, 0.06, 0.001)
    costs = [np.mean(np.minimum(cents_off(heard, f0.astype(np.float32), delay), 100.0)) for delay in delays_s]
    assert delays_s[int(np.argmin(costs))] <= 0.03
    assert min(costs) < 5.0


@pytest.mark.parametrize(("before_hz", "after_hz"), [(220.0, 330.0), (330.0, 220.0), (220.0, 440.0), (440.0, 220.0)])
def test_steps_and_octaves_are_believed_within_thirty_milliseconds(before_hz: float, after_hz: float) -> None:
    f0 = np.repeat([before_hz, after_hz], RATE_HZ // 4)
    heard = heard_in(sung(f0))
    arrived = [hop.end_s for hop in heard if abs(1200.0 * np.log2(max(hop.hz, 1.0) / after_hz)) < 30.0]
    assert min(end_s for end_s in arrived if end_s > 0.25) - 0.25 <= 0.03
    settled = [hop for hop in heard if hop.end_s > 0.29]
    assert all(abs(1200.0 * np.log2(hop.hz / after_hz)) < 30.0 for hop in settled)


@pytest.mark.parametrize(("rate_hz", "block"), [(8_000, 64), (44_100, 128), (44_100, 1_000), (96_000, 256)])
def test_any_rate_and_block_hears_the_same(rate_hz: int, block: int) -> None:
    f0 = np.full(rate_hz // 2, 196.0)
    heard = heard_in(sung(f0, rate_hz), rate_hz, block)
    assert len(heard) == pytest.approx(100, abs=2)
    assert abs(1200.0 * np.log2(heard[-1].hz / 196.0)) < 2.0
    rms_db = 10.0 * np.log10(np.mean(sung(f0, rate_hz).astype(np.float64) ** 2))
    assert heard[-1].level_db == pytest.approx(rms_db, abs=0.7)


def test_blocks_leave_no_trace() -> None:
    audio = sung(np.geomspace(150.0, 300.0, RATE_HZ // 4))
    for small, large in zip(heard_in(audio, block=240), heard_in(audio, block=240), strict=True):
        assert small == large
    assert [hop.hz for hop in heard_in(audio, block=60)] == [hop.hz for hop in heard_in(audio, block=240)]


def test_noise_has_no_pitch_and_silence_nobody() -> None:
    heard = heard_in(whispered(RATE_HZ))
    assert np.mean([hop.is_voiced for hop in heard]) < 0.02
    assert np.mean([hop.is_present for hop in heard]) > 0.95
    assert not any(hop.is_present or hop.is_voiced for hop in heard_in(np.zeros(RATE_HZ, dtype=np.float32)))


def test_presence_does_not_chatter_at_its_threshold() -> None:
    """A level that trembles around the threshold begins once and does not end."""
    trembling_db = STARTS_DB + np.random.default_rng(0).uniform(-3.0, 3.0, 400)
    level_db = np.concatenate((np.full(20, STARTS_DB - 30.0), trembling_db))
    gate = presence.PresenceGate(80)
    states = [gate.process(float(level), is_voiced=True) for level in level_db]
    assert np.sum(np.diff(np.array(states, dtype=int)) != 0) == 1
    assert presence.STARTS_DB == STARTS_DB


def test_presence_begins_at_once_and_ends_after_its_hold() -> None:
    silence, tone = np.zeros(RATE_HZ // 4, dtype=np.float32), sung(np.full(RATE_HZ // 4, 220.0))
    heard = heard_in(np.concatenate((silence, tone, silence)))
    present_s = [hop.end_s for hop in heard if hop.is_present]
    assert 0.25 <= present_s[0] <= 0.265
    assert 0.5 <= present_s[-1] <= 0.62


def test_steady_noise_becomes_the_room() -> None:
    gate = presence.PresenceGate(80)
    states = [gate.process(-45.0, is_voiced=False) for _ in range(round(8.0 / HOP_S))]
    assert states[0]
    assert not states[-1]
    assert gate.process(-25.0, is_voiced=False)


def test_sensitivity_hears_more_quietly() -> None:
    quiet = sung(np.full(RATE_HZ // 4, 220.0), level=0.0015)
    assert not any(hop.is_present for hop in heard_in(quiet))
    listener = Listener(RATE_HZ, sensitivity_db=20.0)
    assert any(hop.is_present for hop in listener.push(quiet))


def test_damage_and_clipping_are_told_and_survived() -> None:
    audio = sung(np.full(RATE_HZ // 2, 220.0), level=2.0).clip(-1.0, 1.0)
    audio[1_000:1_040] = np.nan
    audio[2_000] = np.inf
    heard = heard_in(audio)
    assert any(hop.is_damaged for hop in heard)
    assert any(hop.is_clipped for hop in heard)
    assert np.isfinite(heard[-1].level_db)
    assert abs(1200.0 * np.log2(heard[-1].hz / 220.0)) < 5.0
    assert all(np.isfinite(list(hop.lanes.values())).all() for hop in heard)


def test_whisper_and_voice_are_told_apart() -> None:
    whisper = heard_in(whispered(RATE_HZ // 2))[-1]
    voice = heard_in(sung(np.full(RATE_HZ // 2, 220.0)))[-1]
    whisper_weight = dict(zip(TECHNIQUES, whisper.techniques, strict=True))["whisper"]
    assert whisper_weight > 0.5
    assert dict(zip(TECHNIQUES, voice.techniques, strict=True))["whisper"] < 0.1
    assert whisper.lanes["breathiness"] > voice.lanes["breathiness"] + 0.3
    assert set(voice.lanes) == set(READ_LANES)
    assert sum(voice.techniques) == pytest.approx(1.0, abs=1e-3)


def test_resampling_keeps_a_sine() -> None:
    for rate_hz in (8_000, 22_050, 44_100, 48_000, 96_000):
        resampler = StreamResampler(rate_hz)
        t = np.arange(rate_hz) / rate_hz
        pieces = np.array_split(np.sin(2.0 * np.pi * 1_000.0 * t).astype(np.float32), 97)
        out = np.concatenate([resampler.process(piece) for piece in pieces])
        assert len(out) == pytest.approx(16_000, abs=20)
        expected = np.sin(2.0 * np.pi * 1_000.0 * (np.arange(len(out)) / 16_000.0 - resampler.delay_s))
        shifted = [np.abs(out[200:-200] - np.roll(expected, k)[200:-200]).max() for k in (-1, 0, 1)]
        assert min(shifted) < 0.45
        assert np.sqrt(np.mean(out[200:-200] ** 2)) == pytest.approx(np.sqrt(0.5), abs=0.01)


def test_rates_of_no_sound_card_are_refused() -> None:
    with pytest.raises(ValueError, match="out of range"):
        StreamResampler(500.0)


def test_high_pass_is_the_textbook_filter() -> None:
    signal = pytest.importorskip("scipy.signal")
    noise = np.random.default_rng(0).standard_normal(800).astype(np.float32)
    ours = HighPass(50.0, 16_000, 80)
    out = np.concatenate([ours.process(noise[at : at + 80]) for at in range(0, 800, 80)])
    np.testing.assert_allclose(out, signal.lfilter(*signal.butter(2, 50.0, "highpass", fs=16_000), noise), atol=1e-5)


def test_reading_says_what_is_wrong_with_its_file(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="missing"):
        load_reading(tmp_path / "none.json")
    broken = tmp_path / "broken.json"
    broken.write_text("{")
    with pytest.raises(UserError, match="cannot be read"):
        load_reading(broken)
    stored = load_reading().to_json()
    for key, value in (("revision", 2), ("bias1", [0.0]), ("mean", [float("inf")] * len(stored["mean"]))):
        broken.write_text(json.dumps({**stored, key: value}))
        with pytest.raises(UserError, match=r"revision|damaged"):
            load_reading(broken)
    broken.write_text(json.dumps(stored))
    numbers = np.random.default_rng(0).standard_normal((5, len(stored["mean"]))).astype(np.float32)
    np.testing.assert_allclose(load_reading(broken)(numbers), load_reading()(numbers), atol=1e-4)
    assert load_reading()(numbers).shape == (5, len(OUTPUTS))
