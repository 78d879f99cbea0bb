"""Bytes that no keyboard should send, through the ring to the performer: nothing breaks, sticks, or takes too long."""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterator
from multiprocessing import Pipe

import numpy as np
import pytest

from app.audio import shared
from app.audio.shared import SharedState
from app.live.performance.gestures import PanicAsked
from app.live.stage.memory import N_SLOTS, StageMemory, onset_bytes
from app.live.stage.messages import ControllerGone, Learn, Learnt, StageNotice, StageSettings
from app.live.stage.meter import N_EVENTS, N_NOTES, Meter
from app.live.stage.performer import LATENCY_BLOCKS, Performer
from app.midi.messages import ControlChange
from app.midi.ring import N_RECORDS, MidiRing

BLOCK = 128
BLOCK_S = BLOCK / 48_000
_STATUSES = (0x80, 0x90, 0xA0, *(0xB0, 0xD0, 0xE0) * 3)  # a storm is mostly wheels, knobs and pressure
MPE_LOWER, MPE_UPPER = bytes.fromhex("b06500 b06406 b006"), bytes.fromhex("bf6500 bf6406 bf06")


class Desk:
    """A performer whose device, wire and time are the test's. No sampler: notes wait for one, and must still end."""

    def __init__(self) -> None:
        self.meter, self.sound, self.midi = Meter.create(), SharedState.create(), MidiRing.create()
        settings = StageSettings(
            self.meter.name, f"stridor-test-{secrets.token_hex(4)}", self.sound.name, self.midi.name, onset_bytes()
        )
        self.memory = StageMemory.create(settings.memory, 1)
        self.host, theirs = Pipe()
        self.performer = Performer(theirs, settings, self.memory)
        self.frame = 0
        self.performer._now = lambda: self.now_s
        self.cpu_s = 0.0
        self.pass_blocks(4)

    @property
    def now_s(self) -> float:
        """When the block that is played next will have been asked for."""
        return 1000.0 + self.frame / 48_000

    def send(self, data: bytes) -> None:
        """Bytes arrive now."""
        self.midi.push(data, self.now_s)

    def pass_blocks(self, n_blocks: int) -> None:
        """Let the device ask for so many blocks."""
        for _ in range(n_blocks):
            began_s = time.process_time()
            self.performer._clock.take(self.frame + BLOCK, BLOCK, self.now_s)
            self.performer._take_events()
            self.frame += BLOCK
            self.performer._block(self.frame + LATENCY_BLOCKS * BLOCK, BLOCK, LATENCY_BLOCKS * BLOCK)
            self.performer._instrument.follow(self.now_s)
            self.cpu_s += time.process_time() - began_s
        assert np.isfinite(self.sound.ring).all()

    def said(self) -> list[object]:
        news = []
        while self.host.poll():
            news.append(self.host.recv())
        return news

    def assert_nothing_is_left(self) -> None:
        """No voice, no slot, no lane out of its range, and a note can be played."""
        self.pass_blocks(round(2.5 / BLOCK_S / 8))
        self.send(bytes(byte for channel in range(16) for byte in (0xB0 | channel, 123, 0)))
        self.pass_blocks(round(2.5 / BLOCK_S))
        performance = self.performer._instrument._performance
        assert performance.n_voices == 0
        assert self.memory.serial.tolist() == [0] * N_SLOTS
        assert np.isfinite(self.memory.lanes).all()
        self.performer._stream.reset()
        self.send(b"\x90\x3c\x64")
        self.pass_blocks(6)
        assert performance.n_voices == 1

    def close(self) -> None:
        for part in (self.performer, self.memory, self.midi, self.sound, self.meter, self.host):
            part.close()


@pytest.fixture
def desk() -> Iterator[Desk]:
    made = Desk()
    yield made
    made.close()


