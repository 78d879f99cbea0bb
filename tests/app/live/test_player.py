"""Notes start, go on cell by cell, and always end."""

from __future__ import annotations

import numpy as np
import pytest

from app.live.controllers import ALL_NOTES_OFF, ALL_SOUND_OFF, BEND_RANGE_SEMITONES, RESET_CONTROLLERS, SUSTAIN
from app.live.player import CELL_S, LATE_S, MAX_POLYPHONY, MIN_SOUND_S, CellRequest, LivePlayer, OnCell
from app.midi.messages import ControlChange, NoteOff, NoteOn, PitchBend, Pressure
from app.state.preset import NEUTRAL_PRESET
from synth.spec import SAMPLE_RATE_HZ, Float32Array

CELL = np.zeros(round(CELL_S * SAMPLE_RATE_HZ), dtype=np.float32)


class FakeSound:
    """Plays when time is moved on: what a sound server would do, by arithmetic."""

    def __init__(self) -> None:
        self.pushed_s: dict[int, float] = {}
        self.played: dict[int, float] = {}
        self.released: dict[int, float] = {}
        self.n_panics = 0
        self.has_room = True

    def live_block(self, note_id: int, audio: Float32Array) -> bool:
        if self.has_room:
            self.pushed_s[note_id] = self.pushed_s.get(note_id, 0.0) + len(audio) / SAMPLE_RATE_HZ
        return self.has_room

    def live_release(self, note_id: int, *, fade_s: float = 0.08) -> None:
        assert note_id not in self.released, "released twice"
        self.released[note_id] = fade_s
        self.pushed_s.pop(note_id, None)
        self.played.pop(note_id, None)

    def live_played_s(self, note_id: int) -> float | None:
        return self.played.get(note_id)

    def panic(self) -> None:
        self.n_panics += 1

    def move_on(self, seconds: float) -> None:
        for note_id, pushed_s in self.pushed_s.items():
            self.played[note_id] = min(self.played.get(note_id, 0.0) + seconds, pushed_s)


class Stage:
    """A player with a sampler and a clock that the test works by hand."""

    def __init__(self) -> None:
        self.sound = FakeSound()
        self.now_s = 100.0
        self.requests: list[tuple[CellRequest, OnCell]] = []
        self.player = LivePlayer(
            self.sound,
            lambda request, on_cell: self.requests.append((request, on_cell)),
            seed=5,
            clock=lambda: self.now_s,
        )
        self.player.set_preset(NEUTRAL_PRESET)

    def answer(self, audio: Float32Array | None = CELL) -> CellRequest:
        """Answer the oldest request."""
        request, on_cell = self.requests.pop(0)
        on_cell(request, audio)
        return request

    def move_on(self, seconds: float) -> None:
        """Time passes at the pace of the window's timer, and the sampler answers at once."""
        for _ in range(round(seconds / 0.02)):
            self.now_s += 0.02
            self.sound.move_on(0.02)
            self.player.pump()
            while self.requests:
                self.answer()


@pytest.fixture
def stage() -> Stage:
    return Stage()


def test_a_note_starts_with_its_first_cell_and_asks_one_ahead(stage: Stage) -> None:
    stage.player.note_on(60.5, 90)
    first = stage.answer()
    assert (first.cell_index, first.note, first.velocity, first.seed) == (0, 60.5, 90, 5)
    assert first.preset is NEUTRAL_PRESET
    assert stage.sound.pushed_s == {first.note_id: pytest.approx(CELL_S)}
    second = stage.answer()
    assert second.cell_index == 1
    assert stage.requests == []  # two cells are there: one sounds, one is ahead
    stage.sound.move_on(CELL_S - 0.01)
    stage.player.pump()
    assert stage.requests == []
    stage.sound.move_on(0.02)
    stage.player.pump()
    assert [request.cell_index for request, _ in stage.requests] == [2]
    stage.player.pump()
    assert len(stage.requests) == 1  # asked once


