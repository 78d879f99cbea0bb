"""The one door between the window and everything that makes sound."""

from app.live.stage.meter import LiveMeter
from app.render.report import RenderReport
from app.services.events import (
    AudioChanged,
    ControlLearnt,
    DeviceLost,
    DevicesChanged,
    EngineFailed,
    EngineReady,
    Event,
    Exported,
    ExportFailed,
    ExportProgress,
    Extracted,
    ExtractFailed,
    LivePresetChanged,
    Measured,
    MidiActivity,
    Notice,
    Recorded,
    RecordingState,
    RenderCancelled,
    RenderFailed,
    RenderFinished,
    RenderProgress,
    RenderStarted,
)
from app.services.instrument import Instrument
from app.services.interface import InstrumentLike
from app.services.previews import PreviewWish

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
    "Instrument",
    "InstrumentLike",
    "LiveMeter",
    "LivePresetChanged",
    "Measured",
    "MidiActivity",
    "Notice",
    "PreviewWish",
    "Recorded",
    "RecordingState",
    "RenderCancelled",
    "RenderFailed",
    "RenderFinished",
    "RenderProgress",
    "RenderReport",
    "RenderStarted",
]
