"""Where the instrument is put together: the one place that knows all of its parts."""

from __future__ import annotations

import tempfile
from pathlib import Path

from app.audio.client import SoundClient
from app.commands.extraction import passage_from_recording
from app.render.cache import default_folder
from app.render.worker import WorkerSettings
from app.services.instrument import Instrument
from app.services.live import LiveSession


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
    return Instrument(sound_client=sound, live=LiveSession(sound), settings=settings)