def test_ten_thousand_events_a_second_are_played_in_less_than_the_time_they_took(desk: Desk) -> None:
    """Notes on and off, wheels and pressure on all 16 channels, for a second and a half."""
    rng = np.random.default_rng(3)
    n_sent = 0
    desk.cpu_s = 0.0
    n_blocks = round(1.5 / BLOCK_S)
    for _ in range(n_blocks):
        data = bytearray()
        for _ in range(27):
            status = _STATUSES[int(rng.integers(len(_STATUSES)))] | int(rng.integers(16))
            number = int(rng.integers(119))  # no mode messages
            data += bytes((status, number) if status >> 4 == 0xD else (status, number, int(rng.integers(128))))
            n_sent += 1
        desk.send(bytes(data))
        desk.pass_blocks(1)
    assert n_sent / (n_blocks * BLOCK_S) > 10_000
    assert int(desk.meter.ints[N_EVENTS]) > 0.95 * n_sent
    assert desk.cpu_s < n_blocks * BLOCK_S
    assert desk.midi.n_lost == 0
    desk.assert_nothing_is_left()


def test_random_bytes_and_running_status_without_end(desk: Desk) -> None:
    rng = np.random.default_rng(4)
    for _ in range(200):
        desk.send(rng.integers(0, 256, int(rng.integers(1, 60)), dtype=np.uint8).tobytes())
        desk.pass_blocks(1)
    desk.send(b"\x95" + rng.integers(0, 128, 3001, dtype=np.uint8).tobytes())  # one status, 1500 notes and a half
    desk.pass_blocks(2)
    desk.assert_nothing_is_left()


@pytest.mark.parametrize("n_bytes", [1, 31, 32, 4096, 4097, 200_000])
def test_sysex_of_any_length_disturbs_no_note(desk: Desk, n_bytes: int) -> None:
    desk.send(b"\x90\x30\x64")
    desk.pass_blocks(4)
    desk.send(b"\xf0" + bytes(n_bytes) + b"\xf7")
    desk.send(b"\xf0" + bytes(n_bytes))  # and one that never ends
    desk.pass_blocks(4)
    assert desk.performer._instrument._performance.n_voices == 1
    desk.send(b"\x80\x30\x40")
    desk.assert_nothing_is_left()


def test_notes_without_offs_and_offs_without_notes_on_all_channels(desk: Desk) -> None:
    for channel in range(16):
        desk.send(bytes(byte for key in range(128) for byte in (0x80 | channel, key, 0)))
        desk.send(bytes(byte for key in range(128) for byte in (0x90 | channel, key, 100)))
        desk.pass_blocks(2)
        assert desk.performer._instrument._performance.n_voices <= 16
    desk.assert_nothing_is_left()


def test_zones_that_contradict_each_other_in_the_middle_of_notes(desk: Desk) -> None:
    rng = np.random.default_rng(5)
    for members in (15, 3, 14, 0, 15, 7, 127, 1):
        desk.send(MPE_LOWER + bytes((members,)))
        desk.send(MPE_UPPER + bytes((int(rng.integers(128)),)))
        for _ in range(20):
            channel, key = int(rng.integers(16)), int(rng.integers(128))
            desk.send(bytes((0x90 | channel, key, 90, 0xE0 | channel, key, key, 0xD0 | channel, key)))
        desk.pass_blocks(3)
    desk.assert_nothing_is_left()


def test_what_finds_no_room_lets_all_keys_go_and_says_so(desk: Desk) -> None:
    desk.send(b"\x90\x3c\x64")
    desk.pass_blocks(4)
    assert desk.performer._instrument._performance.n_voices == 1
    for _ in range(N_RECORDS + 10):
        desk.midi.push(b"\xb0\x14\x40", desk.now_s)
    desk.midi.push(b"\x80\x3c\x40", desk.now_s)  # the end of the note is lost
    assert desk.midi.n_lost > 0
    desk.pass_blocks(2)
    held = [voice for voice in desk.performer._instrument._performance._playing.keys.pool if voice.phase.name == "HELD"]
    assert held == []
    assert any(isinstance(news, StageNotice) and "let go" in news.message for news in desk.said())
    desk.assert_nothing_is_left()