def test_a_held_note_never_runs_dry(stage: Stage) -> None:
    stage.player.note_on(60, 90)
    stage.answer()
    stage.move_on(10.0)
    (note_id,) = stage.sound.pushed_s
    assert stage.sound.played[note_id] == pytest.approx(10.0, abs=0.05)


def test_a_key_let_go_releases_in_80_ms(stage: Stage) -> None:
    stage.player.note_on(60, 90)
    stage.answer()
    stage.move_on(0.5)
    stage.player.note_off(60)
    assert list(stage.sound.released.values()) == [0.08]
    assert stage.player.n_notes == 0


def test_a_short_note_is_heard_for_as_long_as_it_was_held(stage: Stage) -> None:
    stage.player.note_on(60, 90)
    stage.now_s += 0.2
    stage.player.note_off(60)
    assert stage.sound.released == {}
    assert stage.player.is_wanted(1)
    stage.answer()
    stage.move_on(0.16)
    assert stage.sound.released == {}
    stage.move_on(0.1)
    assert list(stage.sound.released.values()) == [0.08]
    assert stage.player.n_notes == 0


def test_a_touched_key_sounds_a_little(stage: Stage) -> None:
    stage.player.note_on(60, 90)
    stage.player.note_off(60)
    stage.answer()
    stage.move_on(MIN_SOUND_S / 2)
    assert stage.sound.released == {}
    stage.move_on(MIN_SOUND_S)
    assert len(stage.sound.released) == 1
    assert stage.requests == []  # one cell was enough


def test_a_cell_that_comes_far_too_late_is_not_played(stage: Stage) -> None:
    stage.player.note_on(60, 90)
    stage.player.note_off(60)
    stage.now_s += LATE_S + 0.1
    stage.player.pump()
    assert stage.player.n_notes == 0
    assert not stage.player.is_wanted(1)
    stage.answer()
    assert stage.sound.pushed_s == {}


def test_the_pedal_holds_a_controllers_notes_and_lets_them_go(stage: Stage) -> None:
    stage.player.handle(ControlChange(0.0, 0, SUSTAIN, 127))
    stage.player.handle(NoteOn(0.0, 0, 60, 90))
    stage.player.note_on(70, 90)
    stage.answer()
    stage.move_on(0.5)
    stage.player.handle(NoteOff(0.0, 0, 60))
    stage.player.note_off(70)  # the on-screen keyboard has no pedal
    assert stage.player.n_notes == 1
    stage.player.handle(ControlChange(0.0, 0, SUSTAIN, 0))
    assert stage.player.n_notes == 0


def test_a_key_struck_again_under_the_pedal_starts_anew(stage: Stage) -> None:
    stage.player.handle(ControlChange(0.0, 0, SUSTAIN, 127))
    for _ in range(3):
        stage.player.handle(NoteOn(0.0, 0, 60, 90))
        stage.move_on(0.2)
        stage.player.handle(NoteOff(0.0, 0, 60))
    assert stage.player.n_notes == 1
    assert len(stage.sound.released) == 2


def test_the_oldest_note_makes_room(stage: Stage) -> None:
    for note in range(40, 40 + MAX_POLYPHONY + 1):
        stage.player.note_on(note, 90)
    assert stage.player.n_notes == MAX_POLYPHONY
    assert list(stage.sound.released) == [1]


def test_panic_ends_everything_and_ignores_what_comes_after(stage: Stage) -> None:
    stage.player.handle(ControlChange(0.0, 0, SUSTAIN, 127))
    for note in (60, 64, 67):
        stage.player.handle(NoteOn(0.0, 0, note, 90))
    stage.answer()
    stage.player.handle(ControlChange(0.0, 0, ALL_SOUND_OFF, 0))
    assert stage.sound.n_panics == 1
    assert stage.player.n_notes == 0
    while stage.requests:
        stage.answer()
    assert stage.sound.pushed_s == {}
    stage.player.handle(NoteOn(0.0, 0, 60, 90))
    stage.answer()
    stage.move_on(0.2)
    stage.player.handle(NoteOff(0.0, 0, 60))
    assert stage.player.n_notes == 0  # the pedal is up again


