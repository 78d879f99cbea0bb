"""What becomes of requests to the sampler process, as it reports them. Frozen; sent between processes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from app.render.report import RenderReport
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
class RenderFinished:
    """The whole passage can be heard."""

    request_id: int
    report: RenderReport


@dataclass(frozen=True, slots=True)
class RenderCancelled:
    """Called off, by `cancel()` or a newer request. A request ends in exactly one of finished, cancelled, failed."""

    request_id: int


@dataclass(frozen=True, slots=True)
class RenderFailed:
    """This request cannot be rendered. `details` is for the log and a "details" button, empty for expected trouble."""

    request_id: int
    message: str
    remedy: str
    details: str


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
    path: Path | None = None


@dataclass(frozen=True, slots=True)
class Notice:
    """Something the user should know, in one line; nothing is lost."""

    message: str
    remedy: str = ""
