"""The audio of a passage on disk while it is being made: raw float32 files that others map and play.

Written by one process, cell by cell, in any order; unwritten stretches are holes in the file and read as zeros.
Writing goes through write(), not through a memory map: on a full disk a map kills the process, write() says so.
"""

from __future__ import annotations

import errno
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from app.render.grid import CELL_SAMPLES, n_cells_of, sample_range
from synth.errors import UserError
from synth.spec import Float32Array

_BYTES = 4  # per float32 sample
_MIX_CHANNELS = 2
# Beyond this a clip is edited in place: copying it for every edit would take longer than the edit's own cells.
_COPY_LIMIT_BYTES = 256 * 2**20


class Clip:
    """One passage's mix [n_samples, 2] and its voices' stems [n_samples], with the content key of every cell.

    A key of None means that the cell's samples are not what any known request asks for (zeros, at first).
    """

    def __init__(self, folder: Path, n_samples: int, n_stems: int) -> None:
        """Make an empty clip in a new folder inside `folder`. Raises UserError when the disk does not let it."""
        if n_samples <= 0:
            raise ValueError("a clip needs at least one sample")
        self.n_samples = n_samples
        self.n_cells = n_cells_of(n_samples)
        self.mix_keys: list[bytes | None] = [None] * self.n_cells
        self.stem_keys: list[list[bytes | None]] = [[None] * self.n_cells for _ in range(n_stems)]
        self.peaks = np.zeros(self.n_cells, dtype=np.float32)  # absolute, of the mix
        try:
            self.folder = Path(tempfile.mkdtemp(prefix="clip-", dir=folder))
        except OSError as fault:
            raise _disk_error(folder, fault) from fault
        self.mix_path = self.folder / "mix.f32"
        paths = [self.mix_path, *(self.stem_path(index) for index in range(n_stems))]
        try:
            for channels, path in zip([_MIX_CHANNELS, *[1] * n_stems], paths):
                with path.open("wb") as file:
                    file.truncate(n_samples * channels * _BYTES)
        except OSError as fault:
            self.delete()
            raise _disk_error(self.folder, fault) from fault

    @property
    def n_stems(self) -> int:
        return len(self.stem_keys)

    def stem_path(self, index: int) -> Path:
        """Raw float32 mono file of voice `index`."""
        return self.folder / f"stem-{index}.f32"

    def follow_up(self, n_samples: int, n_stems: int) -> Clip:
        """A clip of another shape that starts with this one's audio and keys, as far as they reach.

        The same clip again when it is long and keeps its shape: then it is edited in place.
        """
        same_shape = (n_samples, n_stems) == (self.n_samples, self.n_stems)
        if same_shape and n_samples * (_MIX_CHANNELS + n_stems) * _BYTES > _COPY_LIMIT_BYTES:
            return self
        clip = Clip(self.folder.parent, n_samples, n_stems)
        n_shared = min(n_stems, self.n_stems)
        # A cell that either passage cuts short holds different samples in the two.
        n_cells = min(n_samples, self.n_samples) // CELL_SAMPLES if n_samples != self.n_samples else self.n_cells
        sources = [self.mix_path, *(self.stem_path(index) for index in range(n_shared))]
        targets = [clip.mix_path, *(clip.stem_path(index) for index in range(n_shared))]
        try:
            for channels, source, target in zip([_MIX_CHANNELS, *[1] * n_shared], sources, targets):
                shutil.copyfile(source, target)
                with target.open("r+b") as file:
                    file.truncate(n_samples * channels * _BYTES)
        except OSError as fault:
            clip.delete()
            raise _disk_error(clip.folder, fault) from fault
        clip.mix_keys[:n_cells] = self.mix_keys[:n_cells]
        clip.peaks[:n_cells] = self.peaks[:n_cells]
        for new, old in zip(clip.stem_keys, self.stem_keys):
            new[:n_cells] = old[:n_cells]
        return clip

    def write_mix(self, cell: int, mix: Float32Array, key: bytes) -> None:
        """Put the cell's stereo samples [n, 2] in place; n is what of the cell lies in the passage."""
        self.peaks[cell] = float(np.max(np.abs(mix), initial=0.0))
        self.mix_keys[cell] = None  # while writing, and should writing fail
        self._write(self.mix_path, cell, mix, _MIX_CHANNELS)
        self.mix_keys[cell] = key

    def write_stem(self, voice: int, cell: int, samples: Float32Array, key: bytes) -> None:
        """Put one voice's samples [n] of the cell in place."""
        self.stem_keys[voice][cell] = None
        self._write(self.stem_path(voice), cell, samples, 1)
        self.stem_keys[voice][cell] = key

    def _write(self, path: Path, cell: int, samples: Float32Array, channels: int) -> None:
        start, end = sample_range(cell, self.n_samples)
        if samples.shape[0] != end - start:
            raise ValueError(f"cell {cell} holds {end - start} samples, not {samples.shape[0]}")
        try:
            # No handle outlives a call: a clip that nobody looks after any more holds nothing open.
            with path.open("r+b") as file:
                file.seek(start * channels * _BYTES)
                file.write(np.ascontiguousarray(samples, dtype=np.float32).tobytes())
        except OSError as fault:
            raise _disk_error(self.folder, fault) from fault

    def read_mix(self, start: int, end: int) -> Float32Array:
        """Samples [start, end) of the mix -> [n, 2]."""
        return self._read(self.mix_path, start, end, _MIX_CHANNELS).reshape(-1, _MIX_CHANNELS)

    def read_stem(self, voice: int, start: int, end: int) -> Float32Array:
        """Samples [start, end) of one voice, before gain and pan -> [n]."""
        return self._read(self.stem_path(voice), start, end, 1)

    def _read(self, path: Path, start: int, end: int, channels: int) -> Float32Array:
        start, end = max(start, 0), min(end, self.n_samples)
        n_values = max(end - start, 0) * channels
        try:
            values = np.fromfile(path, dtype=np.float32, count=n_values, offset=start * channels * _BYTES)
        except OSError as fault:
            raise _disk_error(self.folder, fault) from fault
        if len(values) < n_values:
            raise UserError(f"A temporary audio file in {self.folder} was cut short.", remedy="Render again.")
        return values

    def peak_db(self) -> float:
        """Highest absolute sample of the mix, dB re full scale; -inf is shown as -200."""
        return 20.0 * float(np.log10(max(float(self.peaks.max(initial=0.0)), 1e-10)))

    def delete(self) -> None:
        """Remove the files. Who has them mapped keeps them until letting go."""
        shutil.rmtree(self.folder, ignore_errors=True)


