"""Tempo through jitter, starts and stops, storms and gaps."""

from __future__ import annotations

import random

import pytest

from app.midi.clock import MAX_BPM, MidiClock, TempoChanged, TransportChanged
from app.midi.messages import ClockContinue, ClockStart, ClockStop, ClockTick, SongPosition


def tick(clock: MidiClock, bpm: float, n_beats: int, *, start_s: float = 0.0, jitter_s: float = 0.0) -> float:
    """Ticks with a seeded jitter -> the time after the last of them."""
    chance = random.Random(3)
    period_s = 60.0 / bpm / 24
    for index in range(24 * n_beats):
        clock.take(ClockTick(start_s + index * period_s + chance.uniform(-jitter_s, jitter_s)))
    return start_s + 24 * n_beats * period_s


@pytest.mark.parametrize("bpm", [40.0, 120.0, 173.3, 300.0])
def test_tempo_is_found_within_two_beats_and_held_through_jitter(bpm: float) -> None:
    clock = MidiClock()
    tick(clock, bpm, 2)
    assert clock.bpm == pytest.approx(bpm, rel=1e-6)
    jittery = MidiClock()
    tick(jittery, bpm, 32, jitter_s=0.001)
    assert jittery.bpm == pytest.approx(bpm, rel=0.01)


def test_a_new_tempo_is_followed_and_told() -> None:
    clock = MidiClock()
    after_s = tick(clock, 100.0, 8)
    told = [
        news.bpm
        for index in range(24 * 16)
        if isinstance(news := clock.take(ClockTick(after_s + index * 60.0 / 140.0 / 24)), TempoChanged)
    ]
    assert clock.bpm == pytest.approx(140.0, rel=1e-3)
    assert told[-1] == pytest.approx(140.0, abs=0.2)


def test_transport_counts_beats() -> None:
    clock = MidiClock()
    assert clock.take(ClockStart(1.0)) == TransportChanged(1.0, True, 0.0)
    after_s = tick(clock, 120.0, 4, start_s=1.0)
    assert clock.take(ClockStop(after_s)) == TransportChanged(after_s, False, 4.0)
    tick(clock, 120.0, 4, start_s=after_s)
    assert clock.beat == 4.0
    assert clock.take(ClockContinue(9.0)) == TransportChanged(9.0, True, 4.0)
    assert clock.take(SongPosition(9.0, 32)) == TransportChanged(9.0, True, 8.0)


def test_beats_between_ticks() -> None:
    clock = MidiClock()
    tick(clock, 120.0, 2)
    clock.take(ClockStart(1.0))
    last_s = tick(clock, 120.0, 2, start_s=1.0) - 0.5 / 24
    assert clock.beat_at(last_s + 0.25 / 24) == pytest.approx(2.0 + 0.5 / 24, abs=0.01)


def test_a_storm_and_a_gap_do_no_harm() -> None:
    clock = MidiClock()
    for index in range(2000):
        clock.take(ClockTick(index * 1e-4))
    assert clock.bpm is not None
    assert clock.bpm <= MAX_BPM + 1e-6
    tick(clock, 90.0, 8, start_s=60.0)
    assert clock.bpm == pytest.approx(90.0, rel=1e-3)
    for t_s in (5.0, 5.0, 4.0, 3.0):  # time that stands still or runs backwards
        clock.take(ClockTick(t_s))
