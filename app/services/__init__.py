"""The one door between the window and everything that makes sound."""

from app.render.report import RenderReport
from app.services.events import (
    AudioChanged,
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
    Measured,
    MidiActivity,
    Notice,
    RenderCancelled,
    RenderFailed,
    RenderFinished,
    RenderProgress,
    RenderStarted,
)
from app.services.instrument import Instrument
from app.services.interface import InstrumentLike

__all__ = [
    "AudioChanged",
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
    "Measured",
    "MidiActivity",
    "Notice",
    "RenderCancelled",
    "RenderFailed",
    "RenderFinished",
    "RenderProgress",
    "RenderReport",
    "RenderStarted",
]
