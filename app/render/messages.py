"""What the sampler process is asked, and what it answers besides the events of app/render/events.py.

Frozen, made of plain values: they travel through a pipe between two processes of ours.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

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
from app.state.passage import Passage
from app.state.preset import Preset
from synth.spec import Float32Array


@dataclass(frozen=True, slots=True)
class Render:
    """Make this passage the one that is heard. has_audio: something of this length can already be heard."""

    request_id: int
    passage: Passage
    quality: str
    playhead_s: float
    has_audio: bool


@dataclass(frozen=True, slots=True)
class CancelRender:
    request_id: int


@dataclass(frozen=True, slots=True)
class Export:
    passage: Passage
    path: Path
    quality: str
    stems: bool


@dataclass(frozen=True, slots=True)
class Extract:
    path: Path


@dataclass(frozen=True, slots=True)
class MakePreview:
    """When there is nothing else to do: let the preset be heard in the file `path`, sung, or read from a recording."""

    path: Path
    preset: Preset
    recording: Path | None = None


@dataclass(frozen=True, slots=True)
class Quit:
    """End the process."""


Command = Render | CancelRender | Export | Extract | MakePreview | Quit


@dataclass(frozen=True, slots=True)
class ClipReady:
    """The request's audio: raw float32 stereo at `path`, n_samples long, to be heard from now on.

    is_afresh: it does not go on from the clip before, so any of its samples may differ from what was heard there.
    """

    request_id: int
    path: Path
    n_samples: int
    is_afresh: bool


@dataclass(frozen=True, slots=True)
class CellsWritten:
    """Samples of [start_s, end_s) of the clip that was last made ready are new."""

    request_id: int
    start_s: float
    end_s: float


@dataclass(frozen=True, slots=True)
class MeasuredSpan:
    """Lanes of one voice, frames [start_frame, start_frame + n). n_frames is the whole passage's."""

    request_id: int
    voice_index: int
    n_frames: int
    start_frame: int
    lanes: Mapping[str, Float32Array]


@dataclass(frozen=True, slots=True)
class PreviewMade:
    """The preview is in its file; or not, and why."""

    path: Path
    fault: str = ""


Reply = (
    EngineReady
    | EngineFailed
    | RenderStarted
    | RenderProgress
    | RenderFinished
    | RenderCancelled
    | RenderFailed
    | ExportProgress
    | Exported
    | ExportFailed
    | Extracted
    | ExtractFailed
    | Notice
    | ClipReady
    | CellsWritten
    | MeasuredSpan
    | PreviewMade
)
