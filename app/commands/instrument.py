"""Where the instrument is put together: the one place that knows all of its parts."""

from __future__ import annotations

import tempfile
from pathlib import Path

from app.audio.client import SoundClient
from app.commands.extraction import passage_from_recording
from app.live.stage.host import StageOptions
from app.render.cache import default_folder
from app.render.worker import WorkerSettings
from app.services.attached import AttachedSession
from app.services.instrument import Instrument
from app.services.parts import LiveLike
from app.services.stage import StageSession
from app.services.stage_door import door_path, is_answered
from app.services.unplayed import Unplayed
from app.store.packs.compatibility import installed_weights
from app.store.presets import FACTORY_FOLDER
from app.store.program_bank import read_bank
from synth.errors import UserError


def make_instrument(
    *, device: str = "auto", output_device: str | None = None, joins: bool = True, plays_live: bool = True
) -> Instrument:
    """An instrument that has not been started.

    device         "auto", "cpu" or "cuda", for the model
    output_device  a DeviceInfo.id; None: the system's default
    plays_live     whether a keyboard shall be played: a live engine takes two processes and a model of its own
    joins          whether live notes go to the performance of `stridor live`, where one is under way
    """
    sound = SoundClient(device_id=output_device)
    settings = WorkerSettings(
        folder=Path(tempfile.gettempdir()),
        cache_folder=default_folder(),
        device=device,
        extractor=passage_from_recording,
    )
    live = make_live(sound, device=device, joins=joins) if plays_live else Unplayed()
    return Instrument(sound_client=sound, live=live, settings=settings, read_weights=_weights_hash)


def _weights_hash() -> str:
    """Of the shipped voice, whose previews may lie ready before it is loaded; empty where it cannot be read."""
    try:
        return installed_weights(FACTORY_FOLDER / "models" / "default").whole
    except UserError:
        return ""


def make_live(sound: SoundClient, *, device: str = "auto", joins: bool = True) -> LiveLike:
    """What plays notes by hand: the performance that is under way, else a live engine of its own."""
    if joins and is_answered(door_path()):
        return AttachedSession()
    options = StageOptions(device=device, spill_folder=default_folder().with_name("onsets"))
    return StageSession(sound, options, read_bank(), read_bank=read_bank)
