"""Inputs are listed, opened, lost and found again, and their messages arrive with their times."""

from __future__ import annotations

import queue
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from app.midi import inputs
from app.midi.inputs import InputLost, InputOpened, InputsChanged, MidiEvent, MidiInputs
from app.midi.messages import ControlChange, MidiMessage, NoteOff, NoteOn
from app.midi.reader import Reader
from app.midi.ring import MidiRing
from app.midi.sources import OnBytes, RtMidiSource
from app.midi.stream import MidiStream
from tests.jack_session import JackSession

PATIENCE_S = 40.0


class FakeSource:
    """A system whose controllers the test plugs in and out."""

    def __init__(self, *names: str) -> None:
        self.plugged = list(names)
        self.open_name: str | None = None
        self.on_bytes: OnBytes | None = None

    def names(self) -> list[str]:
        return list(self.plugged)

    def open(self, name: str, on_bytes: OnBytes) -> bool:
        if name not in self.plugged:
            return False
        self.open_name, self.on_bytes = name, on_bytes
        return True

    def close(self) -> None:
        self.open_name = self.on_bytes = None


class Desk:
    """A reader and what it has said."""

    def __init__(self, *sources: FakeSource) -> None:
        self._said: queue.SimpleQueue[MidiMessage | MidiEvent] = queue.SimpleQueue()
        self.reader = Reader(list(sources), self._said)

    def said(self) -> list[MidiMessage | MidiEvent]:
        heard = []
        while not self._said.empty():
            heard.append(self._said.get())
        return heard


def test_an_input_is_opened_and_heard() -> None:
    alsa, jack = FakeSource("Keys"), FakeSource("JACK: Pads")
    desk = Desk(alsa, jack)
    desk.reader.scan()
    assert desk.said() == [InputsChanged(("Keys", "JACK: Pads"))]
    desk.reader.scan()
    assert desk.said() == []
    desk.reader.choose("JACK: Pads")
    assert desk.said() == [InputOpened("JACK: Pads")]
    assert jack.on_bytes is not None
    jack.on_bytes(bytes([0x90, 60, 1]), 2.0)
    jack.on_bytes(bytes([0xF8]), 2.0)
    assert desk.said() == [NoteOn(2.0, 0, 60, 1)]
    desk.reader.choose("Keys")
    assert jack.open_name is None
    assert alsa.open_name == "Keys"
    desk.reader.choose(None)
    assert alsa.open_name is None


def test_an_unplugged_input_is_lost_once_and_opened_again() -> None:
    source = FakeSource("Keys")
    desk = Desk(source)
    desk.reader.choose("Keys")
    desk.reader.scan()
    desk.said()
    source.plugged.clear()
    desk.reader.scan()
    desk.reader.scan()
    assert desk.said() == [InputLost("Keys"), InputsChanged(())]
    source.plugged.append("Keys")
    desk.reader.scan()
    assert desk.said() == [InputsChanged(("Keys",)), InputOpened("Keys")]


def test_what_an_input_held_is_let_go_behind_its_last_note() -> None:
    """Another input was chosen: a key that is down on this one will never be heard to come up."""
    ring, source = MidiRing.create(), FakeSource("Keys", "Pads")
    reader = Reader([source], queue.SimpleQueue(), ring)
    reader.choose("Keys")
    assert source.on_bytes is not None
    ahead_s = time.monotonic() + 1.0  # JACK's lie ahead
    source.on_bytes(bytes([0x9F, 60, 90]), ahead_s)
    reader.choose("Pads")
    stream = MidiStream()
    heard = [message for data, t_s in ring.take() for message in stream.feed(data, t_s)]
    assert isinstance(heard[0], NoteOn)
    offs = [message for message in heard[1:] if isinstance(message, ControlChange) and message.number == 123]
    assert [message.channel for message in offs] == list(range(16))
    assert all(off.t_s >= ahead_s for off in offs)
    reader.choose(None)
    reader.choose(None)  # nothing is open any more
    assert len(ring.take()) == 3
    ring.close()


def test_an_absent_input_is_waited_for() -> None:
    source = FakeSource()
    desk = Desk(source)
    desk.reader.choose("Keys")
    assert desk.said() == []
    source.plugged.append("Keys")
    desk.reader.scan()
    assert desk.said() == [InputsChanged(("Keys",)), InputOpened("Keys")]


class FakeBackend:
    """mido's view of an RtMidi API."""

    def __init__(self, *ports: str, fault: Exception | None = None) -> None:
        self.ports = list(ports)
        self.fault = fault
        self.opened: list[str] = []

    def get_input_names(self) -> list[str]:
        if self.fault is not None:
            raise self.fault
        return self.ports

    def open_input(self, port: str, callback: Callable[[Any], None]) -> Any:
        self.opened.append(port)
        raise OSError("unknown port")


