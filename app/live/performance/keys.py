"""Keys and pedals become voices: one for each key, or one for all of them.

No note is lost and none sticks: a note that is over before it was heard waits until it has sounded for min_sound_s;
one the engine never sounds is killed after LATE_S; a tail that never reports its end is killed after tail_limit_s.
"""

from __future__ import annotations

from collections.abc import Callable, Container
from dataclasses import dataclass
from typing import Final

from app.live.performance.commands import Command, Glide, Kill, Release, StartVoice
from app.live.performance.voices import Phase, Voice, VoicePool
from app.state.controller_profile import ControllerProfile

SUSTAIN: Final = 64
SOSTENUTO: Final = 66
MIN_SOUND_S: Final = 0.08
STEAL_S: Final = 0.01
LATE_S: Final = 2.0
MAX_KEYS_DOWN: Final = 128  # remembered by a mono instrument, whose keys may never come up
TAIL_MARGIN_S: Final = 2.0  # a tail may be this much longer than the preset's release

Dress = Callable[[Voice, float], StartVoice]
Moved = Callable[[Voice, float, list[Command]], None]


@dataclass(frozen=True, slots=True)
class _Key:
    channel: int
    group: int
    key: int
    note: float
    velocity: float


class Keys:
    """Keys, pedals and voices of one performance. One thread."""

    def __init__(self, profile: ControllerProfile, dress: Dress, moved: Moved) -> None:
        """
        dress   gives a voice that is about to start the controls it starts with
        moved   is told when a legato voice has passed to another key
        """
        self.pool = VoicePool(profile.polyphony, profile.stealing)
        self.glide = profile.glide
        self.glide_s = profile.glide_s
        self.tail_limit_s = TAIL_MARGIN_S
        self.n_lost = 0  # notes that ended without having been heard
        self.n_stolen_unheard = 0  # of these, those that made room for others
        self._profile = profile
        self._dress = dress
        self._moved = moved
        self._down: dict[int, list[_Key]] = {}  # of mono instruments: group -> keys, in the order they were pressed
        self._last_note: dict[int, float] = {}
        self._preset_since = 0  # voices up to this number sing another preset than the next one will
        self._manner_since = 0  # and those up to this one were struck in another manner of playing
        self._sustaining: set[int] = set()  # groups whose pedal is down
        self._captured: set[int] = set()  # groups whose sostenuto pedal is down

    def use(self, profile: ControllerProfile) -> None:
        """Take keys as this profile says from now on: another preset was chosen. What sounds keeps the manner it has.

        What the controller has said itself about gliding stays.
        """
        before, self._profile = self._profile, profile
        self.pool.limit(profile.polyphony, profile.stealing)
        if self.glide == before.glide:
            self.glide = profile.glide
        if self.glide_s == before.glide_s:
            self.glide_s = profile.glide_s
        self._preset_since = self.pool.newest
        if profile.playing != before.playing:
            self._manner_since = self.pool.newest
            self._down.clear()

    # ---- keys

    def press(
        self, t_s: float, channel: int, group: int, key: int, note: float, velocity: float, out: list[Command]
    ) -> None:
        pressed = _Key(channel, group, key, note, velocity)
        if self._profile.playing == "poly":
            self._restrike(t_s, channel, key, out)
            self._start(t_s, pressed, out)
            return
        down = self._down.setdefault(group, [])
        down[:] = [other for other in down if (other.channel, other.key) != (channel, key)]
        down.append(pressed)
        del down[:-MAX_KEYS_DOWN]
        self._play_chosen(t_s, group, out)

    def lift(self, t_s: float, channel: int, key: int, velocity: float, out: list[Command]) -> None:
        """A key comes up; nothing where none was down."""
        for group, down in self._down.items():
            n_before = len(down)
            down[:] = [other for other in down if (other.channel, other.key) != (channel, key)]
            is_playing = any(voice.phase is Phase.HELD for voice in self.pool.of_key(channel, key))
            if len(down) < n_before and down and is_playing:
                self._play_chosen(t_s, group, out)
                return
        for voice in self.pool.of_key(channel, key):
            if voice.phase is Phase.HELD:
                voice.lift_velocity = velocity
                self._key_up(t_s, voice, out)

    def _restrike(self, t_s: float, channel: int, key: int, out: list[Command]) -> None:
        """The same key again: what it holds makes room, but is heard first."""
        for old in self.pool.of_key(channel, key):
            if old.phase is Phase.PEDALLED or old.sounded_s is None:
                self._end(t_s, old, out)
            else:
                self._kill(t_s, old, out)

    def _play_chosen(self, t_s: float, group: int, out: list[Command]) -> None:
        """Of a mono instrument's keys, sound the one its priority chooses."""
        down = self._down[group]
        match self._profile.priority:
            case "highest":
                chosen = max(down, key=lambda key: key.note)
            case "lowest":
                chosen = min(down, key=lambda key: key.note)
            case _:
                chosen = down[-1]
        playing = [
            voice
            for voice in self.pool
            if voice.group == group and voice.phase is Phase.HELD and voice.number > self._manner_since
        ]
        for voice in self.pool:
            if voice.group == group and voice.phase is Phase.PEDALLED:
                self._end(t_s, voice, out)
        if not playing:
            self._start(t_s, chosen, out)
            return
        voice = playing[0]
        is_restruck = (voice.channel, voice.key) == (chosen.channel, chosen.key)
        if is_restruck and chosen is not down[-1]:
            return
        if self._profile.playing == "legato" and not is_restruck and voice.number > self._preset_since:
            self._slide_to(t_s, voice, chosen, out)
        else:
            self._kill(t_s, voice, out)
            self._start(t_s, chosen, out)

    def _slide_to(self, t_s: float, voice: Voice, chosen: _Key, out: list[Command]) -> None:
        if chosen.note != voice.note:
            time_s, is_linear = self._glide_time(voice.note, chosen.note)
            out.append(Glide(t_s, voice.number, chosen.note, time_s, is_linear))
        voice.channel, voice.key, voice.note = chosen.channel, chosen.key, chosen.note
        self._last_note[voice.group] = chosen.note
        self._moved(voice, t_s, out)

    def _start(self, t_s: float, key: _Key, out: list[Command]) -> None:
        while (victim := self.pool.next_victim()) is not None:
            self.n_stolen_unheard += victim.sounded_s is None
            self._kill(t_s, victim, out)
        voice = self.pool.add(key.channel, key.group, key.key, key.note, key.velocity, t_s)
        start = self._dress(voice, t_s)
        previous = self._last_note.get(key.group)
        self._last_note[key.group] = key.note
        if self.glide != "off" and previous is not None and previous != key.note:
            time_s, is_linear = self._glide_time(previous, key.note)
            start = StartVoice(
                t_s, voice.number, start.note, start.velocity, start.cents, start.lanes, start.offsets,
                previous, time_s, is_linear,
            )  # fmt: skip
        out.append(start)

    def _glide_time(self, start: float, target: float) -> tuple[float, bool]:
        if self.glide == "off":
            return 0.0, True
        if self.glide == "rate":
            return abs(target - start) / self._profile.glide_semitones_per_s, True
        return self.glide_s, self.glide == "time"

    # ---- pedals

    def sustain(self, t_s: float, group: int, is_down: bool, out: list[Command]) -> None:
        if is_down:
            self._sustaining.add(group)
            return
        self._sustaining.discard(group)
        for voice in self.pool:
            if voice.group == group and voice.phase is Phase.PEDALLED and not voice.is_captured:
                self._end(t_s, voice, out)

    def sostenuto(self, t_s: float, group: int, is_down: bool, out: list[Command]) -> None:
        """Holds the notes whose keys are down when the pedal goes down, and no others."""
        if is_down == (group in self._captured):
            return
        if is_down:
            self._captured.add(group)
            for voice in self.pool:
                voice.is_captured |= voice.group == group and voice.phase is Phase.HELD
            return
        self._captured.discard(group)
        for voice in self.pool:
            if voice.group == group and voice.is_captured:
                voice.is_captured = False
                if voice.phase is Phase.PEDALLED and group not in self._sustaining:
                    self._end(t_s, voice, out)

    def pedals_up(self, t_s: float, group: int, out: list[Command]) -> None:
        self.sostenuto(t_s, group, False, out)
        self.sustain(t_s, group, False, out)

    # ---- ends

    def release_channels(self, t_s: float, channels: Container[int], out: list[Command]) -> None:
        """Let every key of these channels go, pedal or not."""
        self._forget_keys(channels)
        for voice in self.pool:
            if voice.channel in channels and voice.phase in (Phase.HELD, Phase.PEDALLED):
                self._end(t_s, voice, out)

    def kill_channels(self, t_s: float, channels: Container[int], out: list[Command]) -> None:
        """Silence these channels at once."""
        self._forget_keys(channels)
        for voice in self.pool:
            if voice.channel in channels:
                self._remove(t_s, voice, out)

    def silence(self, t_s: float, out: list[Command]) -> None:
        """Silence everything and forget every key and pedal."""
        for voice in self.pool:
            self._remove(t_s, voice, out)
        self._down.clear()
        self._last_note.clear()
        self._sustaining.clear()
        self._captured.clear()

    def _key_up(self, t_s: float, voice: Voice, out: list[Command]) -> None:
        if voice.group in self._sustaining or voice.is_captured:
            voice.phase = Phase.PEDALLED
        else:
            self._end(t_s, voice, out)

    def _end(self, t_s: float, voice: Voice, out: list[Command]) -> None:
        """The note is over: release it, or latch it until it has been heard."""
        voice.is_captured = False
        voice.over_s = t_s
        if voice.sounded_s is not None and t_s - voice.sounded_s >= MIN_SOUND_S:
            self._release(t_s, voice, out)
        else:
            voice.phase = Phase.LATCHED

    def _release(self, t_s: float, voice: Voice, out: list[Command]) -> None:
        voice.phase = Phase.TAIL
        voice.over_s = t_s
        out.append(Release(t_s, voice.number, voice.lift_velocity))

    def _kill(self, t_s: float, voice: Voice, out: list[Command]) -> None:
        """Silence a voice nobody asked to silence."""
        self.n_lost += voice.sounded_s is None
        self._remove(t_s, voice, out)

    def _remove(self, t_s: float, voice: Voice, out: list[Command]) -> None:
        self.pool.remove(voice)
        out.append(Kill(t_s, voice.number, STEAL_S))

    def _forget_keys(self, channels: Container[int]) -> None:
        for down in self._down.values():
            down[:] = [key for key in down if key.channel not in channels]

    # ---- what the engine says, and time

    def sounded(self, number: int, t_s: float) -> None:
        """The voice's first sample has been played at `t_s`."""
        voice = self.pool.get(number)
        if voice is not None and voice.sounded_s is None:
            voice.sounded_s = t_s

    def finished(self, number: int, t_s: float, out: list[Command]) -> None:
        """The engine has nothing left of this voice: its tail is over, or it has failed."""
        voice = self.pool.get(number)
        if voice is None:
            return
        if voice.phase is Phase.TAIL:
            self.pool.remove(voice)
        else:
            self._kill(t_s, voice, out)

    def advance(self, t_s: float, out: list[Command]) -> None:
        """Do what is due by `t_s`."""
        for voice in self.pool:
            if voice.phase is Phase.LATCHED:
                if voice.sounded_s is None:
                    if t_s - voice.over_s > LATE_S:
                        self._kill(t_s, voice, out)
                elif t_s >= voice.sounded_s + MIN_SOUND_S:
                    self._release(max(voice.sounded_s + MIN_SOUND_S, voice.over_s), voice, out)
            elif voice.phase is Phase.TAIL and t_s - voice.over_s > self.tail_limit_s:
                self._kill(t_s, voice, out)
