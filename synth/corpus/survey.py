"""One pass over a recording, ten seconds at a time: levels, clipping, offset, bandwidth, channels.

An hour takes no more memory than a minute. Cutting and checking work from what is gathered here.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import soundfile
from numpy.typing import NDArray

from synth.errors import UserError
from synth.spec import Float32Array

FRAMES_PER_S: Final = 100
BLOCK_S: Final = 10
RATES_HZ: Final = (4_000, 384_000)
_NO_FILE: Final = 7  # SFE_BAD_FILE
_FFT_SAMPLES: Final = 2048
_WITHIN_DB: Final = 80.0  # of the loudest band: what lies lower is nothing a microphone heard
_CLIFF_DB: Final = 35.0  # a fall within 500 Hz that no voice has: somebody's filter
_CLIFF_HALF_HZ: Final = 250.0
_LOWEST_CLIFF_HZ: Final = 3_000.0  # a dark vowel may fall as steeply below; a telephone ends at 3.4 kHz
_FULL_SCALE: Final = 0.9999
_FLAT_RUN_SAMPLES: Final = 3
_STILL_SHARE: Final = 1e-4  # of the peak: samples that differ by less are one height
# Two samples beside a flat top the sound is lower by this share of the peak, and by eight steps of 16 bits. A rounded
# top, which a low note has at a high sampling rate, is lower by less than eight times what counts as still.
_EDGE_SHARE: Final = 1e-3
_EDGE_LEAST: Final = 8.0 / 32_768.0


@dataclass(frozen=True, slots=True)
class Survey:
    """What one pass says of a recording; of several channels it describes the mean.

    level_db       RMS of each 10 ms in dB re full scale, [n_frames], the last frame padded with silence
    clipped_share  of the samples that lie on flat tops or at full scale
    side_db        level of what the channels do not share against what they do; -inf for mono
    """

    sample_rate_hz: int
    n_channels: int
    n_samples: int
    peak: float
    clipped_share: float
    offset: float
    bandwidth_hz: float
    side_db: float
    level_db: Float32Array

    @property
    def duration_s(self) -> float:
        """Of the whole recording."""
        return self.n_samples / self.sample_rate_hz

    def sample_at(self, frame: int) -> int:
        """The first sample of a 10 ms frame, at the recording's own rate."""
        return min(frame * self.sample_rate_hz // FRAMES_PER_S, self.n_samples)


def survey_recording(path: Path) -> Survey:
    """Read `path` once. Raises UserError, in one line, when there is no sound to be had from it."""
    try:
        with path.open("rb") as opened:  # libsndfile does not say why it may not read
            if not opened.read(1):
                raise UserError(f"{path} is empty.", remedy="Leave it out of the folder.")
        with soundfile.SoundFile(path) as file:
            return _survey(path, file)
    except soundfile.LibsndfileError as fault:
        reason = fault.error_string.removeprefix("Error : ").rstrip(".")
        if fault.code == _NO_FILE:  # said of an MP3 that is none, though the file is there
            reason = "Format not recognised"
        raise UserError(f"{path} cannot be read: {reason}.", remedy="Convert it to WAV or FLAC.") from fault
    except OSError as fault:
        raise UserError(f"{path} cannot be read: {fault.strerror}.", remedy="Look at its permissions.") from fault


def frame_level_db(audio: Float32Array, sample_rate_hz: int) -> Float32Array:
    """RMS of each 10 ms of [n_samples] in dB re full scale, the last frame padded with silence. -> [n_frames]"""
    n_frames = -(-len(audio) * FRAMES_PER_S // sample_rate_hz)
    edges = np.arange(n_frames + 1) * sample_rate_hz // FRAMES_PER_S  # rounded up, the last could lie past the end
    sums = np.add.reduceat(audio.astype(np.float64) ** 2, edges[:-1])
    return (10.0 * np.log10(sums / np.diff(edges) + 1e-12)).astype(np.float32)


def band_power(audio: Float32Array) -> NDArray[np.float64]:
    """Power of [n_samples] in 1025 bins, summed over half-overlapping windows. -> [1025]"""
    if len(audio) < _FFT_SAMPLES:
        audio = np.pad(audio, (0, _FFT_SAMPLES - len(audio)))
    windows = np.lib.stride_tricks.sliding_window_view(audio, _FFT_SAMPLES)[:: _FFT_SAMPLES // 2]
    return (np.abs(np.fft.rfft(windows * np.blackman(_FFT_SAMPLES), axis=1)) ** 2).sum(axis=0)


def bandwidth_hz(power: NDArray[np.float64], sample_rate_hz: int) -> float:
    """Where the sound ends: the highest frequency within 80 dB of the loudest one, or the cliff before it.

    A recording that was sampled more slowly once has such a cliff, also where noise was laid over it later.
    """
    if power.max() <= 0.0:
        return 0.0
    bin_hz = sample_rate_hz / _FFT_SAMPLES
    level_db = 10.0 * np.log10(power / power.max() + 1e-30)
    top = int(np.flatnonzero(level_db > -_WITHIN_DB)[-1])
    half = max(int(_CLIFF_HALF_HZ / bin_hz), 1)
    edges = np.arange(max(3 * half, int(_LOWEST_CLIFF_HZ / bin_hz)), len(level_db) - 3 * half)
    below_db = np.median(np.lib.stride_tricks.sliding_window_view(level_db, 2 * half)[edges - 3 * half], axis=1)
    loudest_above_db = np.maximum.accumulate(level_db[::-1])[::-1][edges + half]
    cliffs = edges[below_db - loudest_above_db > _CLIFF_DB]
    return min(int(cliffs[0]) if len(cliffs) else top, top) * bin_hz


@dataclass(slots=True)
class _Sums:
    peak: float = 0.0
    clipped: int = 0
    total: float = 0.0
    mid: float = 0.0
    side: float = 0.0


def _survey(path: Path, file: soundfile.SoundFile) -> Survey:
    rate_hz = file.samplerate
    if not RATES_HZ[0] <= rate_hz <= RATES_HZ[1]:
        raise UserError(f"{path} has {rate_hz} samples a second.", remedy="Resample it to 44.1 or 48 kHz.")
    sums, n_samples = _Sums(), 0
    levels: list[Float32Array] = []
    power = np.zeros(_FFT_SAMPLES // 2 + 1)
    for block in _blocks(path, file):
        mono = block.mean(axis=1, dtype=np.float32)
        n_samples += len(mono)
        levels.append(frame_level_db(mono, rate_hz))
        power += band_power(mono)
        sums.peak = max(sums.peak, float(np.abs(mono).max()))
        sums.clipped += _clipped_samples(block)
        sums.total += float(mono.sum(dtype=np.float64))
        sums.mid += float(np.sum(mono.astype(np.float64) ** 2))
        sums.side += float(np.sum((block - mono[:, None]).astype(np.float64) ** 2)) / block.shape[1]
    if n_samples == 0:
        raise UserError(f"{path} holds no sound.", remedy="Leave it out of the folder.")
    side_db = 10.0 * float(np.log10((sums.side + 1e-12) / (sums.mid + 1e-12))) if file.channels > 1 else -np.inf
    return Survey(
        rate_hz, file.channels, n_samples, sums.peak, sums.clipped / n_samples, sums.total / n_samples,
        bandwidth_hz(power, rate_hz), side_db, np.concatenate(levels),
    )  # fmt: skip


def _blocks(path: Path, file: soundfile.SoundFile) -> Iterator[Float32Array]:
    while len(block := np.asarray(file.read(BLOCK_S * file.samplerate, dtype="float32", always_2d=True), np.float32)):
        if not np.isfinite(block).all():
            raise UserError(f"{path} holds samples that are no numbers.", remedy="Export it again.")
        yield block


def _clipped_samples(block: Float32Array) -> int:
    """Samples at full scale, or within runs of equal samples near the block's peak. `block` is [n, n_channels]."""
    size = np.abs(block).max(axis=1)
    peak = float(size.max())
    if peak < 0.05:
        return 0
    still = (np.abs(np.diff(block, axis=0)).max(axis=1) <= _STILL_SHARE * peak) & (size[1:] >= 0.9 * peak)
    turns = np.flatnonzero(np.diff(still, prepend=False, append=False))
    first, last = turns[::2], turns[1::2]  # samples of each run
    beside = (
        np.abs(block[first] - block[np.maximum(first - 2, 0)]).max(axis=1),
        np.abs(block[last] - block[np.minimum(last + 2, len(block) - 1)]).max(axis=1),
    )
    is_top = np.maximum(*beside) >= max(_EDGE_SHARE * peak, _EDGE_LEAST)
    is_top &= last - first + 1 >= _FLAT_RUN_SAMPLES
    steps = np.zeros(len(block) + 1, dtype=np.int64)
    np.add.at(steps, first[is_top], 1)
    np.add.at(steps, last[is_top] + 1, -1)
    full_scale = (size >= _FULL_SCALE) & (peak <= 1.0 / _FULL_SCALE)  # numbers of floating point go on beyond it
    return int(np.count_nonzero((np.cumsum(steps[:-1]) > 0) | full_scale))
