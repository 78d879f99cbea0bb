"""From what is heard to what is played, and across shared memory."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from app.live.performance.commands import Release, Retune, StartVoice
from app.live.performance.gestures import VOICE_IN, Gesture, KeyBent, KeyLifted, KeyPressed, LaneMoved
from app.live.performance.performance import Performance
from app.live.voice_in.gestures import DRIVEN_LANES, GestureMaker, let_go
from app.live.voice_in.ring import N_RECORDS, GestureRing
from app.state.controller_profile import default_profile
from app.state.preset import NEUTRAL_PRESET
from synth.listening.heard import HOP_S, READ_LANES, Heard
from synth.spec.lanes import TECHNIQUES


def hop(hz: float = 220.0, technique: str = "modal", *, level_db: float = -20.0, breath: float = 0.2) -> Heard:
    """A hop of a voice; hz 0: without pitch."""
    lanes = dict.fromkeys(READ_LANES, 0.3) | {"breathiness": breath}
    weights = tuple(1.0 if name == technique else 0.0 for name in TECHNIQUES)
    return Heard(0.0, hz, 0.95 if hz else 0.1, hz > 0.0, level_db > -50.0, level_db, lanes, weights)


SILENCE = hop(0.0, level_db=-90.0)


def play(maker: GestureMaker, hops: list[Heard], from_s: float = 0.0) -> list[Gesture]:
    return [each for index, heard in enumerate(hops) for each in maker.take(heard, from_s + index * HOP_S)]


def of(kind: type, gestures: list[Gesture]) -> list[Gesture]:
    return [each for each in gestures if isinstance(each, kind)]


def test_a_phrase_is_one_voice_whose_pitch_bends() -> None:
    sung = [hop(220.0 * 2.0 ** (index / 1200.0)) for index in range(100)]
    gestures = play(GestureMaker(), [SILENCE, *sung, SILENCE])
    pressed = of(KeyPressed, gestures)
    assert len(pressed) == len(of(KeyLifted, gestures)) == 1
    assert pressed[0].note == pytest.approx(57.0)  # pyright: ignore[reportAttributeAccessIssue]
    last = of(KeyBent, gestures)[-1]
    assert last.cents == pytest.approx(99.0, abs=1.0)  # pyright: ignore[reportAttributeAccessIssue]


def test_a_note_begins_with_its_technique() -> None:
    gestures = play(GestureMaker(), [hop(220.0, "growl")])
    names = [type(each).__name__ for each in gestures]
    assert names[-1] == "KeyPressed"
    moved = {each.lane: each.value for each in gestures if isinstance(each, LaneMoved)}
    assert moved["technique.growl"] == pytest.approx(1.0)
    assert moved["technique.modal"] == 0.0
    assert set(moved) == set(DRIVEN_LANES)


def test_without_pitch_it_waits_and_then_keeps_the_last() -> None:
    maker = GestureMaker()
    play(maker, [hop(330.0)] * 10 + [SILENCE])
    gestures = play(maker, [hop(0.0, "whisper")] * 12, 1.0)
    pressed = of(KeyPressed, gestures)
    assert len(pressed) == 1
    assert 0.03 <= pressed[0].t_s - 1.0 <= 0.045
    assert pressed[0].note == pytest.approx(64.02, abs=0.01)  # pyright: ignore[reportAttributeAccessIssue]


def test_a_click_plays_nothing() -> None:
    assert play(GestureMaker(), [SILENCE] * 5 + [hop(0.0)] * 4 + [SILENCE] * 50) == []


def test_lanes_are_told_when_they_move_only() -> None:
    gestures = play(GestureMaker(), [hop()] * 100)
    assert len(of(LaneMoved, gestures)) == len(DRIVEN_LANES)
    moved = of(LaneMoved, play(GestureMaker(), [hop(breath=0.2)] * 10 + [hop(breath=0.6)] * 10))
    breaths = [each.value for each in moved if isinstance(each, LaneMoved) and each.lane == "breathiness"]
    assert breaths == [0.2, 0.6]


def test_doubtful_techniques_are_not_sung() -> None:
    weights = tuple({"modal": 0.7, "breathy": 0.3}.get(name, 0.0) for name in TECHNIQUES)
    gestures = play(GestureMaker(), [replace(hop(), techniques=weights)])
    moved = {each.lane: each.value for each in gestures if isinstance(each, LaneMoved)}
    assert moved["technique.modal"] == pytest.approx(0.49 / 0.58)
    assert sum(value for lane_id, value in moved.items() if lane_id.startswith("technique.") and value) == 1.0


def test_the_next_phrase_of_its_kind_begins_with_what_was_made_ahead() -> None:
    """After a pause the lanes rest where phrases begin; only another technique moves them before its note."""
    for technique, moves_first in (("modal", False), ("whisper", True)):
        maker = GestureMaker()
        phrase = [hop(level_db=-20.0 + index * 0.05) for index in range(80)]
        play(maker, phrase)
        parked = play(maker, [SILENCE] * 300, 1.0)
        assert of(LaneMoved, parked)
        begun = play(maker, [hop(220.0, technique, level_db=-30.0)], 4.0)
        assert isinstance(begun[0], LaneMoved) is moves_first
        assert of(KeyPressed, begun)


def test_the_performance_plays_them() -> None:
    performance = Performance(default_profile("any"), NEUTRAL_PRESET)
    hops = [hop(0.0, "whisper")] * 12 + [hop(247.0)] * 5 + [SILENCE]
    commands = [command for each in play(GestureMaker(), hops) for command in performance.feed(each)]
    begun = next(command for command in commands if isinstance(command, StartVoice))
    assert begun.note == pytest.approx(57.0)
    assert any(isinstance(command, Retune) and abs(command.cents - 200.0) < 5.0 for command in commands)
    performance.sounded(begun.voice, 0.0)
    later = [command for command in commands if isinstance(command, Release)] or performance.advance(10.0)
    assert any(isinstance(command, Release) for command in later)


def test_gestures_cross_the_ring_in_order_and_unchanged() -> None:
    ring = GestureRing.create()
    try:
        reader = GestureRing.attach(ring.name)
        gestures: list[Gesture] = [
            LaneMoved(1.0, "roughness", 0.4),
            KeyPressed(1.0, VOICE_IN, 0, 60.25, 80.0),
            KeyBent(1.5, VOICE_IN, 0, -33.0),
            LaneMoved(2.0, "technique.growl", None),
            *let_go(3.0),
        ]
        for each in gestures:
            ring.push(each)
        assert reader.take() == gestures
        assert reader.take() == []
        reader.close()
    finally:
        ring.close()


def test_a_full_ring_counts_what_it_drops() -> None:
    ring = GestureRing.create()
    try:
        for index in range(N_RECORDS + 3):
            ring.push(KeyBent(float(index), VOICE_IN, 0, float(index)))
        assert ring.n_lost == 3
        assert len(ring.take()) == N_RECORDS
        ring.push(KeyBent(0.0, VOICE_IN, 0, 7.0))
        assert ring.take() == [KeyBent(0.0, VOICE_IN, 0, 7.0)]
    finally:
        ring.close()


def test_the_state_is_told_and_outlives_the_ring() -> None:
    ring = GestureRing.create()
    weights = tuple(1.0 if name == "growl" else 0.0 for name in TECHNIQUES)
    assert ring.state().state == "off"
    assert math.isnan(ring.state().note)
    ring.set_state("listening", 0.005)
    ring.tell(level_db=-12.0, note=60.5, is_present=True, techniques=weights, load=0.05)
    ring.count(hops=2, clipped=1)
    ring.close()
    state = ring.state()
    assert (state.state, state.technique, state.note, state.input_ms) == ("listening", "growl", 60.5, 5.0)
    assert (state.hops, state.clipped, state.is_present) == (2, 1, True)
