"""An engine that only keeps the books, and a stage to play it on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from app.live.performance.commands import (
    ALL_VOICES,
    Command,
    Glide,
    Kill,
    OffsetLane,
    Release,
    Retune,
    SetLane,
    Silence,
    StartVoice,
)
from app.live.performance.gestures import Gesture
from app.live.performance.performance import Performance
from app.midi.messages import NoteOn, StreamMessage
from app.midi.stream import MidiStream
from app.state.controller_profile import ControllerProfile, default_profile
from app.state.preset import NEUTRAL_PRESET, Preset

T = TypeVar("T")


class Books:
    """Every voice's life, checked as the commands come."""

    def __init__(self) -> None:
        self.playing: dict[int, StartVoice] = {}  # started, neither released nor killed
        self.tails: set[int] = set()
        self.n_started = 0
        self.n_ended = 0

    def take(self, commands: Sequence[Command]) -> None:
        for command in commands:
            match command:
                case StartVoice(voice=voice):
                    self.n_started += 1
                    assert voice == self.n_started, "a voice number was used twice or left out"
                    self.playing[voice] = command
                case Retune(voice=voice) | Glide(voice=voice):
                    assert voice in self.playing or voice in self.tails
                case SetLane(voice=voice) | OffsetLane(voice=voice):
                    assert voice == ALL_VOICES or voice in self.playing or voice in self.tails
                case Release(voice=voice):
                    del self.playing[voice]
                    self.tails.add(voice)
                    self.n_ended += 1
                case Kill(voice=voice):
                    if voice in self.tails:
                        self.tails.remove(voice)
                    else:
                        del self.playing[voice]
                        self.n_ended += 1
                case Silence():
                    assert not self.playing
                    assert not self.tails
                case _:
                    pass


class Stage:
    """A performance, its wire and its books. Voices sound at once unless `sounds_late`."""

    def __init__(
        self,
        profile: ControllerProfile | None = None,
        preset: Preset = NEUTRAL_PRESET,
        *,
        preset_ids: Sequence[str] = (),
        sounds_late: bool = False,
    ) -> None:
        self.performance = Performance(profile or default_profile("test"), preset, preset_ids=preset_ids)
        self.books = Books()
        self.now_s = 10.0
        self._stream = MidiStream()
        self._sounds_late = sounds_late

    def play(self, hexadecimal: str, *, after_s: float = 0.0) -> list[Command]:
        """Bytes arrive, `after_s` later than the last -> what the engine is told."""
        commands = self.wait(after_s)
        for message in self._stream.feed(bytes.fromhex(hexadecimal), self.now_s):
            commands += self.do(message)
        return commands

    def do(self, event: StreamMessage | Gesture) -> list[Command]:
        return self.heard(self.performance.feed(event))

    def wait(self, seconds: float) -> list[Command]:
        self.now_s += seconds
        return self.heard(self.performance.advance(self.now_s)) if seconds else []

    def panic(self) -> list[Command]:
        return self.heard(self.performance.panic(self.now_s))

    def heard(self, commands: list[Command]) -> list[Command]:
        self.books.take(commands)
        for command in commands:
            if isinstance(command, StartVoice) and not self._sounds_late:
                self.performance.sounded(command.voice, command.t_s)
        return commands

    @property
    def sounding(self) -> list[float]:
        """Notes that are neither released nor killed."""
        return [start.note for start in self.books.playing.values()]


def note_on(t_s: float, note: int, channel: int = 0, velocity: int = 100) -> NoteOn:
    return NoteOn(t_s, channel, note, velocity)


def told(commands: Sequence[Command], kind: type[T]) -> list[T]:
    """The commands of one kind."""
    return [command for command in commands if isinstance(command, kind)]
