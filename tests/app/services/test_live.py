"""Notes by hand, from key to sampler and back to the sound server."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from app.midi.messages import ControlChange, NoteOff, NoteOn, PitchBend, Pressure, ProgramChange
from app.render.messages import Command, DropLive, LiveAudio, LiveCell
from app.services import MidiActivity, Notice
from app.services.live import LiveSession, activity_of
from app.state.preset import NEUTRAL_PRESET
from synth.spec import Float32Array

CELL = np.full(38_400, 0.1, np.float32)


class FakeLiveSound:
    """Takes every block and says that it has just begun to sound."""

    def __init__(self) -> None:
        self.blocks: dict[int, int] = {}
        self.released: list[int] = []
        self.panics = 0

    def live_block(self, note_id: int, audio: Float32Array) -> bool:
        self.blocks[note_id] = self.blocks.get(note_id, 0) + len(audio)
        return True

    def live_release(self, note_id: int, *, fade_s: float = 0.0) -> None:
        self.released.append(note_id)

    def live_played_s(self, note_id: int) -> float | None:
        return 0.1 if note_id in self.blocks and note_id not in self.released else None

    def panic(self) -> None:
        self.panics += 1


class Stage:
    def __init__(self) -> None:
        self.sound = FakeLiveSound()
        self.session = LiveSession(self.sound)
        self.said: list[Command] = []
        self.session.start(self.said.append)
        self.session.set_preset(NEUTRAL_PRESET)

    def cells(self) -> list[LiveCell]:
        return [command for command in self.said if isinstance(command, LiveCell)]


@pytest.fixture
def stage() -> Iterator[Stage]:
    made = Stage()
    yield made
    made.session.close()


def test_a_held_key_is_sung_cell_after_cell(stage: Stage) -> None:
    stage.session.note_on(60.5, 100)
    (first,) = stage.cells()
    assert (first.note, first.velocity, first.cell_index) == (60.5, 100, 0)
    stage.session.hear(LiveAudio(first.ticket, 0, CELL))
    assert stage.sound.blocks[first.ticket] == 38_400
    stage.session.poll()
    assert [cell.cell_index for cell in stage.cells()] == [0, 1]
    stage.session.note_off(60.5)
    stage.session.poll()
    assert stage.sound.released == [first.ticket]
    assert DropLive(first.ticket) in stage.said


def test_controllers_reach_the_sampler(stage: Stage) -> None:
    stage.session._on_midi(ControlChange(0.0, 0, 1, 127))
    stage.session._on_midi(PitchBend(0.0, 0, 0.5))
    stage.session._on_midi(ControlChange(0.0, 0, 7, 64))
    stage.session._on_midi(NoteOn(0.0, 0, 50, 90))
    (cell,) = stage.cells()
    assert dict(cell.lanes) == {"roughness": 1.0, "bend": 1.0}
    assert cell.loudness_offset_db == pytest.approx(40 * np.log10(64 / 127))
    kinds = [event.kind for event in stage.session.poll() if isinstance(event, MidiActivity)]
    assert kinds == ["control", "bend", "control", "note_on"]


def test_a_failed_cell_ends_the_note_and_is_told_once(stage: Stage) -> None:
    for _ in range(2):
        stage.session.note_on(60.0, 100)
        cell = stage.cells()[-1]
        stage.session.hear(LiveAudio(cell.ticket, 0, None, "The voice model is missing."))
        assert cell.ticket in stage.sound.released
    assert [event for event in stage.session.poll() if isinstance(event, Notice)] == [
        Notice("A live note cannot be sung: The voice model is missing.")
    ]


def test_a_dead_sampler_leaves_no_note_behind(stage: Stage) -> None:
    stage.session.note_on(60.0, 100)
    stage.session.forget()
    assert stage.sound.released == [stage.cells()[0].ticket]


def test_panic_reaches_sampler_and_sound(stage: Stage) -> None:
    stage.session.note_on(60.0, 100)
    stage.session.panic()
    assert stage.said[-1] == DropLive(None)
    assert stage.sound.panics == 1
    stage.session.hear(LiveAudio(stage.cells()[0].ticket, 0, CELL))  # too late
    assert stage.sound.blocks == {}


def test_every_message_has_a_face() -> None:
    assert activity_of(NoteOff(0.0, 1, 60)) == MidiActivity("note_off", 60)
    assert activity_of(Pressure(0.0, 1, 99)) == MidiActivity("pressure", 0, 99)
    assert activity_of(ProgramChange(0.0, 1, 5)) == MidiActivity("other")
