"""MIDI as the window shows it."""

from __future__ import annotations

from app.midi.messages import ControlChange, NoteOff, NoteOn, PitchBend, Pressure, ProgramChange
from app.services import MidiActivity
from app.services.midi_activity import activity_of


def test_every_message_has_a_face() -> None:
    assert activity_of(NoteOn(0.0, 1, 60, 90)) == MidiActivity("note_on", 60, 90)
    assert activity_of(NoteOff(0.0, 1, 60)) == MidiActivity("note_off", 60)
    assert activity_of(ControlChange(0.0, 0, 7, 64)) == MidiActivity("control", 7, 64)
    assert activity_of(PitchBend(0.0, 0, 0.5)) == MidiActivity("bend", 0, 1.0)
    assert activity_of(Pressure(0.0, 1, 99)) == MidiActivity("pressure", 0, 99)
    assert activity_of(ProgramChange(0.0, 1, 5)) == MidiActivity("other")