def rtmidi_source(monkeypatch: pytest.MonkeyPatch, backend: FakeBackend) -> RtMidiSource:
    monkeypatch.setattr("app.midi.sources.mido.Backend", lambda _name: backend)
    return RtMidiSource("LINUX_ALSA")


def test_alsa_addresses_that_change_are_not_part_of_a_name(monkeypatch: pytest.MonkeyPatch) -> None:
    backend = FakeBackend("Keys:Keys MIDI 1 24:0", "Midi Through:Port-0 14:0")
    source = rtmidi_source(monkeypatch, backend)
    assert source.names() == ["Keys:Keys MIDI 1", "Midi Through:Port-0"]
    assert not source.open("Keys:Keys MIDI 1", lambda data, t_s: None)  # it went between listing and opening
    assert backend.opened == ["Keys:Keys MIDI 1 24:0"]
    assert not source.open("never heard of", lambda data, t_s: None)


def test_a_machine_without_a_sequencer_has_no_inputs(monkeypatch: pytest.MonkeyPatch) -> None:
    source = rtmidi_source(monkeypatch, FakeBackend(fault=OSError("error creating ALSA sequencer client object")))
    assert source.names() == []
    source.close()


# ---- with the process


@contextmanager
def listening() -> Iterator[tuple[MidiInputs, list[MidiMessage]]]:
    messages: list[MidiMessage] = []
    made = MidiInputs(messages.append)
    try:
        made.start()
        yield made, messages
    finally:
        made.close()


def wait_for(made: MidiInputs, wanted: Callable[[MidiEvent], bool]) -> None:
    deadline_s = time.monotonic() + PATIENCE_S
    seen: list[MidiEvent] = []
    while not any(wanted(event) for event in seen):
        assert time.monotonic() < deadline_s, f"in vain among {seen}"
        seen += made.poll()
        time.sleep(0.01)


def test_the_process_lists_inputs_and_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JACK_DEFAULT_SERVER", "stridor-no-such-server")
    monkeypatch.setenv("JACK_NO_START_SERVER", "1")
    with listening() as (made, _):
        wait_for(made, lambda event: isinstance(event, InputsChanged))
        assert not any(name.startswith("JACK: ") for name in made.names())
    made.close()


def test_a_midi_process_that_dies_is_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inputs, "_RESTART_S", 0.01)
    monkeypatch.setattr(inputs, "read_midi", die)
    monkeypatch.setattr(inputs, "_MAX_STARTS", 2)
    with listening() as (made, _):
        wait_for(made, lambda event: event == InputsChanged(()))
        assert made.names() == []


def die(_connection: object) -> None:
    """A driver that takes the process with it."""


@pytest.mark.jack
def test_jack_midi_arrives_with_the_time_of_its_frame() -> None:
    with JackSession(period_frames=1024) as jack:
        client = jack.client("controller")
        out: Any = client.midi_outports.register("keys")
        to_send: list[tuple[int, bytes]] = []
        sent_at_frame: list[int] = []

        def process(_n_frames: int) -> None:
            out.clear_buffer()
            while to_send:
                offset, data = to_send.pop(0)
                sent_at_frame.append(client.last_frame_time + offset)
                out.write_midi_event(offset, data)

        client.set_process_callback(process)
        client.activate()
        try:
            with listening() as (made, messages):
                made.open("JACK: controller:keys")
                wait_for(made, lambda event: event == InputOpened("JACK: controller:keys"))
                to_send += [(100, bytes([0x90, 60, 90])), (900, bytes([0x80, 60, 0]))]
                deadline_s = time.monotonic() + PATIENCE_S
                while len(messages) < 2:
                    assert time.monotonic() < deadline_s, messages
                    time.sleep(0.01)
                on, off = messages
                assert isinstance(on, NoteOn)
                assert isinstance(off, NoteOff)
                frames_apart = sent_at_frame[1] - sent_at_frame[0]
                # Time stamps keep the frame offset, within the jitter of reading two clocks.
                assert (off.t_s - on.t_s) * jack.rate_hz == pytest.approx(frames_apart, abs=0.004 * jack.rate_hz)
                assert on.t_s < off.t_s <= time.monotonic() + 0.1
                assert on.note == 60
                client.deactivate()
                out.unregister()
                wait_for(made, lambda event: event == InputLost("JACK: controller:keys"))
        finally:
            client.close()
