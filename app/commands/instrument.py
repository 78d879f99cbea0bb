"""Where the instrument is put together: the one place that knows all of its parts."""

from __future__ import annotations

import tempfile
from pathlib import Path

from app.audio.client import SoundClient
from app.commands.extraction import passage_from_recording
from app.live.stage.ability import can_stream
from app.live.stage.host import StageOptions
from app.render.cache import default_folder
from app.render.worker import WorkerSettings
from app.services.instrument import Instrument
from app.services.live import LiveSession
from app.services.parts import LiveLike
from app.services.stage import StageSession
from app.store.program_bank import read_bank


def make_instrument(*, device: str = "auto", output_device: str | None = None) -> Instrument:
    """An instrument that has not been started.

    device         "auto", "cpu" or "cuda", for the model
    output_device  a DeviceInfo.id; None: the system's default
    """
    sound = SoundClient(device_id=output_device)
    settings = WorkerSettings(
        folder=Path(tempfile.gettempdir()),
        cache_folder=default_folder(),
        device=device,
        extractor=passage_from_recording,
    )
    return Instrument(sound_client=sound, live=make_live(sound, device=device), settings=settings)


def make_live(sound: SoundClient, *, device: str = "auto") -> LiveLike:
    """What plays notes by hand: the live engine for a voice that can be streamed, else cells of the renderer."""
    if not can_stream():
        return LiveSession(sound)
    options = StageOptions(device=device, spill_folder=default_folder().with_name("onsets"))
    return StageSession(sound, options, read_bank())
