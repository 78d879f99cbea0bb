"""What the window shows of MIDI that comes in."""

from __future__ import annotations

from app.midi.messages import ControlChange, MidiMessage, NoteOff, NoteOn, PitchBend, Pressure
from app.midi.zones import MASTER_BEND_SEMITONES
from app.services.events import MidiActivity


def activity_of(message: MidiMessage) -> MidiActivity:
    """One message, as the window shows it; a bend in semitones of the usual range."""
    match message:
        case NoteOn(note=note, velocity=velocity):
            return MidiActivity("note_on", note, velocity)
        case NoteOff(note=note):
            return MidiActivity("note_off", note)
        case ControlChange(number=number, value=value):
            return MidiActivity("control", number, value)
        case PitchBend(amount=amount):
            return MidiActivity("bend", 0, amount * MASTER_BEND_SEMITONES)
        case Pressure(value=value, note=note):
            return MidiActivity("pressure", note or 0, value)
        case _:
            return MidiActivity("other")
