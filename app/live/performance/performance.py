"""A performance: whatever is played goes in, commands for a voice engine come out.

    performance = Performance(default_profile("Keystep"), preset, preset_ids=bank)
    engine.do(performance.feed(message))           for every message of app.midi.stream and every gesture
    engine.do(performance.advance(now_s))          once a block
    performance.sounded(voice, t_s)                when a voice's first sample has been played
    engine.do(performance.finished(voice, t_s))    when nothing is left of it

Pure: no clock, no thread, no device; the same calls give the same commands. Its owner holds the lock, if it needs one.
Controls of the whole instrument (control changes, NRPN) move all voices, whatever their channel. Bend and channel
pressure belong to their channel; in an MPE zone bend, pressure and slide belong to the note, with the master's added.
Pedals hold their zone, or all channels outside zones.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

from app.live.performance.commands import Command, LoadPreset, Silence
from app.live.performance.gestures import (
    Gesture,
    KeyBent,
    KeyLane,
    KeyLifted,
    KeyPressed,
    LaneMoved,
    PanicAsked,
    ReleaseAsked,
)
from app.live.performance.keys import SOSTENUTO, SUSTAIN, TAIL_MARGIN_S
from app.live.performance.playing import Playing
from app.midi.clock import MidiClock
from app.midi.messages import (
    ClockContinue,
    ClockStart,
    ClockStop,
    ClockTick,
    ControlChange,
    NoteOff,
    NoteOn,
    PitchBend,
    Pressure,
    ProgramChange,
    SongPosition,
    StreamMessage,
    SystemReset,
)
from app.midi.parameters import BEND_SENSITIVITY, MPE_CONFIGURATION, ChannelParameters, ControlValue, ParameterValue
from app.midi.zones import N_CHANNELS
from app.state.controller_profile import ControllerProfile
from app.state.passage import lane_range
from app.state.places import PlacedError
from app.state.preset import Preset

_BANK_COARSE: Final = 0
_BANK_FINE: Final = 32
_GLIDE_TIME: Final = 5
_GLIDE_SWITCH: Final = 65
_SLIDE: Final = 74
_ALL_SOUND_OFF: Final = 120
_RESET_CONTROLLERS: Final = 121
_ALL_NOTES_OFF: Final = 123  # and the four after it, which change modes we do not have
_MAX: Final = 127
_LONGEST_CC5_GLIDE_S: Final = 2.0
_ALL_CHANNELS: Final = frozenset(range(N_CHANNELS))


class Performance:
    """One instrument being played. One thread."""

    def __init__(self, profile: ControllerProfile, preset: Preset, *, preset_ids: Sequence[str] = ()) -> None:
        """preset_ids   what program changes choose from: number bank * 128 + program"""
        self._profile = profile
        self._preset_ids = tuple(preset_ids)
        self._parameters = ChannelParameters(profile.single_controls)
        self._playing = Playing(profile, preset)
        self._playing.keys.tail_limit_s = preset.release_s + TAIL_MARGIN_S
        self._banks = [[0, 0] for _ in range(N_CHANNELS)]
        self.clock = MidiClock()

    # ---- what goes in

    def feed(self, event: StreamMessage | Gesture) -> list[Command]:
        """Take up one event. Never raises for any event."""
        out: list[Command] = []
        playing = self._playing
        match event:
            case NoteOn(t_s, channel, note, velocity):
                playing.press(t_s, channel, note, float(note), self._velocity(velocity), out)
            case NoteOff(t_s, channel, note, velocity):
                playing.lift(t_s, channel, note, velocity, out)
            case PitchBend(t_s, channel, amount):
                playing.bend(t_s, channel, amount, out)
            case Pressure(t_s, channel, value, note):
                if note is None:
                    playing.press_channel(t_s, channel, value / _MAX, out)
                else:
                    playing.press_key(t_s, channel, note, value / _MAX, out)
            case ControlChange():
                self._control(event, out)
            case ProgramChange(t_s, channel, program):
                self._program(t_s, channel, program, out)
            case ClockTick() | ClockStart() | ClockContinue() | ClockStop() | SongPosition():
                news = self.clock.take(event)
                if news is not None:
                    out.append(news)
            case SystemReset(t_s):
                self._panic(t_s, out)
            case KeyPressed() | KeyLifted() | KeyBent() | KeyLane() | LaneMoved() | PanicAsked() | ReleaseAsked():
                self._gesture(event, out)
            case _:
                pass
        return out

    def advance(self, t_s: float) -> list[Command]:
        """Do what is due by `t_s`: releases that waited until their note was heard, tails that never ended."""
        out: list[Command] = []
        self._playing.keys.advance(t_s, out)
        return out

    def sounded(self, voice: int, t_s: float) -> None:
        """The engine has played the first sample of a voice at `t_s`."""
        self._playing.keys.sounded(voice, t_s)

    def finished(self, voice: int, t_s: float) -> list[Command]:
        """The engine has nothing left of a voice: its tail is over, or it could not be sung."""
        out: list[Command] = []
        self._playing.keys.finished(voice, t_s, out)
        return out

    def set_preset(self, preset: Preset, t_s: float, profile: ControllerProfile | None = None) -> list[Command]:
        """The next notes are this preset's. Lanes that soft controls or names had set are the preset's again.

        profile   how the controller is played from now on (app.live.performance.manner); None: as before
        """
        out: list[Command] = [] if profile is None else self.use_profile(profile, t_s)
        self._playing.controls.set_preset(preset, t_s, out)
        self._playing.keys.tail_limit_s = preset.release_s + TAIL_MARGIN_S
        return out

    def use_profile(self, profile: ControllerProfile, t_s: float) -> list[Command]:
        """Be played as this says from now on; notes that sound go on, and the MPE zones stay."""
        out: list[Command] = []
        self._profile = profile
        self._parameters.single = profile.single_controls
        self._playing.use(profile, t_s, out)
        return out

    def leave(self, t_s: float) -> list[Command]:
        """Another performance follows: controls of all voices, and what was set by name, as if never touched."""
        out: list[Command] = []
        self._playing.controls.rest(t_s, out, keeps_named=False)
        return out

    def use_programs(self, preset_ids: Sequence[str]) -> None:
        """Program changes choose from these from now on."""
        self._preset_ids = tuple(preset_ids)

    def panic(self, t_s: float) -> list[Command]:
        """All sound off, at once; controls and pedals as if never touched."""
        out: list[Command] = []
        self._panic(t_s, out)
        return out

    def controller_vanished(self, t_s: float) -> list[Command]:
        """Let go what a controller held that is no longer there, pedals and wheels too. Other keys stay."""
        out: list[Command] = []
        self._reset_controllers(t_s, _ALL_CHANNELS, out)
        self._playing.keys.release_channels(t_s, _ALL_CHANNELS, out)
        return out

    def restate(self, t_s: float) -> list[Command]:
        """For an engine that has started anew: its old voices end, what holds for all voices is told again."""
        out: list[Command] = []
        self._playing.keys.silence(t_s, out)
        self._playing.controls.restate(t_s, out)
        return out

    # ---- what can be asked

    @property
    def n_voices(self) -> int:
        """Voices that sound or are about to, tails included."""
        return len(self._playing.keys.pool)

    @property
    def n_lost(self) -> int:
        """Notes that ended without having been heard, unless silence was asked for."""
        return self._playing.keys.n_lost

    @property
    def n_stolen_unheard(self) -> int:
        """Of the lost notes, those that made room for others where the profile allows no more voices."""
        return self._playing.keys.n_stolen_unheard

    def zone_channels(self) -> tuple[frozenset[int], ...]:
        """The channels of the MPE zones in force, 0..15, the lower zone first."""
        zones = self._playing.zones
        return tuple(zone.channels for zone in (zones.lower, zones.upper) if zone is not None)

    # ---- control changes

    def _control(self, message: ControlChange, out: list[Command]) -> None:
        t_s, channel, number, value = message.t_s, message.channel, message.number, message.value
        if number == self._profile.panic_cc:
            if value:
                self._panic(t_s, out)
        elif number >= _ALL_SOUND_OFF:
            self._mode(t_s, channel, number, out)
        elif number in (_BANK_COARSE, _BANK_FINE):
            self._banks[channel][number // _BANK_FINE] = value
        else:
            match self._parameters.take(message):
                case ControlValue() as control:
                    self._control_value(control, out)
                case ParameterValue() as parameter:
                    self._parameter(parameter, out)
                case None:
                    pass

    def _control_value(self, control: ControlValue, out: list[Command]) -> None:
        t_s, channel, number = control.t_s, control.channel, control.number
        playing, source = self._playing, f"cc{number}"
        if number == _SLIDE and playing.zones.zone_of(channel) is not None:
            playing.slide(t_s, channel, control.amount, out)
        elif playing.controls.is_bound(source):
            self._move_all(source, control.amount, control.centre, t_s, out)
        elif number == SUSTAIN:
            playing.keys.sustain(t_s, playing.group(channel), control.amount >= control.centre, out)
        elif number == SOSTENUTO:
            playing.keys.sostenuto(t_s, playing.group(channel), control.amount >= control.centre, out)
        elif number == _GLIDE_SWITCH:
            usual = "time" if self._profile.glide == "off" else self._profile.glide
            playing.keys.glide = usual if control.amount >= control.centre else "off"
        elif number == _GLIDE_TIME:
            playing.keys.glide_s = control.amount**2 * _LONGEST_CC5_GLIDE_S

    def _parameter(self, parameter: ParameterValue, out: list[Command]) -> None:
        t_s, channel = parameter.t_s, parameter.channel
        if not parameter.is_registered:
            self._move_all(f"nrpn{parameter.number}", parameter.amount, 0.5, t_s, out)
        elif parameter.number == BEND_SENSITIVITY:
            self._playing.set_bend_range(t_s, channel, parameter.coarse + parameter.fine / 100.0, out)
        elif parameter.number == MPE_CONFIGURATION and parameter.fine == 0:
            self._playing.configure_zone(t_s, channel, parameter.coarse, out)

    def _move_all(self, source: str, amount: float, centre: float, t_s: float, out: list[Command]) -> None:
        self._playing.controls.apply_shared(source, amount, t_s, out, centre=centre)
        self._playing.retune_all(t_s, out)

    def _mode(self, t_s: float, channel: int, number: int, out: list[Command]) -> None:
        """Channel mode messages; from a zone's master they speak of all its channels."""
        scope = self._playing.channels.scope(channel)
        if number == _ALL_SOUND_OFF:
            self._playing.keys.kill_channels(t_s, scope, out)
        elif number == _RESET_CONTROLLERS:
            self._reset_controllers(t_s, scope, out)
        elif number >= _ALL_NOTES_OFF:
            self._playing.keys.release_channels(t_s, scope, out)

    def _reset_controllers(
        self, t_s: float, channels: frozenset[int], out: list[Command], *, keeps_named: bool = True
    ) -> None:
        for channel in sorted(channels):
            self._parameters.reset(channel)
        for group in sorted({self._playing.group(channel) for channel in channels}):
            self._playing.keys.pedals_up(t_s, group, out)
        self._playing.controls.rest(t_s, out, keeps_named=keeps_named)
        self._playing.rest(t_s, channels, out)
        self._playing.retune_all(t_s, out)

    def _panic(self, t_s: float, out: list[Command]) -> None:
        self._playing.keys.silence(t_s, out)
        out.append(Silence(t_s))
        self._reset_controllers(t_s, _ALL_CHANNELS, out, keeps_named=False)

    # ---- programs, gestures

    def _program(self, t_s: float, channel: int, program: int, out: list[Command]) -> None:
        """Choose a preset. In a zone only its master may."""
        if self._playing.zones.is_member(channel):
            return
        bank = self._banks[channel][0] << 7 | self._banks[channel][1]
        index = bank * (_MAX + 1) + program
        preset_id = self._preset_ids[index] if index < len(self._preset_ids) else None
        out.append(LoadPreset(t_s, bank, program, preset_id))

    def _velocity(self, velocity: int) -> float:
        if self._profile.fixed_velocity is not None:
            return float(self._profile.fixed_velocity)
        return 1.0 + 126.0 * self._profile.velocity_curve.at((velocity - 1) / 126.0)

    def _gesture(self, gesture: Gesture, out: list[Command]) -> None:
        playing = self._playing
        match gesture:
            case KeyPressed(t_s, channel, key, note, velocity):
                if channel < 0 and math.isfinite(note) and math.isfinite(velocity):
                    velocity = min(max(velocity, 1.0), float(_MAX))
                    playing.press(t_s, channel, key, min(max(note, 0.0), float(_MAX)), velocity, out)
            case KeyLifted(t_s, channel, key):
                playing.lift(t_s, channel, key, 64.0, out)
            case KeyBent(t_s, channel, key, cents):
                for voice in playing.keys.pool.of_key(channel, key) if math.isfinite(cents) else ():
                    voice.own_cents = cents
                    playing.retune(voice, t_s, out)
            case KeyLane(t_s, channel, key, lane_id, value):
                if _is_settable(lane_id, value):
                    for voice in playing.keys.pool.of_key(channel, key):
                        playing.controls.set_lane(voice.state, lane_id, value, t_s, out)
            case LaneMoved(t_s, lane_id, value):
                if _is_settable(lane_id, value):
                    playing.controls.set_lane(playing.controls.shared, lane_id, value, t_s, out)
            case PanicAsked(t_s):
                self._panic(t_s, out)
            case ReleaseAsked(t_s):
                playing.keys.release_channels(t_s, _EVERYTHING, out)


def _is_settable(lane_id: str, value: float | None) -> bool:
    """Whether a lane can be set by name: bend belongs to keys, unknown lanes to nobody."""
    try:
        lane_range(lane_id)
    except PlacedError:
        return False
    return lane_id != "bend" and (value is None or math.isfinite(value))


_EVERYTHING: Final = range(-N_CHANNELS, N_CHANNELS)  # MIDI's channels and those of gestures
