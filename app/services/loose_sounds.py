"""Sounds that are in no file and no passage, heard once: written where the sound server can map them."""

from __future__ import annotations

import contextlib
import tempfile
from pathlib import Path

import numpy as np

from app.services.previews import PreviewSound
from synth.errors import UserError
from synth.spec import Float32Array

_KEPT = 3  # the one that sounds, the one it replaced, and one to be safe


class LooseSounds:
    """One at a time; `folder` is deleted by whoever made it."""

    def __init__(self, folder: Path, sound: PreviewSound) -> None:
        self._folder, self._sound = folder, sound
        self._n = 0

    def play(self, samples: Float32Array) -> None:
        """Mono [n] at 48 kHz, in place of the one before. Raises UserError where it cannot be written."""
        path = self._path(self._n)
        try:
            np.repeat(samples[:, None], 2, axis=1).astype("<f4").tofile(path)
        except OSError as fault:
            raise UserError(f"It cannot be played: {fault.strerror or fault}.", remedy="Free some space.") from fault
        self._sound.preview(path, len(samples))
        with contextlib.suppress(OSError):
            self._path(self._n - _KEPT).unlink(missing_ok=True)
        self._n += 1

    def _path(self, index: int) -> Path:
        return self._folder / f"sound-{index}.f32"


def temporary_folder(parent: Path) -> Path:
    """A new folder for audio that is deleted with the instrument. Raises UserError."""
    try:
        return Path(tempfile.mkdtemp(prefix="stridor-", dir=parent))
    except OSError as fault:
        raise UserError(
            f"Temporary audio cannot be kept in {parent}: {fault.strerror or fault}.",
            remedy="Free some space there, or set TMPDIR to another folder.",
        ) from fault