def pan_gains(gain_db: float, pan: float) -> tuple[float, float]:
    """Factors for (left, right) of a voice: constant power, and unity in the middle.

    Unity there keeps the loudness that was asked for in a lane: a centred voice sounds in both channels as it is.
    """
    gain = 10.0 ** (gain_db / 20.0) * np.sqrt(2.0)
    angle = (pan + 1.0) * np.pi / 4.0
    return float(gain * np.cos(angle)), float(gain * np.sin(angle))


def mix_voices(stems: Sequence[Float32Array], gains: Sequence[tuple[float, float]]) -> Float32Array:
    """Sum of mono stems [n] each at its (left, right) gain -> [n, 2]. The order of voices is the order of adding."""
    mix = np.zeros((len(stems[0]), _MIX_CHANNELS), dtype=np.float32)
    for stem, (left, right) in zip(stems, gains):
        mix[:, 0] += stem * np.float32(left)
        mix[:, 1] += stem * np.float32(right)
    return mix


def _disk_error(folder: Path, fault: OSError) -> UserError:
    if fault.errno == errno.ENOSPC:
        return UserError(f"The disk that holds {folder} is full.", remedy="Free some space, or set TMPDIR elsewhere.")
    return UserError(
        f"Temporary audio cannot be written in {folder}: {fault.strerror or fault}.",
        remedy="Make that folder writable, or set TMPDIR to another.",
    )
