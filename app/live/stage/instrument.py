"""A performance and the voices that sound it: events in at their sample, a block of sound out. Performer's thread."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np

from app.live.performance.commands import (
    Command,
    Kill,
    LoadPreset,
    OffsetLane,
    Release,
    SetLane,
    Silence,
    StartVoice,
)
from app.live.performance.gestures import Gesture
from app.live.performance.manner import profile_in_force
from app.live.performance.performance import Performance
from app.live.performance.performed import PerformedControls
from app.live.stage import meter as fields
from app.live.stage.adapter_columns import AdapterColumns, adapters_of
from app.live.stage.groups import OnsetGroups, Singer, timbre_row
from app.live.stage.lanes import lane_course, resting_lanes
from app.live.stage.memory import StageMemory
from app.live.stage.messages import FromStage, Played, PresetChosen, StageNotice, StageSettings
from app.live.stage.meter import Meter
from app.live.stage.voices import MAX_BLOCK, SoundingVoice, Voices
from app.midi.clock import TempoChanged
from app.midi.messages import StreamMessage
from app.state.controller_profile import ControllerProfile, default_profile
from app.state.preset import NEUTRAL_PRESET, Preset
from synth.spec.audio import SAMPLE_RATE_HZ
from synth.spec.controls import Float32Array

_SILENCE_S: Final = 0.005
_SEED_STEP: Final = 0x9E3779B97F4A7C15  # odd: every voice has a seed of its own
_SEED_MASK: Final = (1 << 56) - 1
_TOLD_AT_ONCE: Final = 64


class StageInstrument:
    """What is being played.

    is_telling   whether the host is told every command, for a recording or for OSC
    """

    def __init__(
        self, memory: StageMemory, meter: Meter, settings: StageSettings, tell: Callable[[FromStage], None]
    ) -> None:
        self._meter, self._tell, self._seed = meter, tell, settings.seed
        self._performed = PerformedControls(MAX_BLOCK)
        self._groups = OnsetGroups(memory, settings.n_variations, settings.locked_variation)
        self._columns = AdapterColumns(memory)
        self._columns_seen = self._columns.version
        self._voices = Voices(memory, meter, self._performed, self._groups, self._columns)
        self._singers = [self._singer(NEUTRAL_PRESET)]
        self._chosen = 0
        self._pending: Singer | None = None  # chosen, but its adapters are still being loaded
        self._profile = default_profile("any controller")
        self._maps: dict[str, ControllerProfile] = {}
        self._performance = self._new_performance()
        self._n_lost = self._n_stolen_unheard = 0  # by performances before this one, and by want of power
        self._epoch = 0
        self._told: list[Command] = []
        self._seeds: list[tuple[int, int]] = []
        self._standing = np.zeros(memory.lanes.shape[1], dtype=np.float32)
        self.is_telling = False

    @property
    def zone_channels(self) -> frozenset[int]:
        return frozenset().union(*self._performance.zone_channels())

    @property
    def sounding(self) -> list[SoundingVoice]:
        """Voices that have not been told to end at once."""
        return self._voices.sounding

    # ---- what is played with

    def use_bank(self, presets: list[Preset], chosen: int, t_s: float) -> None:
        """Program changes choose from these; the next notes sing presets[chosen]."""
        singers = [self._singer(preset) for preset in presets] or [self._singer(NEUTRAL_PRESET)]
        self._singers, self._chosen = singers, min(max(chosen, 0), len(singers) - 1)
        self._want_bank()
        self._begin_anew(self._chosen, t_s)

    def use_preset(self, preset: Preset, t_s: float) -> None:
        """Sing the next notes with this one, whether it was in the bank or not."""
        self._choose(self._singer(preset), t_s)

    def know_preset(self, preset: Preset) -> None:
        """Programs will call it. The one that the next note sings stays as it is."""
        if preset.id == self._singing.preset.id:
            return
        ids = [singer.preset.id for singer in self._singers]
        index = ids.index(preset.id) if preset.id in ids else len(ids)
        self._singers[index : index + 1] = [self._singer(preset)]

    def use_programs(self, preset_ids: tuple[str, ...]) -> None:
        """Program changes choose from these from now on. What sounds, and what the next note sings, stays."""
        singing = self._singing
        known = {singer.preset.id: singer for singer in self._singers} | {singing.preset.id: singing}
        self._singers = [known[preset_id] for preset_id in preset_ids if preset_id in known]
        if singing.preset.id not in preset_ids:
            self._singers.append(singing)
        self._chosen = [singer.preset.id for singer in self._singers].index(singing.preset.id)
        self._meter.ints[fields.PRESET] = self._chosen
        self._performance.use_programs(preset_ids)
        self._want_bank()
        self._groups.want(self._singers, self._chosen)

    def use_profile(self, profile: ControllerProfile, t_s: float) -> None:
        """Another controller: what the old one held is let go. The same one's changes leave its notes alone."""
        before, self._profile = self._profile, profile
        self._columns.want(adapters_of(binding.lane for binding in profile.bindings), self._singing.adapters)
        if _sends_alike(before, profile):
            self._do(self._performance.use_profile(self._in_force(), t_s), 0)
        else:
            self._begin_anew(self._chosen, t_s)

    def use_map(self, profile: ControllerProfile, t_s: float) -> None:
        """Lay this profile over the controller's own while a preset that names it is the current one."""
        self._maps[profile.name] = profile
        if self._singing.preset.midi_map == profile.name:
            self._do(self._performance.set_preset(self._singing.preset, t_s, self._in_force()), 0)

    def lock_variation(self, index: int | None) -> None:
        """Let repeated notes begin with this variation; None: go round."""
        self._groups.lock_variation(index)

    def controller_gone(self, t_s: float) -> None:
        """Let go what it held."""
        self._do(self._performance.controller_vanished(t_s), 0)

    # ---- blocks

    def feed(self, event: StreamMessage | Gesture, place: int) -> None:
        """Take up one event, `place` samples into the next block."""
        self._meter.ints[fields.N_EVENTS] += 1
        self._do(self._performance.feed(event), place)

    def sound(self, out: Float32Array, t_s: float, heard_s: float) -> None:
        """Add the next block to `out`; events of its first sample are stamped `t_s`, it is heard at `heard_s`."""
        self._do(self._performance.advance(t_s), 0)
        begun = self._voices.sound(len(out), t_s, out)
        for voice, place in begun.heard:
            offset_s = place / SAMPLE_RATE_HZ
            self._performance.sounded(voice.number, t_s + offset_s)
            if not voice.is_again:
                self._meter.note_latency(heard_s + offset_s - voice.event_s)
        if begun.n_broken:
            self._tell(StageNotice("A voice lost its way and was ended.", "Play it again; please report it."))
        for voice in begun.over:
            self._do(self._performance.finished(voice.number, t_s), 0)
        ints = self._meter.ints
        ints[fields.N_LOST] = self._n_lost + self._performance.n_lost
        ints[fields.STOLEN_UNHEARD] = self._n_stolen_unheard + self._performance.n_stolen_unheard
        if self._told:
            self._tell_played()

    def follow(self, t_s: float) -> None:
        """Between blocks: where lanes are, where hands rest, whether the sampler is another one."""
        self._settle(t_s)
        self._refresh()
        self._voices.follow(t_s)
        singer = self._singing
        self._voices.standing(singer, t_s, self._standing)
        self._groups.follow_hands(singer, self._standing, t_s)
        self._look_for_sampler(t_s)

    # ---- inside

    def _do(self, commands: list[Command], place: int) -> None:
        for command in commands:
            self._performed.apply(command)
            match command:
                case StartVoice():
                    self._want_lanes(*command.lanes, *command.offsets)
                    self._start(command, place)
                case SetLane(lane=lane_id) | OffsetLane(lane=lane_id):
                    self._want_lanes(lane_id)
                case Release(t_s=t_s, voice=number):
                    self._voices.release(number, t_s, place)
                case Kill(voice=number, fade_s=fade_s):
                    self._voices.end(number, place, fade_s)
                case Silence():
                    self._voices.silence(_SILENCE_S)
                case LoadPreset():
                    self._load(command)
                case TempoChanged(bpm=bpm):
                    self._meter.floats[fields.TEMPO_BPM] = bpm
                case _:
                    pass
            if self.is_telling:
                self._told.append(command)

    def _look_for_sampler(self, t_s: float) -> None:
        """Let another sampler sing the voices that it has found; the first one, too: keys may have been early."""
        epoch = int(self._meter.ints[fields.SAMPLER_EPOCH])
        if epoch != self._epoch:
            self._epoch = epoch
            self._voices.start_again(t_s)

    def _start(self, command: StartVoice, place: int) -> None:
        self._look_for_sampler(command.t_s)  # before there is a voice that it has not found
        self._meter.ints[fields.N_NOTES] += 1
        while len(self._voices.sounding) >= int(self._meter.ints[fields.MAX_VOICES]):
            weakest = self._voices.weakest()
            if weakest is None:
                break
            self._meter.ints[fields.STOLEN] += 1
            self._n_stolen_unheard += not weakest.is_heard
            self._voices.end(weakest.number, place)
            self._do(self._performance.finished(weakest.number, command.t_s), place)
        self._seed = (self._seed + _SEED_STEP) & _SEED_MASK
        voice = self._voices.start(command, self._singing, self._seed, place, command.t_s)
        if voice is None:
            self._do(self._performance.finished(command.voice, command.t_s), place)
            self._performed.forget(command.voice)
        elif self.is_telling:
            self._seeds.append((command.voice, voice.seed))

    def _load(self, command: LoadPreset) -> None:
        ids = [singer.preset.id for singer in self._singers]
        if command.preset_id not in ids:
            self._tell(
                StageNotice(
                    f"There is no program {command.program} in bank {command.bank}: the preset stays.",
                    f"The bank has programs 0 to {len(ids) - 1}.",
                )
            )
            return
        self._choose(self._singers[ids.index(command.preset_id)], command.t_s)

    def _choose(self, singer: Singer, t_s: float) -> None:
        """Sing the next notes with this singer as soon as its adapters are there."""
        self._columns.want(singer.adapters, self._singing.adapters)
        self._pending = singer
        self._settle(t_s)

    def _settle(self, t_s: float) -> None:
        """Take up the singer that was chosen, once its adapters are there; without them the one before stays."""
        singer = self._pending
        if singer is None:
            return
        if any(self._columns.has_failed(adapter_id) for adapter_id in singer.adapters):
            self._pending = None
            stays = self._singing.preset.name
            self._tell(
                StageNotice(
                    f"'{singer.preset.name}' cannot be sung without its adapters: '{stays}' stays.",
                    "Install what it came with, and choose it again.",
                )
            )
        elif all(self._columns.is_loaded(adapter_id) for adapter_id in singer.adapters):
            self._pending = None
            ids = [other.preset.id for other in self._singers]
            index = ids.index(singer.preset.id) if singer.preset.id in ids else len(ids)
            self._singers[index : index + 1] = [singer]
            self._take_up(index, t_s)

    def _take_up(self, index: int, t_s: float) -> None:
        """Sing the next notes with this singer; those that sound keep theirs."""
        self._chosen = index
        self._meter.ints[fields.PRESET] = index
        self._refresh()
        self._groups.want(self._singers, index)
        preset = self._singing.preset
        self._do(self._performance.set_preset(preset, t_s, self._in_force()), 0)
        self._tell(PresetChosen(preset.id))

    def _begin_anew(self, chosen: int, t_s: float) -> None:
        """Another bank or another controller: a performance of its own. What sounds is let go."""
        self._do(self._performance.leave(t_s), 0)
        self._voices.abandon(t_s)
        self._chosen, self._pending = chosen, None
        self._n_lost += self._performance.n_lost
        self._n_stolen_unheard += self._performance.n_stolen_unheard
        self._performance = self._new_performance()
        self._take_up(chosen, t_s)

    def _new_performance(self) -> Performance:
        ids = [singer.preset.id for singer in self._singers]
        return Performance(self._in_force(), self._singing.preset, preset_ids=ids)

    @property
    def _singing(self) -> Singer:
        """Who sings the next note."""
        return self._singers[self._chosen]

    def _in_force(self) -> ControllerProfile:
        """How the controller is played with the current preset."""
        preset = self._singing.preset
        return profile_in_force(self._profile, preset, self._maps.get(preset.midi_map or ""))

    # ---- adapters

    def _want_bank(self) -> None:
        """Let the adapters of the bank be loaded, as far as there is room, the nearest presets' first."""
        near = sorted(range(len(self._singers)), key=lambda index: abs(index - self._chosen))
        self._columns.want(dict.fromkeys(name for index in near for name in self._singers[index].adapters))

    def _singer(self, preset: Preset) -> Singer:
        gain, strengths = 10.0 ** (preset.level_db / 20.0), preset.adapter_strengths()
        singer = Singer(preset, resting_lanes(preset), timbre_row(preset), gain, lane_course(preset), strengths)
        self._put_strengths(singer)
        return singer

    def _put_strengths(self, singer: Singer) -> None:
        self._columns.fill(singer.strengths, singer.resting)
        if singer.course is not None:
            self._columns.fill(singer.strengths, singer.course)

    def _refresh(self) -> None:
        """Columns have changed hands: the strengths of all singers go with them."""
        if self._columns.version == self._columns_seen:
            return
        self._columns_seen = self._columns.version
        singers = [*self._singers, *(voice.singer for voice in self._voices.sounding)]
        singers += [] if self._pending is None else [self._pending]
        for singer in singers:
            self._put_strengths(singer)
        self._groups.want(self._singers, self._chosen)

    def _want_lanes(self, *lane_ids: str) -> None:
        """Hands move adapters that may not have been loaded."""
        for adapter_id in adapters_of(lane_ids):
            if not self._columns.has_place(adapter_id):
                self._columns.want([adapter_id], self._singing.adapters)

    def _tell_played(self) -> None:
        told, self._told = self._told, []
        seeds, self._seeds = self._seeds, []
        preset_id = self._singing.preset.id
        for first in range(0, len(told), _TOLD_AT_ONCE):
            self._tell(Played(tuple(told[first : first + _TOLD_AT_ONCE]), tuple(seeds), preset_id))
            seeds = []


def _sends_alike(before: ControllerProfile, after: ControllerProfile) -> bool:
    """Whether both are of one controller that sends on the same channels."""
    names = ("name", "mpe_lower_members", "mpe_upper_members", "bend_semitones")
    return all(getattr(before, name) == getattr(after, name) for name in names)