def test_events_from_the_future_do_not_pile_up_without_end(desk: Desk) -> None:
    desk.send(b"\x90\x3c\x64")
    desk.pass_blocks(4)
    for _ in range(5):
        for _ in range(N_RECORDS):
            desk.midi.push(b"\xb0\x14\x40", desk.now_s + 1e6)
        desk.pass_blocks(1)
    assert len(desk.performer._waiting) <= 65_536
    assert any(isinstance(news, StageNotice) for news in desk.said())


def test_silence_is_what_a_performer_without_a_sampler_plays(desk: Desk) -> None:
    desk.send(b"\x90\x3c\x64")
    desk.pass_blocks(20)
    assert not desk.sound.ring.any()
    assert int(desk.sound.ints[shared.LIVE_WRITTEN]) >= 0


def held(desk: Desk) -> list[int]:
    return [voice.key for voice in desk.performer._instrument._performance._playing.keys.pool if voice.phase == 2]


@pytest.mark.expects_log("Learn cannot be taken up")
def test_a_lane_that_is_none_is_not_learnt_and_playing_goes_on(desk: Desk) -> None:
    desk.host.send(Learn("nonsense"))
    desk.pass_blocks(2)
    assert any(isinstance(news, StageNotice) and "nonsense" in news.message for news in desk.said())
    desk.host.send(Learn("roughness"))
    desk.pass_blocks(2)
    desk.send(bytes((0xB0, 20, 0, 20, 127)))
    desk.pass_blocks(2)
    assert [news.binding.lane for news in desk.said() if isinstance(news, Learnt)] == ["roughness"]


def test_a_note_that_waits_to_begin_does_not_outlive_its_controller(desk: Desk) -> None:
    """It came just before the plug was pulled: it begins after that, and no key will ever come up."""
    desk.midi.push(b"\x90\x3c\x64", desk.now_s + 3 * BLOCK_S)
    desk.host.send(ControllerGone())
    desk.pass_blocks(8)
    assert int(desk.meter.ints[N_NOTES]) == 1
    assert held(desk) == []


def test_an_end_that_is_lost_while_keys_are_let_go_sticks_no_note(desk: Desk) -> None:
    """The second loss is of a note that begins behind the letting go which the first one asked for."""
    ahead_s = desk.now_s + 10 * BLOCK_S
    desk.midi.push(b"\xb0\x14\x40", ahead_s)
    desk.performer._take_events()
    desk.host.send(ControllerGone())
    desk.performer._take_events()
    desk.midi.push(b"\x90\x3c\x64", ahead_s + BLOCK_S)
    desk.performer._take_events()
    desk.performer._has_overflowed = True
    desk.pass_blocks(30)
    assert int(desk.meter.ints[N_NOTES]) == 1
    assert held(desk) == []


def test_a_note_ends_though_its_end_is_stamped_tomorrow(desk: Desk) -> None:
    desk.send(b"\x90\x3c\x64")
    desk.pass_blocks(2)
    assert held(desk) == [60]
    desk.midi.push(b"\x80\x3c\x40", desk.now_s + 86_400.0)
    desk.midi.push(b"\x90\x3d\x64", float("nan"))
    desk.midi.push(b"\x90\x3e\x64", -float("inf"))
    desk.pass_blocks(round(0.3 / BLOCK_S))
    assert held(desk) == [61, 62]


def test_panic_finds_room_in_any_storm(desk: Desk) -> None:
    for number in range(65_536):
        desk.performer._queue(desk.now_s + 0.2, ControlChange(desk.now_s, 0, 20, number % 128))
    desk.performer._queue(desk.now_s, PanicAsked(desk.now_s))
    desk.send(b"\x90\x3c\x64")
    desk.pass_blocks(1)
    assert any(isinstance(event, ControlChange) for _, _, event in desk.performer._waiting)
    assert not any(isinstance(event, PanicAsked) for _, _, event in desk.performer._waiting)