@pytest.mark.parametrize("how", ["vanished", "all notes off"])
def test_no_note_outlives_its_controller(stage: Stage, how: str) -> None:
    stage.player.handle(ControlChange(0.0, 0, SUSTAIN, 127))
    for channel in (0, 9):
        stage.player.handle(NoteOn(0.0, channel, 60, 90))
    stage.player.note_on(72, 90)
    stage.move_on(0.5)
    if how == "vanished":
        stage.player.controller_vanished()
        assert stage.player.n_notes == 1  # the on-screen keyboard's
    else:
        stage.player.handle(ControlChange(0.0, 0, ALL_NOTES_OFF, 0))
        assert stage.player.n_notes == 0


def test_a_note_whose_cells_fail_ends(stage: Stage) -> None:
    stage.player.note_on(60, 90)
    stage.answer(None)
    assert stage.player.n_notes == 0
    assert stage.player.failed_cells == 1
    assert list(stage.sound.released) == [1]


def test_a_note_the_sound_server_has_forgotten_ends(stage: Stage) -> None:
    stage.player.note_on(60, 90)
    stage.move_on(0.5)
    stage.sound.played.clear()
    stage.player.pump()
    assert stage.player.n_notes == 0


def test_a_block_without_room_waits(stage: Stage) -> None:
    stage.sound.has_room = False
    stage.player.note_on(60, 90)
    stage.answer()
    stage.player.pump()
    assert stage.requests == []
    stage.sound.has_room = True
    stage.player.pump()
    assert stage.sound.pushed_s == {1: pytest.approx(CELL_S)}


def test_a_sampler_that_answers_at_once_is_fine() -> None:
    sound = FakeSound()
    player = LivePlayer(sound, lambda request, on_cell: on_cell(request, CELL))
    player.set_preset(NEUTRAL_PRESET)
    player.note_on(60, 90)
    assert sound.pushed_s == {1: pytest.approx(2 * CELL_S)}


def test_an_answer_out_of_turn_is_ignored(stage: Stage) -> None:
    stage.player.note_on(60, 90)
    request, on_cell = stage.requests[0]
    stage.answer()
    on_cell(request, CELL)
    assert stage.sound.pushed_s == {1: pytest.approx(CELL_S)}


def test_without_a_preset_nothing_sounds() -> None:
    requests: list[CellRequest] = []
    player = LivePlayer(FakeSound(), lambda request, _on_cell: requests.append(request))
    player.note_on(60, 90)
    player.note_off(60)
    assert requests == []


def test_hands_move_the_next_cell(stage: Stage) -> None:
    stage.player.handle(NoteOn(0.0, 0, 60, 90))
    for message in (
        PitchBend(0.0, 0, -0.5),
        ControlChange(0.0, 0, 1, 127),
        ControlChange(0.0, 0, 2, 0),
        ControlChange(0.0, 0, 11, 64),
        Pressure(0.0, 0, 127),
        Pressure(0.0, 0, 3, note=60),
    ):
        stage.player.handle(message)
    first, second = stage.answer(), stage.answer()
    assert first.performed.lanes == {}
    assert second.performed.lanes == {
        "bend": -0.5 * BEND_RANGE_SEMITONES,
        "roughness": 1.0,
        "breathiness": 0.0,
        "tension": 1.0,
    }
    assert second.performed.loudness_offset_db == pytest.approx(40 * np.log10(64 / 127))
    stage.player.handle(ControlChange(0.0, 0, RESET_CONTROLLERS, 0))
    stage.player.handle(NoteOn(0.0, 0, 62, 90))
    assert stage.requests[-1][0].performed.lanes == {}


def test_each_note_takes_a_seed_of_its_own(stage: Stage) -> None:
    stage.player.note_on(60, 90)
    stage.player.note_on(60.0, 90)
    assert [request.seed for request, _ in stage.requests] == [5, 6]
