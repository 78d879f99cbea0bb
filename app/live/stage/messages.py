"""What host, performer and live sampler say to each other over their pipes: rare things, notes do not come here."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from app.live.performance.commands import Command
from app.live.performance.gestures import Gesture
from app.state.controller_profile import Binding, ControllerProfile
from app.state.preset import Preset


@dataclass(frozen=True, slots=True)
class StageSettings:
    """What performer and sampler are started with.

    meter, memory, sound, midi   names of shared memory: Meter, StageMemory, SharedState, MidiRing
    cache_bytes                  of onsets made ahead
    spill_folder                 where their latents are kept from one start to the next, or None
    weights_folder               None: the shipped voice
    device                       "auto", "cpu" or "cuda"
    n_steps                      jumps a block of latents is drawn in while the machine keeps up
    voice_in                     name of the GestureRing of a voice that is listened to; "": there is none
    """

    meter: str
    memory: str
    sound: str
    midi: str
    cache_bytes: int
    spill_folder: Path | None = None
    weights_folder: Path | None = None
    device: str = "auto"
    n_steps: int = 4
    n_variations: int = 2
    locked_variation: int | None = None
    seed: int = 0
    voice_in: str = ""


# ---- to the performer


@dataclass(frozen=True, slots=True)
class UseBank:
    """The presets that program changes choose from, and the one the next note sings."""

    presets: tuple[Preset, ...]
    chosen: int = 0


@dataclass(frozen=True, slots=True)
class UsePreset:
    """Sing the next notes with this; it takes the place of the one of the same id in the bank, or comes last."""

    preset: Preset


@dataclass(frozen=True, slots=True)
class KnowPreset:
    """A preset that programs will call: it takes the place of the one of the same id, unless that is sung now."""

    preset: Preset


@dataclass(frozen=True, slots=True)
class UsePrograms:
    """Program changes choose from these by their number from now on. What sounds and what is sung next stays."""

    preset_ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class UseProfile:
    profile: ControllerProfile


@dataclass(frozen=True, slots=True)
class UseMap:
    """A profile that presets may name as their midi_map; it takes the place of one of the same name."""

    profile: ControllerProfile


@dataclass(frozen=True, slots=True)
class ControllerGone:
    """What the controller held is let go."""


@dataclass(frozen=True, slots=True)
class Learn:
    """Bind the next control that moves to this lane; None: call it off."""

    lane: str | None


@dataclass(frozen=True, slots=True)
class Tell:
    """Say what is played from now on, or no more."""

    is_wanted: bool


@dataclass(frozen=True, slots=True)
class LockVariation:
    """Repeated notes always begin with this variation of their onset; None: go round all of them."""

    index: int | None


@dataclass(frozen=True, slots=True)
class Finish:
    """End."""


ToPerformer = (
    UseBank
    | UsePreset
    | KnowPreset
    | UsePrograms
    | UseProfile
    | UseMap
    | ControllerGone
    | Learn
    | Tell
    | LockVariation
    | Finish
    | Gesture
)


# ---- to the host


@dataclass(frozen=True, slots=True)
class PerformerReady:
    pass


@dataclass(frozen=True, slots=True)
class SamplerReady:
    weights_hash: str
    device: str


@dataclass(frozen=True, slots=True)
class SamplerFailed:
    message: str
    remedy: str


@dataclass(frozen=True, slots=True)
class StageNotice:
    message: str
    remedy: str = ""


@dataclass(frozen=True, slots=True)
class PresetChosen:
    preset_id: str


@dataclass(frozen=True, slots=True)
class Learnt:
    binding: Binding


@dataclass(frozen=True, slots=True)
class Played:
    """Commands the engine carried out, with the seed of each voice that started, for recording and for OSC."""

    commands: tuple[Command, ...]
    seeds: tuple[tuple[int, int], ...] = ()  # (voice, seed)
    preset_id: str = ""


FromStage = PerformerReady | SamplerReady | SamplerFailed | StageNotice | PresetChosen | Learnt | Played
