"""Audio files: written atomically and in pieces, read as what the ears take.

The kind of file follows from its name: .wav is 32-bit float (or 24-bit PCM on request), .flac is 24-bit.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Final

import numpy as np
import soundfile
import soxr

from synth.errors import UserError
from synth.spec import SAMPLE_RATE_HZ, Float32Array

FLOAT = "FLOAT"
PCM_24 = "PCM_24"
_SUBTYPES: Final = {".wav": (FLOAT, PCM_24), ".flac": (PCM_24,)}
_FORMATS: Final = {".wav": "WAV", ".flac": "FLAC"}
_SAMPLE_BYTES: Final = {FLOAT: 4, PCM_24: 3}
# RIFF counts bytes in 32 bits; RF64 is the same file with 64-bit sizes. A margin for headers is left.
_RIFF_LIMIT_BYTES = 2**32 - 2**16
_PCM_24_PEAK = 1.0 - 2.0**-23

MAX_READ_S = 2 * 3600.0
_READ_BLOCK_FRAMES = 1 << 18


def subtype_for(path: Path, subtype: str | None = None) -> str:
    """FLOAT or PCM_24 for a file of that name. Raises UserError for a name or combination that is not ours."""
    allowed = _SUBTYPES.get(path.suffix.lower())
    if allowed is None:
        raise UserError(f"{path} is neither a .wav nor a .flac.", remedy="Give the file one of these endings.")
    if subtype is None:
        return allowed[0]
    if subtype not in allowed:
        raise UserError(f"A {path.suffix} cannot hold {subtype}.", remedy=f"Use {' or '.join(allowed)}.")
    return subtype


def check_target(path: Path, subtype: str | None = None) -> None:
    """Raise UserError if `path` cannot become an audio file; before an hour of rendering rather than after."""
    subtype_for(path, subtype)
    if path.is_dir():
        raise UserError(f"{path} is a folder.", remedy="Name a file in it.")
    if not path.parent.is_dir():
        raise UserError(f"The folder {path.parent} does not exist.", remedy="Create it, or choose another.")
    try:
        handle, probe = tempfile.mkstemp(dir=path.parent, prefix=".stridor-", suffix=".tmp")
    except OSError as fault:
        raise _write_error(path, fault) from fault
    os.close(handle)
    Path(probe).unlink(missing_ok=True)


def attenuation_db_for(peak: float, subtype: str) -> float:
    """By how much sound with this absolute peak must be turned down to fit the file, dB >= 0. Float keeps its peaks."""
    if subtype == FLOAT or peak <= _PCM_24_PEAK:
        return 0.0
    return 20.0 * float(np.log10(peak / _PCM_24_PEAK))


class AudioFileWriter:
    """One audio file being written. Nothing is seen under its name until `commit`."""

    def __init__(
        self, path: Path, *, n_channels: int, n_samples: int, subtype: str | None = None, attenuation_db: float = 0.0
    ) -> None:
        """n_samples is what will be written (it decides between WAV and RF64). Raises UserError."""
        self.path = path
        self._gain = np.float32(10.0 ** (-attenuation_db / 20.0))
        kind = subtype_for(path, subtype)
        container = _FORMATS[path.suffix.lower()]
        if container == "WAV" and n_samples * n_channels * _SAMPLE_BYTES[kind] > _RIFF_LIMIT_BYTES:
            container = "RF64"
        try:
            handle, name = tempfile.mkstemp(dir=path.parent, prefix=".stridor-", suffix=".tmp")
            os.close(handle)
            self._temporary = Path(name)
        except OSError as fault:
            raise _write_error(path, fault) from fault
        try:
            self._file = soundfile.SoundFile(name, "w", SAMPLE_RATE_HZ, n_channels, kind, format=container)
        except (OSError, soundfile.SoundFileError) as fault:
            self._temporary.unlink(missing_ok=True)
            raise _write_error(path, fault) from fault

    def write(self, samples: Float32Array) -> None:
        """Append [n, n_channels]. Raises UserError, after which nothing is left of the file."""
        try:
            self._file.write(samples if self._gain == 1.0 else samples * self._gain)
        # soundfile asserts that everything was written, and does not say why it was not.
        except (OSError, soundfile.SoundFileError, AssertionError) as fault:
            self.discard()
            raise _write_error(self.path, fault) from fault

    def commit(self) -> None:
        """Complete the file and give it its name, replacing what stood there."""
        try:
            self._file.close()
            with self._temporary.open("rb+") as file:
                os.fsync(file.fileno())
            _give_usual_mode(self._temporary)
            self._temporary.replace(self.path)
        except (OSError, soundfile.SoundFileError) as fault:
            self.discard()
            raise _write_error(self.path, fault) from fault

    def discard(self) -> None:
        """Leave nothing behind. Harmless after `commit`."""
        with suppress(OSError, soundfile.SoundFileError):
            self._file.close()
        self._temporary.unlink(missing_ok=True)


def _give_usual_mode(path: Path) -> None:
    """mkstemp makes private files; an export should be as readable as anything else the user saves."""
    mask = os.umask(0)
    os.umask(mask)
    path.chmod(0o666 & ~mask)


def _write_error(path: Path, fault: BaseException) -> UserError:
    with suppress(OSError):
        if shutil.disk_usage(path.parent).free < 2**20:
            return UserError(
                f"{path} cannot be written: the disk is full.", remedy="Free some space or choose another."
            )
    reason = fault.strerror if isinstance(fault, OSError) and fault.strerror else str(fault) or "writing stopped short"
    return UserError(f"{path} cannot be written: {reason}.", remedy="Choose a folder you may write to.")


def read_audio(path: Path) -> Float32Array:
    """Any file libsndfile knows -> float32 mono [n_samples], 48 kHz (channels averaged, soxr HQ). Raises UserError."""
    if not path.is_file():
        raise UserError(f"There is no file {path}.", remedy="Check the name.")
    remedy = "Open it in an audio editor and save it as WAV."
    try:
        with soundfile.SoundFile(path) as file:
            _check_readable(path, file)
            pieces = _read_resampled(file)
    except (OSError, soundfile.SoundFileError) as fault:
        reason = str(fault).rstrip(".")
        raise UserError(f"{path} cannot be read as audio ({reason}).", remedy=remedy) from fault
    audio = np.concatenate(pieces) if pieces else np.zeros(0, dtype=np.float32)
    if len(audio) == 0:
        raise UserError(f"{path} holds no sound at all.", remedy="Choose another recording.")
    if not np.isfinite(audio).all():
        raise UserError(f"{path} holds samples that are not numbers.", remedy=remedy)
    return audio


def _check_readable(path: Path, file: soundfile.SoundFile) -> None:
    if file.samplerate <= 0 or file.channels <= 0:
        raise UserError(f"{path} is not an audio file that can be used.", remedy="Save it as WAV at 48 kHz.")
    if file.frames <= 0:
        raise UserError(f"{path} holds no sound at all.", remedy="Choose another recording.")
    duration_s = file.frames / file.samplerate
    if duration_s > MAX_READ_S:
        raise UserError(
            f"{path} lasts {duration_s / 3600:.1f} h; up to {MAX_READ_S / 3600:.0f} h can be taken in.",
            remedy="Cut out the part that matters.",
        )


def _read_resampled(file: soundfile.SoundFile) -> list[Float32Array]:
    stream = soxr.ResampleStream(file.samplerate, SAMPLE_RATE_HZ, 1, dtype="float32", quality="HQ")
    same_rate = file.samplerate == SAMPLE_RATE_HZ
    pieces: list[Float32Array] = []
    while True:
        block = file.read(_READ_BLOCK_FRAMES, dtype="float32", always_2d=True)
        last = len(block) < _READ_BLOCK_FRAMES
        mono = block.mean(axis=1, dtype=np.float32)
        pieces.append(mono if same_rate else stream.resample_chunk(mono, last=last))
        if last:
            return pieces
