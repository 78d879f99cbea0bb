"""The rendered clip as the sound server reads it: a mapped file whose pages are fetched before they are played."""

from __future__ import annotations

import mmap
import threading
from io import FileIO
from pathlib import Path
from typing import Final

import numpy as np

from app.audio.mixer import Mixer
from synth.errors import UserError
from synth.spec.audio import SAMPLE_RATE_HZ
from synth.spec.controls import Float32Array

_FRAME_BYTES: Final = 8  # float32 stereo
_AHEAD_FRAMES: Final = 2 * SAMPLE_RATE_HZ
_STEP_S: Final = 0.25


def map_clip(path: Path, n_frames: int) -> Float32Array:
    """Raw little-endian float32 stereo -> read-only [n_frames, 2]; what others write to the file shows up in it.

    Raises UserError when the file is absent or shorter than that.
    """
    try:
        with path.open("rb") as file:
            n_bytes = file.seek(0, 2)
            if n_frames <= 0 or n_bytes < n_frames * _FRAME_BYTES:
                raise UserError(
                    f"The audio in {path} ends after {n_bytes // _FRAME_BYTES} of {n_frames} samples.",
                    remedy="Render the passage again.",
                )
            mapped = mmap.mmap(file.fileno(), n_frames * _FRAME_BYTES, access=mmap.ACCESS_READ)
    except OSError as fault:
        raise UserError(
            f"The rendered audio cannot be read: {fault.strerror} ({path}).", remedy="Render the passage again."
        ) from fault
    return np.frombuffer(mapped, dtype="<f4").reshape(n_frames, 2)


class ReadAhead:
    """Keeps the pages that are played next in memory, on a thread of its own.

    It reads the file instead of touching the map: reading lets go of the GIL, a page fault would hold it.
    """

    def __init__(self, mixer: Mixer) -> None:
        self._mixer = mixer
        self._path: Path | None = None
        self._wake = threading.Event()
        self._is_closing = False
        self._bytes = bytearray(256 * 1024)
        self._thread = threading.Thread(target=self._run, name="read-ahead", daemon=True)
        self._thread.start()

    def follow(self, path: Path | None) -> None:
        """This is the clip from now on."""
        self._path = path
        self._wake.set()

    def close(self) -> None:
        """End the thread."""
        self._is_closing = True
        self._wake.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._is_closing:
            path = self._path
            if path is None:
                self._wake.wait()
            else:
                try:
                    self._read_ahead(path)
                except OSError:  # deleted: its pages stay until the map goes
                    self._path = None if self._path is path else self._path
                self._wake.wait(_STEP_S)
            self._wake.clear()

    def _read_ahead(self, path: Path) -> None:
        playhead, loop_start, loop_end = self._mixer.upcoming
        with path.open("rb", buffering=0) as file:
            self._fetch(file, playhead)
            if loop_end > playhead > loop_end - 2 * _AHEAD_FRAMES:
                self._fetch(file, loop_start)

    def _fetch(self, file: FileIO, start_frame: int) -> None:
        file.seek(start_frame * _FRAME_BYTES)
        left = _AHEAD_FRAMES * _FRAME_BYTES
        while left > 0:
            n_read = file.readinto(self._bytes)
            if not n_read:
                return
            left -= n_read
