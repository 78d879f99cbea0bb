"""What the instrument tells the window. Frozen, so they may cross threads; produced by `Instrument.poll()` only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from app.render.report import RenderReport
from synth.spec import Float32Array

if TYPE_CHECKING:
    from app.state.passage import Passage


@dataclass(frozen=True, slots=True)
class EngineReady:
    """The model is loaded. Comes again after the sampler process had to be restarted."""

    device: str
    weights_hash: str
    load_s: float


@dataclass(frozen=True, slots=True)
class EngineFailed:
    """The model cannot be loaded (missing weights, say); everything but rendering works."""

    message: str
    remedy: str


@dataclass(frozen=True, slots=True)
class RenderStarted:
    """The sampler has taken up this request."""

    request_id: int


@dataclass(frozen=True, slots=True)
class RenderProgress:
    """At most 20 a second. Cells that did not change count neither as done nor in the total."""

    request_id: int
    done_cells: int
    total_cells: int
    eta_s: float
    realtime_factor: float  # seconds of passage rendered per second so far; 0 while unknown


@dataclass(frozen=True, slots=True)
class AudioChanged:
    """`Instrument.audio()` has new samples in [start_s, end_s); a view redraws that stretch."""

    request_id: int
    start_s: float
    end_s: float


@dataclass(frozen=True, slots=True)
class RenderFinished:
    """The whole passage can be heard."""

    request_id: int
    report: RenderReport


@dataclass(frozen=True, slots=True)
class RenderCancelled:
    """Called off by `cancel()` or by a newer request. Every request ends in exactly one of finished/cancelled/failed."""

    request_id: int


@dataclass(frozen=True, slots=True)
class RenderFailed:
    """This request cannot be rendered. `details` is for the log and a "details" button, empty for expected trouble."""

    request_id: int
    message: str
    remedy: str
    details: str


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
class ExportProgress:
    """An export under way, 0..1."""

    path: Path
    fraction: float
    eta_s: float


@dataclass(frozen=True, slots=True)
class Exported:
    """The file is complete. `note` is a remark for the user, such as an attenuation; usually empty."""

    path: Path
    note: str = ""


@dataclass(frozen=True, slots=True)
class ExportFailed:
    """No file was written; one that stood there before still does."""

    message: str
    remedy: str


@dataclass(frozen=True, slots=True)
class Extracted:
    """A recording has become a passage."""

    passage: Passage
    path: Path | None = None


@dataclass(frozen=True, slots=True)
class ExtractFailed:
    """The recording cannot be used."""

    message: str
    remedy: str


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
class Notice:
    """Something the user should know, in one line; nothing is lost."""

    message: str
    remedy: str = ""


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
    | Notice
)
