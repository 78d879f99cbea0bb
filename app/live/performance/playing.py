"""Notes, and the controls that belong to notes: bend, pressure and slide, by channel and by MPE zone."""

from __future__ import annotations

from collections.abc import Container, Iterable
from typing import Final

from app.live.performance.channels import SLIDE_CENTRE, Channels
from app.live.performance.commands import Command, Retune, StartVoice
from app.live.performance.control_map import ControlMap
from app.live.performance.keys import Keys
from app.live.performance.voices import Phase, Voice
from app.midi.zones import LOWER_MASTER, UPPER_MASTER, MpeZones
from app.state.controller_profile import ControllerProfile
from app.state.preset import Preset

OUTSIDE: Final = 16  # the group of all channels outside zones
_MAX: Final = 127


class Playing:
    """The voices of one performance with everything that is told to them one by one. One thread."""

    def __init__(self, profile: ControllerProfile, preset: Preset) -> None:
        self._profile = profile
        self.zones = MpeZones(profile.bend_semitones)
        self.zones.configure(LOWER_MASTER, profile.mpe_lower_members)
        self.zones.configure(UPPER_MASTER, profile.mpe_upper_members)
        self.channels = Channels(self.zones)
        self.controls = ControlMap(profile, preset)
        self.keys = Keys(profile, self._dress, self._moved)

    def use(self, profile: ControllerProfile, t_s: float, out: list[Command]) -> None:
        """Play as this profile says from now on; the MPE zones stay as they are."""
        self._profile = profile
        self.keys.use(profile)
        self.controls.use_bindings(profile.bindings, [voice.state for voice in self.keys.pool], t_s, out)
        self.retune_all(t_s, out)

    # ---- notes

    def press(self, t_s: float, channel: int, key: int, note: float, velocity: float, out: list[Command]) -> None:
        """A key goes down. On a member channel, what rings there keeps the bend it has."""
        if self.zones.is_member(channel):
            for voice in self.keys.pool:
                if voice.channel == channel and voice.phase is not Phase.HELD and voice.is_attached:
                    voice.own_cents += self._by_wheel(self.channels.own_cents(channel))
                    voice.is_attached = False
        self.keys.press(t_s, channel, self.group(channel), key, note, velocity, out)

    def lift(self, t_s: float, channel: int, key: int, velocity: float, out: list[Command]) -> None:
        for voice in self.keys.pool.of_key(channel, key):
            self.controls.apply(voice.state, "release_velocity", velocity / _MAX, t_s, out)
            self.retune(voice, t_s, out)
        self.keys.lift(t_s, channel, key, velocity, out)

    def group(self, channel: int) -> int:
        """What shares pedals with this channel."""
        if channel < 0:
            return channel
        zone = self.zones.zone_of(channel)
        return OUTSIDE if zone is None else zone.master

    # ---- controls of channels and keys

    def bend(self, t_s: float, channel: int, amount: float, out: list[Command]) -> None:
        """Pitch bend, -1..1. A master's bends all of its zone."""
        self.channels.set_bend(channel, amount)
        scope = self.channels.scope(channel)
        is_bound = self.controls.is_bound("pitch_bend")
        for voice in self.keys.pool:
            if voice.channel in scope:
                if is_bound and voice.channel == channel and voice.is_attached:
                    self.controls.apply(voice.state, "pitch_bend", (amount + 1.0) / 2.0, t_s, out)
                self.retune(voice, t_s, out)

    def press_channel(self, t_s: float, channel: int, amount: float, out: list[Command]) -> None:
        """Channel pressure, 0..1."""
        self.channels.set_pressure(channel, amount)
        self._apply_channel_to(self.channels.scope(channel), t_s, out)

    def slide(self, t_s: float, channel: int, amount: float, out: list[Command]) -> None:
        """The third MPE dimension, 0..1. Channels of a zone only."""
        self.channels.set_slide(channel, amount)
        self._apply_channel_to(self.channels.scope(channel), t_s, out)

    def press_key(self, t_s: float, channel: int, key: int, amount: float, out: list[Command]) -> None:
        """Pressure of one key, 0..1."""
        for voice in self.keys.pool.of_key(channel, key):
            self.controls.apply(voice.state, "poly_pressure", amount, t_s, out)
            self.retune(voice, t_s, out)

    def set_bend_range(self, t_s: float, channel: int, semitones: float, out: list[Command]) -> None:
        channels = self.zones.set_bend_semitones(channel, semitones)
        self.channels.refresh()
        scope = channels | self.channels.scope(channel)
        for voice in self.keys.pool:
            if voice.channel in scope:
                self.retune(voice, t_s, out)

    def configure_zone(self, t_s: float, channel: int, n_members: int, out: list[Command]) -> None:
        """An MPE configuration message: notes of channels whose part changes end, their controls rest."""
        old_groups = {index: self.group(index) for index in range(16)}
        changed = self.zones.configure(channel, n_members)
        self.channels.refresh()
        if not changed:
            return
        for group in {old_groups[index] for index in changed} | {self.group(index) for index in changed}:
            self.keys.pedals_up(t_s, group, out)
        self.keys.release_channels(t_s, changed, out)
        self.rest(t_s, changed, out)

    def rest(self, t_s: float, channels: Iterable[int], out: list[Command]) -> None:
        """Bend, pressure and slide of these channels as if never touched."""
        chosen = frozenset(channels)
        self.channels.rest(chosen)
        for voice in self.keys.pool:
            if voice.channel not in chosen:
                continue
            for source in ("channel_pressure", "mpe_pressure", "poly_pressure", "mpe_slide", "pitch_bend"):
                self.controls.let_go(voice.state, source, t_s, out)
            self._apply_channel(voice, t_s, out)
            self.retune(voice, t_s, out)

    # ---- pitch

    def retune(self, voice: Voice, t_s: float, out: list[Command]) -> None:
        """Tell the voice's bend, where it has changed."""
        cents = self._cents(voice)
        if cents != voice.told_cents:
            voice.told_cents = cents
            out.append(Retune(t_s, voice.number, cents, self._profile.bend_smoothing_s))

    def retune_all(self, t_s: float, out: list[Command]) -> None:
        for voice in self.keys.pool:
            self.retune(voice, t_s, out)

    def _cents(self, voice: Voice) -> float:
        by_lane = 100.0 * (voice.state.bend_semitones + self.controls.shared.bend_semitones)
        return self._by_wheel(self.channels.cents(voice)) + voice.own_cents + by_lane

    def _by_wheel(self, cents: float) -> float:
        return cents if self._profile.bends_pitch else 0.0

    # ---- inside

    def _dress(self, voice: Voice, t_s: float) -> StartVoice:
        """The controls a voice starts with."""
        unsaid: list[Command] = []  # StartVoice tells it
        self.controls.apply(voice.state, "velocity", voice.velocity / _MAX, t_s, unsaid)
        self.controls.apply(voice.state, "key", voice.note / _MAX, t_s, unsaid)
        self._apply_channel(voice, t_s, unsaid)
        voice.told_cents = self._cents(voice)
        lanes, offsets = dict(voice.state.lanes), self.controls.offsets(voice.state)
        return StartVoice(t_s, voice.number, voice.note, voice.velocity, voice.told_cents, lanes, offsets)

    def _moved(self, voice: Voice, t_s: float, out: list[Command]) -> None:
        """A legato voice has passed to another key, perhaps of another channel."""
        self._apply_channel(voice, t_s, out)
        self.retune(voice, t_s, out)

    def _apply_channel_to(self, scope: Container[int], t_s: float, out: list[Command]) -> None:
        for voice in self.keys.pool:
            if voice.channel in scope and voice.is_attached:
                self._apply_channel(voice, t_s, out)
                self.retune(voice, t_s, out)

    def _apply_channel(self, voice: Voice, t_s: float, out: list[Command]) -> None:
        """The channel's controls as they stand; those never sent say nothing."""
        channel = voice.channel
        if channel < 0:
            return
        is_zoned = self.zones.zone_of(channel) is not None
        pressure, slide, bend = (
            self.channels.pressure(channel),
            self.channels.slide(channel),
            self.channels.bend(channel),
        )
        if pressure is not None:
            source = "mpe_pressure" if is_zoned else "channel_pressure"
            self.controls.apply(voice.state, source, pressure, t_s, out)
        if slide is not None and is_zoned:
            self.controls.apply(voice.state, "mpe_slide", slide, t_s, out, centre=SLIDE_CENTRE)
        if bend != 0.0:
            self.controls.apply(voice.state, "pitch_bend", (bend + 1.0) / 2.0, t_s, out)
