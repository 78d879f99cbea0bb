"""Previews: a short note of each preset, kept as sound, so that one that is chosen can be heard at once.

A preview is a file of raw float32 stereo, as clips are: the sampler writes it, the sound server plays it, and the
window only knows its name, which is made of everything that its sound depends on.
"""

from __future__ import annotations

import json
import logging
import os
import uuid
from contextlib import suppress
from pathlib import Path
from typing import Final

import numpy as np

from app.render.cache import CellCache, content_key
from app.render.controls import VoiceControls
from app.render.files import read_audio
from app.render.grid import CELL_S
from app.render.voice import EngineLike, ShouldStop, Tally, VoiceCells
from app.state.passage import Note, Passage, Voice
from app.state.preset import Preset
from app.store.presets import preset_to_document
from synth.errors import UserError
from synth.spec import SAMPLE_RATE_HZ, Float32Array, lane

_log = logging.getLogger(__name__)

PREVIEW_SUFFIX: Final = ".preview"
PREVIEW_CELLS: Final = 2
FRAME_BYTES: Final = 8  # float32 stereo
DISK_BUDGET_BYTES: Final = 192 * 2**20  # of about 300 presets
_QUALITY: Final = "draft"
_SEED: Final = 3
_NOTE_S: Final = 1.15  # the rest is for the release
_SOUNDING: Final = (
    *("technique", "lane_defaults", "gestures", "timbre", "pitch_drift", "attack_s", "release_s", "level_db"),
    "adapters",
)
# Silence before the first sample above this is cut off: who chooses a preset waits for a sound, not for a clock.
AUDIBLE: Final = 10.0 ** (-60.0 / 20.0)
_LEAD_SAMPLES: Final = 48
_END_FADE_SAMPLES: Final = 1_200
# Strangers' recordings may be of any level.
_LOUDEST_PEAK: Final = 0.9
_LOUDEST_RMS: Final = 10.0 ** (-16.0 / 20.0)


def preview_path(folder: Path, preset: Preset, weights_hash: str) -> Path:
    """Where the preview of a preset lies, sung with these weights; what does not sound in a preset does not count."""
    document = preset_to_document(preset)
    sounding = json.dumps({key: document.get(key) for key in _SOUNDING}, sort_keys=True)
    return folder / f"{content_key('preview', weights_hash, _QUALITY, sounding).hex()}{PREVIEW_SUFFIX}"


def recording_path(folder: Path, recording: Path) -> Path:
    """Where a pack's own preview lies, read and levelled. A pack's folder is never written to again."""
    return folder / f"{content_key('recorded preview', str(recording)).hex()}{PREVIEW_SUFFIX}"


def sing_preview(engine: EngineLike, cache: CellCache, preset: Preset, should_stop: ShouldStop) -> Float32Array:
    """A note at the preset's own pitch -> mono [n_samples], at most 1.6 s. Raises Cancelled, UserError."""
    note = preset.lane_defaults.get("pitch", lane("pitch").default)
    voice = Voice("Preview", preset.id, _SEED, (Note(0.0, _NOTE_S, note),))
    passage = Passage(PREVIEW_CELLS * CELL_S, voices=(voice,))
    cells = VoiceCells(
        engine,
        cache,
        VoiceControls(passage, voice, preset),
        seed=_SEED,
        quality=_QUALITY,
        n_cells=PREVIEW_CELLS,
        tally=Tally(),
    )
    sung = np.concatenate([cells.audio(cell, should_stop) for cell in range(PREVIEW_CELLS)])
    return _from_first_sound(sung * np.float32(10.0 ** (preset.level_db / 20.0)))


def read_preview(recording: Path) -> Float32Array:
    """A pack's own preview -> mono [n_samples], at most 1.6 s, neither louder than a preset. Raises UserError."""
    audio = _from_first_sound(read_audio(recording))[: round(PREVIEW_CELLS * CELL_S * SAMPLE_RATE_HZ)]
    peak, rms = float(np.abs(audio).max()), float(np.sqrt(np.mean(np.square(audio))))
    gain = min(1.0, _LOUDEST_PEAK / max(peak, 1e-9), _LOUDEST_RMS / max(rms, 1e-9))
    return audio * np.float32(gain)


def keep_preview(path: Path, audio: Float32Array, *, budget_bytes: int = DISK_BUDGET_BYTES) -> None:
    """Write mono [n_samples] to `path`, whole or not at all, and let go of the oldest beyond the budget.

    Raises UserError where the folder cannot be written to.
    """
    stereo = np.repeat(_faded(audio).astype("<f4")[:, None], 2, axis=1)
    temporary = path.with_name(f"{uuid.uuid4().hex}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_bytes(stereo.tobytes())
        temporary.replace(path)
    except OSError as fault:
        with suppress(OSError):
            temporary.unlink()
        remedy = "Free some space there; presets are heard a little later until then."
        raise UserError(
            f"Previews cannot be kept in {path.parent}: {fault.strerror or fault}.", remedy=remedy
        ) from fault
    _evict(path.parent, budget_bytes)


def preview_frames(path: Path) -> int:
    """How long a kept preview is; 0 where there is none. It counts as used from now on."""
    try:
        n_frames = path.stat().st_size // FRAME_BYTES
        os.utime(path)
    except OSError:
        return 0
    return n_frames


def _from_first_sound(audio: Float32Array) -> Float32Array:
    """Without the silence before it. Raises UserError where there is no sound at all."""
    loud = np.flatnonzero(np.abs(audio) > AUDIBLE)
    if not len(loud):
        raise UserError("The preset makes no sound.", remedy="Look at its loudness and level.")
    return audio[max(int(loud[0]) - _LEAD_SAMPLES, 0) :]


def _faded(audio: Float32Array) -> Float32Array:
    n_faded = min(_END_FADE_SAMPLES, len(audio))
    kept = audio.astype(np.float32)
    kept[len(kept) - n_faded :] *= np.linspace(1.0, 0.0, n_faded, dtype=np.float32)
    return kept


def _evict(folder: Path, budget_bytes: int) -> None:
    entries: list[tuple[float, int, Path]] = []
    for path in folder.iterdir():
        with suppress(OSError):
            state = path.stat()
            entries.append((state.st_mtime, state.st_size, path))
    used_bytes = sum(size for _, size, _ in entries)
    for _, size, path in sorted(entries):
        if used_bytes <= budget_bytes:
            return
        with suppress(OSError):
            path.unlink()
        used_bytes -= size
        _log.info("preview %s forgotten: there are newer ones", path.name)
