"""The stage's small parts: clock, pressure, limiter, lanes, and pipes."""

from __future__ import annotations

import multiprocessing
from dataclasses import replace

import numpy as np
import pytest

from app.live.stage.clock import StreamClock
from app.live.stage.lanes import LOUDNESS, PRESENCE, TECHNIQUE, lane_course, resting_lanes, share_techniques
from app.live.stage.limiter import CEILING, Limiter
from app.live.stage.meter import N_LATENCIES, Meter, percentiles_ms
from app.live.stage.pipes import news_of
from app.live.stage.pressure import Pressure
from app.state.preset import Preset
from synth.spec import SAMPLE_RATE_HZ
from synth.spec.lanes import LANE_IDS, TECHNIQUES


def test_the_clock_forgives_late_requests() -> None:
    rng = np.random.default_rng(0)
    clock = StreamClock()
    for index in range(2000):
        late_s = float(rng.exponential(0.0003)) * (rng.random() < 0.3)
        clock.take((index + 1) * 128, 128, 5.0 + index * 128 / SAMPLE_RATE_HZ + late_s)
    true_s = 5.0 + 1999 * 128 / SAMPLE_RATE_HZ
    assert abs(clock.due_s(1999 * 128) - true_s) < 1e-4
    assert clock.frame_at(true_s + 0.01) == pytest.approx(1999 * 128 + 480, abs=6)
    assert clock.restarts == 0


def test_the_clock_begins_anew_after_a_gap() -> None:
    clock = StreamClock()
    clock.take(128, 128, 1.0)
    clock.take(256, 128, 9.0)
    assert clock.restarts == 1
    assert clock.due_s(128) == 9.0


def test_a_clock_follows_a_device_that_is_a_little_fast() -> None:
    clock = StreamClock()
    step_s = 128 / (SAMPLE_RATE_HZ * 1.0002)
    for index in range(20_000):
        clock.take((index + 1) * 128, 128, index * step_s)
    assert abs(clock.due_s(19_999 * 128) - 19_999 * step_s) < 2e-4


def test_quality_yields_before_voices_and_comes_back() -> None:
    pressure = Pressure(4)
    now_s = 0.0
    seen = []
    for _ in range(200):
        now_s += 0.05
        pressure.worked(0.06)
        pressure.look(now_s, 5, 10)
        seen.append((pressure.n_steps, pressure.max_voices))
    order = list(dict.fromkeys(seen))
    assert order[:4] == [(4, None), (2, None), (1, None), (1, 4)]
    for _ in range(3000):
        now_s += 0.05
        pressure.worked(0.001)
        pressure.look(now_s, 1, 10)
    assert (pressure.n_steps, pressure.max_voices) == (4, None)


def test_sound_about_to_break_counts_at_once() -> None:
    pressure = Pressure(4)
    pressure.look(10.0, 2, 1)
    assert pressure.n_steps == 2


def test_the_limiter_keeps_to_its_ceiling_and_leaves_the_rest_alone() -> None:
    limiter = Limiter()
    quiet = 0.5 * np.sin(np.arange(128) / 10).astype(np.float32)
    same = quiet.copy()
    assert not limiter.process(same)
    assert np.array_equal(same, quiet)
    for _ in range(20):
        loud = 4.0 * np.sin(np.arange(128) / 10).astype(np.float32)
        assert limiter.process(loud)
        assert np.abs(loud).max() <= CEILING + 1e-6
    assert limiter.gain < 0.3
    for _ in range(2000):
        limiter.process(quiet.copy())
    assert limiter.gain == 1.0


def test_what_is_no_number_becomes_silence() -> None:
    audio = np.full(64, np.nan, dtype=np.float32)
    assert Limiter().process(audio)
    assert not audio.any()


def test_gestures_are_played_from_the_onset_on_and_hold_their_last_value() -> None:
    still = Preset("a", "A", lane_defaults={"roughness": 0.1, "loudness": -20.0})
    moving = replace(still, gestures={"roughness": ((0.0, 0.0), (1.0, 0.5)), "loudness": ((0.2, 4.0),)})
    assert lane_course(still) is None
    course = lane_course(moving)
    assert course is not None
    roughness = LANE_IDS.index("roughness")
    assert course[roughness][[0, 50, 101]] == pytest.approx([0.1025, 0.3525, 0.6], abs=1e-3)
    assert course[LOUDNESS] == pytest.approx(-16.0)
    assert resting_lanes(moving)[roughness] == pytest.approx(0.1025, abs=1e-3)
    assert resting_lanes(moving)[PRESENCE] == resting_lanes(still)[PRESENCE] == 1.0


def test_resting_lanes_are_the_presets() -> None:
    lanes = resting_lanes(Preset("a", "A", lane_defaults={"loudness": -18.0}, technique={"growl": 0.7}))
    assert lanes[LOUDNESS] == -18.0
    assert lanes[TECHNIQUE][TECHNIQUES.index("growl")] == pytest.approx(0.7)


def test_techniques_that_are_asked_for_push_the_others_aside() -> None:
    lanes = resting_lanes(Preset("a", "A", technique={"modal": 1.0}))
    growl = TECHNIQUE.start + TECHNIQUES.index("growl")
    lanes[growl] = 0.6
    share_techniques(lanes, [growl])
    assert lanes[growl] == pytest.approx(0.6)
    assert float(lanes[TECHNIQUE].sum()) == pytest.approx(1.0)


def test_the_meter_keeps_the_last_latencies() -> None:
    meter = Meter.create()
    try:
        assert np.isnan(percentiles_ms(meter)).all()
        for index in range(N_LATENCIES + 100):
            meter.note_latency(0.1 if index < 100 else 0.005)
        assert percentiles_ms(meter) == pytest.approx((5.0, 5.0, 5.0))
    finally:
        meter.close()


def test_news_in_a_pipe_is_seen_and_so_is_its_end() -> None:
    ours, theirs = multiprocessing.Pipe()
    has_news = news_of(ours)
    assert not has_news()
    theirs.send("news")
    assert has_news()
    assert ours.recv() == "news"
    assert not has_news()
    theirs.close()
    assert has_news()
    ours.close()
