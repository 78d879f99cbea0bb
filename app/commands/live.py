"""`stridor live`."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from app.commands.command import command as stridor_command
from app.commands.play import raise_or_tell
from app.commands.terminal import show
from synth.errors import UserError

if TYPE_CHECKING:
    from app.services import Instrument, InstrumentLike
    from app.services.stage_door import StageDoor

_POLL_S = 1.0 / 60.0
_MIDI_PATIENCE_S = 3.0
_INPUT_PATIENCE_S = 8.0
_SAMPLER_PATIENCE_S = 60.0
_CONDITIONS = {
    "no sampler": "the sampler is starting again",
    "no performer": "playing is starting again",
    "no device": "no sound device, reconnecting",
    "no server": "no sound, its server is starting",
    "gone": "no sound, start Stridor again",
}


@stridor_command("live", example="stridor live --preset growl --midi keystation")
@click.option("--preset", "preset_id", help="Who sings; see `stridor presets list`.")
@click.option("--midi", "midi_name", help="A MIDI input whose name contains this; else the first, or with --osc none.")
@click.option("--output", "device_id", help="An output device; see `stridor doctor`.")
@click.option("--seconds", type=click.FloatRange(min=0.0), help="Stop by itself after so long; else Ctrl-C.")
@click.option("--meter", "meter_s", type=click.FloatRange(min=0.1), help="Tell how it goes, every so many seconds.")
@click.option("--gain", "gain_db", type=click.FloatRange(-60.0, 12.0), default=0.0, help="Level, dB.")
@click.option("--osc", "osc_port", type=click.IntRange(0, 65535), help="Speak OSC at this port of this machine.")
@click.option("--voice-in", metavar="DEVICE|FILE", help="Follow a voice, of an input or a file.")
@click.option("--sensitivity", "sensitivity_db", type=click.FloatRange(-40.0, 40.0), default=0.0, help="Of it, dB.")
@click.option("--record", "record_path", type=click.Path(path_type=Path), help="Record the sound: .flac or .wav.")
@click.option("--passage", "passage_path", type=click.Path(path_type=Path), help="Keep what is played as a passage.")
@click.option("--status", "asks_status", is_flag=True, help="Say how the performance goes that is under way.")
@click.option("--stop", "asks_stop", is_flag=True, help="End the performance that is under way.")
def command(
    preset_id: str | None,
    midi_name: str | None,
    device_id: str | None,
    seconds: float | None,
    meter_s: float | None,
    gain_db: float,
    osc_port: int | None,
    voice_in: str | None,
    sensitivity_db: float,
    record_path: Path | None,
    passage_path: Path | None,
    asks_status: bool,
    asks_stop: bool,
    as_json: bool,
) -> None:
    """Play a preset from a MIDI keyboard, without a window. Ctrl-C ends it.

    With --voice-in a microphone or a recording plays it, by its pitch, its loudness and how it is sung; wear
    headphones, or the voice hears itself.
    A window that is opened meanwhile joins it, and may be closed or killed again.
    With --meter and --json every line on stdout is the meter as one JSON object, the last one the result.
    """
    from app.commands.instrument import make_instrument
    from app.services.stage_door import ask
    from app.store.presets import load_preset

    if asks_status or asks_stop:
        answer = ask("stop" if asks_stop else "status")
        words = "The performance ends." if asks_stop else json.dumps(answer, indent=1)
        show({"stopped": True} if asks_stop else {"meter": answer}, [words], as_json=as_json)
        return
    preset = load_preset(preset_id)
    instrument = make_instrument(joins=False)
    try:
        instrument.start()
        if device_id is not None:
            instrument.set_output_device(device_id)
        instrument.set_live_preset(preset)
        instrument.set_live_gain(gain_db)
        needs_keys = midi_name is not None or (osc_port is None and voice_in is None)
        chosen = choose_midi_input(instrument, midi_name) if needs_keys else None
        instrument.set_midi_input(chosen)
        sys.stderr.write(f"{preset.name} listens to {chosen or voice_in or 'OSC'}. Ctrl-C ends it.\n")
        with accompanied(instrument, osc_port, record_path, passage_path), opened_door(instrument) as door:
            if voice_in is not None:
                follow_voice(instrument, voice_in, sensitivity_db)
            result = perform(instrument, seconds, meter_s=meter_s, as_json=as_json, door=door)
    finally:
        instrument.close()
    words = f"{result['notes']} notes, {result['under_runs']} under-runs"
    show({"preset": preset.id, "midi": chosen, **result}, [words], as_json=as_json)


@contextmanager
def opened_door(instrument: Instrument) -> Iterator[StageDoor | None]:
    """Let windows join. Where there can be no door, the performance goes on without one and says so."""
    from app.services.stage_door import StageDoor

    door = StageDoor(instrument.live)
    try:
        door.start()
    except UserError as fault:
        sys.stderr.write(f"No window can join: {fault}\n")
        yield None
        return
    try:
        yield door
    finally:
        door.close()


@contextmanager
def accompanied(
    instrument: Instrument, osc_port: int | None, record_path: Path | None, passage_path: Path | None
) -> Iterator[None]:
    """Let OSC and recordings run beside a performance. Raises UserError where they cannot."""
    from app.services.accompaniment import Accompaniment

    if osc_port is None and record_path is None and passage_path is None:
        yield
        return
    beside = Accompaniment(instrument)
    try:
        if osc_port is not None:
            sys.stderr.write(f"OSC at port {beside.speak_osc(osc_port)}.\n")
        if record_path is not None:
            beside.record_audio(record_path)
        if passage_path is not None:
            beside.record_passage(passage_path)
        yield
    finally:
        beside.close()


def follow_voice(instrument: Instrument, wanted: str, sensitivity_db: float) -> None:
    """Listen to a file of this name, or else to an input whose name contains it, once the sampler is ready.

    Raises UserError where there is neither.
    """
    from app.services.voice_in import chosen_input

    voice_in = instrument.voice_in()
    if voice_in is None:
        raise UserError("Nothing can be listened to here.", remedy="End the performance that is under way first.")
    path = Path(wanted)
    is_file = path.is_file()
    if not is_file:
        voice_in.look()
    ready_by_s, found_by_s = time.monotonic() + _SAMPLER_PATIENCE_S, time.monotonic() + _INPUT_PATIENCE_S
    while time.monotonic() < ready_by_s:
        for event in instrument.poll():
            raise_or_tell(event)
        meter = instrument.live_meter()
        if meter is not None and meter.state == "playing" and (is_file or voice_in.inputs()):
            break
        if not is_file and not voice_in.inputs() and time.monotonic() > found_by_s:
            break
        time.sleep(_POLL_S)
    voice_in.set_sensitivity(sensitivity_db)
    if is_file:
        voice_in.listen_to_file(path)
    else:
        voice_in.choose(chosen_input(voice_in.inputs(), wanted).id)


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


def perform(
    instrument: InstrumentLike,
    seconds: float | None,
    *,
    meter_s: float | None = None,
    as_json: bool = False,
    door: StageDoor | None = None,
) -> dict[str, Any]:
    """Let the keyboard play until `seconds` are over, Ctrl-C, or `stridor live --stop`. -> figures"""
    from app.services import MidiActivity

    notes = 0
    tell_at_s = None if meter_s is None else time.monotonic() + meter_s
    end_s = None if seconds is None else time.monotonic() + seconds
    try:
        while end_s is None or time.monotonic() < end_s:
            events = instrument.poll()
            for event in events:
                raise_or_tell(event)
                notes += isinstance(event, MidiActivity) and event.kind == "note_on"
            if door is not None:
                door.poll(events)
                if door.is_stop_asked:
                    break
            if tell_at_s is not None and meter_s is not None and time.monotonic() >= tell_at_s:
                tell_at_s += meter_s
                tell_meter(instrument, as_json=as_json)
            time.sleep(_POLL_S)
    except KeyboardInterrupt:
        pass  # the way a performance ends
    finally:
        instrument.panic()
    return {"notes": notes, "under_runs": instrument.under_runs, **meter_values(instrument)}


def meter_values(instrument: InstrumentLike) -> dict[str, Any]:
    """The meter for JSON: {"meter": {...}}, nothing where there is none. What is not known yet is null."""
    meter = instrument.live_meter()
    if meter is None:
        return {}
    values = {name: None if value != value else value for name, value in asdict(meter).items()}
    return {"meter": values}


def tell_meter(instrument: InstrumentLike, *, as_json: bool) -> None:
    """One line of how it goes."""
    values = meter_values(instrument).get("meter")
    if values is None:
        return
    if as_json:
        show(values, [], as_json=True)
        return
    meter = instrument.live_meter()
    condition = values["state"] if meter is None else meter.condition
    p95_ms = values["latency_p95_ms"]
    latency = "no note yet" if p95_ms is None else f"{p95_ms:.1f} ms"
    words = (
        f"{_CONDITIONS.get(condition, condition)}: {values['voices']} voices, MIDI to sound {latency} (p95), "
        f"{values['under_runs']} late blocks, {values['n_steps']} steps, "
        f"onsets {values['cache_made']}/{values['cache_wanted']}, peak {values['peak_db']:.0f} dB"
    )
    sys.stderr.write(words + (f", limiter {values['limiter_db']:.1f} dB" if values["limiter_db"] < 0.0 else "") + "\n")
