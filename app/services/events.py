"""What the instrument tells the window. Frozen, so they may cross threads; produced by `Instrument.poll()` only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from app.render.events import (
    EngineFailed,
    EngineReady,
    Exported,
    ExportFailed,
    ExportProgress,
    Extracted,
    ExtractFailed,
    Notice,
    RenderCancelled,
    RenderFailed,
    RenderFinished,
    RenderProgress,
    RenderStarted,
)
from synth.spec import Float32Array

__all__ = [
    "AudioChanged",
    "ControlLearnt",
    "DeviceLost",
    "DevicesChanged",
    "EngineFailed",
    "EngineReady",
    "Event",
    "ExportFailed",
    "ExportProgress",
    "Exported",
    "ExtractFailed",
    "Extracted",
    "LivePresetChanged",
    "Measured",
    "MidiActivity",
    "Notice",
    "Recorded",
    "RecordingState",
    "RenderCancelled",
    "RenderFailed",
    "RenderFinished",
    "RenderProgress",
    "RenderStarted",
]


@dataclass(frozen=True, slots=True)
class AudioChanged:
    """`Instrument.audio()` has new samples in [start_s, end_s); a view redraws that stretch."""

    request_id: int
    start_s: float
    end_s: float


@dataclass(frozen=True, slots=True)
class Measured:
    """Lanes of one voice measured from its rendered stem, the whole curve as known so far.

    lanes   lane id -> (t_s [n_frames], value [n_frames]) in lane units; NaN where not measurable or not measured yet.
            Read-only views of arrays that later measurements update in place: do not keep them beyond the next one.
    [start_s, end_s) is the stretch that changed.
    """

    request_id: int
    lanes: Mapping[str, tuple[Float32Array, Float32Array]]
    voice_index: int = 0
    start_s: float = 0.0
    end_s: float = 0.0


@dataclass(frozen=True, slots=True)
class DeviceLost:
    """The output device has gone; playing goes on silently or on another device."""

    message: str


@dataclass(frozen=True, slots=True)
class DevicesChanged:
    """The lists of output devices or MIDI inputs differ from before."""


@dataclass(frozen=True, slots=True)
class MidiActivity:
    """Something arrived from a MIDI input."""

    kind: Literal["note_on", "note_off", "control", "bend", "pressure", "other"]
    number: int = 0  # MIDI note or controller
    value: float = 0.0  # velocity or controller 0..127; bend in semitones


@dataclass(frozen=True, slots=True)
class LivePresetChanged:
    """The next live note sings this preset: it was chosen by a program change, by OSC or by us."""

    preset_id: str


@dataclass(frozen=True, slots=True)
class ControlLearnt:
    """A control (`cc1`, `nrpn12`, `mpe_pressure`...) moves this lane from now on."""

    source: str
    lane_id: str


@dataclass(frozen=True, slots=True)
class RecordingState:
    """A recording of live playing that is under way.

    lost_frames   of the stream that were overwritten before they were kept
    fault         why nothing more is written; empty while all is well
    """

    seconds: float
    audio_path: str
    lost_frames: int = 0
    fault: str = ""


@dataclass(frozen=True, slots=True)
class Recorded:
    """A recording of live playing lies on disk: the sound, and what was played as a passage ("" where nothing was)."""

    audio_path: str
    passage_path: str
    seconds: float
    lost_frames: int = 0
    fault: str = ""


Event = (
    EngineReady
    | EngineFailed
    | RenderStarted
    | RenderProgress
    | AudioChanged
    | RenderFinished
    | RenderCancelled
    | RenderFailed
    | Measured
    | ExportProgress
    | Exported
    | ExportFailed
    | Extracted
    | ExtractFailed
    | DeviceLost
    | DevicesChanged
    | MidiActivity
    | LivePresetChanged
    | ControlLearnt
    | Recorded
    | Notice
)
