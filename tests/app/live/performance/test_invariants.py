"""Whatever is played, in whatever order: every voice ends once, and panic silences everything."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from app.live.performance.commands import Command, Release, StartVoice
from app.live.performance.gestures import NETWORK, KeyBent, KeyLane, KeyLifted, KeyPressed, LaneMoved, ReleaseAsked
from app.live.performance.keys import LATE_S, TAIL_MARGIN_S
from app.live.performance.performance import Performance
from app.midi.messages import ControlChange, NoteOff, NoteOn, PitchBend, Pressure, ProgramChange, StreamMessage
from app.midi.stream import MidiStream
from app.state.controller_profile import GLIDES, PLAYING, PRIORITIES, STEALING, Binding, default_profile
from app.state.preset import NEUTRAL_PRESET
from tests.app.live.performance.stage import Books
from tests.app.live.performance.storm import play_storm

channels = st.sampled_from([0, 1, 2, 3, 14, 15])
notes = st.integers(58, 62)
sevenths = st.sampled_from([0, 1, 63, 64, 100, 127])
CONTROLS = (0, 1, 2, 5, 6, 7, 11, 20, 32, 38, 40, 64, 65, 66, 74, 96, 98, 99, 100, 101, 120, 121, 122, 123, 126)


class AnyPerformance(RuleBasedStateMachine):
    """A player without manners, and an engine that answers when it likes."""

    @initialize(
        playing=st.sampled_from(PLAYING), priority=st.sampled_from(PRIORITIES), glide=st.sampled_from(GLIDES),
        stealing=st.sampled_from(STEALING), polyphony=st.integers(1, 5), lower=st.sampled_from([0, 3, 15]),
    )  # fmt: skip
    def begin(self, playing: str, priority: str, glide: str, stealing: str, polyphony: int, lower: int) -> None:
        profile = replace(
            default_profile("any"), playing=playing, priority=priority, glide=glide, stealing=stealing,
            polyphony=polyphony, mpe_lower_members=lower, panic_cc=119,
        )  # fmt: skip
        profile = profile.with_binding(Binding("cc20", "fry", 0.0, 1.0, takeover="pickup"))
        profile = profile.with_binding(Binding("cc40", "bend", -12.0, 12.0, mode="offset"))
        self.performance = Performance(profile, NEUTRAL_PRESET, preset_ids=("growl",))
        self.polyphony = polyphony
        self.books = Books()
        self.silent: list[int] = []  # started, not yet sounded
        self.now_s = 0.0

    def take(self, commands: list[Command]) -> None:
        self.books.take(commands)
        unheard = [command for command in commands if isinstance(command, Release) and command.voice in self.silent]
        assert not unheard, "a note was let go before it had been heard"
        self.silent += [command.voice for command in commands if isinstance(command, StartVoice)]

    def feed(self, message: StreamMessage | KeyPressed | KeyLifted | KeyBent | KeyLane | LaneMoved) -> None:
        self.take(self.performance.feed(message))

    @rule(channel=channels, note=notes, velocity=st.sampled_from([1, 64, 127]))
    def press(self, channel: int, note: int, velocity: int) -> None:
        self.feed(NoteOn(self.now_s, channel, note, velocity))

    @rule(channel=channels, note=notes)
    def lift(self, channel: int, note: int) -> None:
        self.feed(NoteOff(self.now_s, channel, note))

    @rule(channel=channels, number=st.sampled_from(CONTROLS), value=sevenths)
    def control(self, channel: int, number: int, value: int) -> None:
        self.feed(ControlChange(self.now_s, channel, number, value))

    @rule(channel=st.sampled_from([0, 15, 4]), n_members=st.integers(0, 16))
    def configure(self, channel: int, n_members: int) -> None:
        for number, value in ((101, 0), (100, 6), (6, n_members)):
            self.feed(ControlChange(self.now_s, channel, number, value))

    @rule(channel=channels, amount=st.sampled_from([-1.0, 0.0, 0.5]))
    def bend(self, channel: int, amount: float) -> None:
        self.feed(PitchBend(self.now_s, channel, amount))

    @rule(channel=channels, value=sevenths, note=st.one_of(st.none(), notes))
    def pressure(self, channel: int, value: int, note: int | None) -> None:
        self.feed(Pressure(self.now_s, channel, value, note))

    @rule(channel=channels)
    def program(self, channel: int) -> None:
        self.feed(ProgramChange(self.now_s, channel, 0))
        self.take(self.performance.set_preset(NEUTRAL_PRESET, self.now_s))

    @rule(key=st.integers(0, 2), is_down=st.booleans(), value=st.sampled_from([None, 0.5]))
    def network(self, key: int, is_down: bool, value: float | None) -> None:
        self.feed(KeyPressed(self.now_s, NETWORK, key, 60.5, 90.0) if is_down else KeyLifted(self.now_s, NETWORK, key))
        self.feed(KeyLane(self.now_s, NETWORK, key, "fry", value))
        self.feed(KeyBent(self.now_s, NETWORK, key, 30.0))
        self.feed(LaneMoved(self.now_s, "roughness", value))

    @rule(seconds=st.sampled_from([0.001, 0.05, 0.2, 3.0]))
    def wait(self, seconds: float) -> None:
        self.now_s += seconds
        self.take(self.performance.advance(self.now_s))

    @rule(n=st.integers(0, 3))
    def engine_sounds(self, n: int) -> None:
        for voice in self.silent[:n]:
            self.performance.sounded(voice, self.now_s)
        del self.silent[:n]

    @rule(voice=st.integers(0, 30))
    def engine_ends(self, voice: int) -> None:
        if voice in self.books.tails:
            self.books.tails.remove(voice)
        self.take(self.performance.finished(voice, self.now_s))

    @rule()
    def unplug(self) -> None:
        self.take(self.performance.controller_vanished(self.now_s))

    @rule()
    def begin_anew(self) -> None:
        self.take(self.performance.restate(self.now_s))
        assert not self.books.playing

    @rule()
    def panic(self) -> None:
        self.take(self.performance.panic(self.now_s))
        assert not self.books.playing
        assert not self.books.tails
        assert self.performance.n_voices == 0

    @invariant()
    def books_agree(self) -> None:
        if hasattr(self, "books"):
            assert self.performance.n_voices == len(self.books.playing) + len(self.books.tails) <= self.polyphony

    def teardown(self) -> None:
        """Once everything is let go and time has passed, nothing sounds."""
        if not hasattr(self, "books"):
            return
        self.take(self.performance.feed(ReleaseAsked(self.now_s)))
        for _ in range(2):
            self.now_s += LATE_S + TAIL_MARGIN_S + 6.0
            self.take(self.performance.advance(self.now_s))
        assert self.performance.n_voices == 0
        assert self.books.n_started == self.books.n_ended


TestAnyPerformance = AnyPerformance.TestCase
TestAnyPerformance.settings = settings(max_examples=40, stateful_step_count=30, deadline=None)


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=200), st.integers(0, 15))
def test_any_bytes_then_panic_is_silence(data: bytes, members: int) -> None:
    performance = Performance(replace(default_profile("any"), mpe_lower_members=members), NEUTRAL_PRESET)
    books = Books()
    for message in MidiStream().feed(data, 0.0):
        books.take(performance.feed(message))
    books.take(performance.panic(0.1))
    assert performance.n_voices == 0
    assert books.n_started == books.n_ended


@pytest.mark.parametrize("members", [0, 15])
def test_a_storm_of_short_notes_loses_none(members: int) -> None:
    profile = replace(default_profile("storm"), polyphony=64, mpe_lower_members=members)
    report = play_storm(1500, seed=4, profile=profile)
    assert report.n_started == report.n_notes == 1500
    assert (report.n_lost, report.n_stuck) == (0, 0)


def test_ten_thousand_events_a_second_need_far_less_than_a_second() -> None:
    report = play_storm(500, seed=9)
    assert report.n_events / report.cpu_s > 10_000
