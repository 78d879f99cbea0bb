"""`stridor live`."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Any

import click

from app.commands.command import command as stridor_command
from app.commands.play import raise_or_tell
from app.commands.terminal import show
from synth.errors import UserError

if TYPE_CHECKING:
    from app.services import InstrumentLike

_POLL_S = 1.0 / 60.0
_MIDI_PATIENCE_S = 3.0


@stridor_command("live", example="stridor live --preset growl --midi keystation")
@click.option("--preset", "preset_id", help="Who sings; see `stridor presets list`.")
@click.option("--midi", "midi_name", help="A MIDI input whose name contains this; else the first there is.")
@click.option("--output", "device_id", help="An output device; see `stridor doctor`.")
@click.option("--seconds", type=click.FloatRange(min=0.0), help="Stop by itself after so long; else Ctrl-C.")
def command(
    preset_id: str | None, midi_name: str | None, device_id: str | None, seconds: float | None, as_json: bool
) -> None:
    """Play a preset from a MIDI keyboard, without a window. Ctrl-C ends it."""
    from app.commands.instrument import make_instrument
    from app.store.presets import load_preset

    preset = load_preset(preset_id)
    instrument = make_instrument()
    try:
        instrument.start()
        if device_id is not None:
            instrument.set_output_device(device_id)
        instrument.set_live_preset(preset)
        chosen = choose_midi_input(instrument, midi_name)
        instrument.set_midi_input(chosen)
        sys.stderr.write(f"{preset.name} listens to {chosen}. Ctrl-C ends it.\n")
        result = perform(instrument, seconds)
    finally:
        instrument.close()
    words = f"{result['notes']} notes, {result['under_runs']} under-runs"
    show({"preset": preset.id, "midi": chosen, **result}, [words], as_json=as_json)


def choose_midi_input(instrument: InstrumentLike, wanted: str | None) -> str:
    """The first input whose name contains `wanted`. Raises UserError with those there are."""
    deadline_s = time.monotonic() + _MIDI_PATIENCE_S
    while not (names := instrument.midi_inputs()) and time.monotonic() < deadline_s:
        instrument.poll()
        time.sleep(_POLL_S)
    if not names:
        raise UserError("There is no MIDI input here.", remedy="Connect a keyboard and start again.")
    for name in names:
        if wanted is None or wanted.lower() in name.lower():
            return name
    raise UserError(f"No MIDI input is called {wanted!r}.", remedy=f"There are: {', '.join(names)}.")


def perform(instrument: InstrumentLike, seconds: float | None) -> dict[str, Any]:
    """Let the keyboard play until `seconds` are over or Ctrl-C. -> figures"""
    from app.services import MidiActivity

    notes = 0
    end_s = None if seconds is None else time.monotonic() + seconds
    try:
        while end_s is None or time.monotonic() < end_s:
            for event in instrument.poll():
                raise_or_tell(event)
                notes += isinstance(event, MidiActivity) and event.kind == "note_on"
            time.sleep(_POLL_S)
    except KeyboardInterrupt:
        pass  # the way a performance ends
    finally:
        instrument.panic()
    return {"notes": notes, "under_runs": instrument.under_runs}
