"""How far a render is from a recording: spectra and roughness frame by frame, distributions of what else the ears hear.

Roughness is compared in time. Growl comes and goes within a word, so a distribution of its depth is nearly blind to
what a sampler is for: saying when. It is compared in the lane's unit, whose anchors are what a listener tells apart:
in raw depth a slip within the strongest rasp outweighs rasp laid over a clear tone. Where only one of two sounds is
rough they differ, so every frame in which the recording sings counts. How far apart the distributions of depth lie is
measured as well, as information: noise in time that averages out, or too much of everything, shows there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from itertools import combinations, pairwise

import numpy as np
from numpy.typing import NDArray

from synth.dsp.framing import centred_windows
from synth.dsp.mel import mel_filterbank
from synth.evaluate.statistics import distribution_distance
from synth.features.analysis import Analysis, analyse
from synth.spec.audio import FRAME_RATE_HZ, SAMPLE_RATE_HZ, n_frames_for
from synth.spec.controls import Float32Array

Float64Array = NDArray[np.float64]

_N_FFT = 2_048
_N_MELS = 80
_LOW_HZ, _HIGH_HZ = 40.0, 16_000.0
_FLOOR = 1e-8  # white noise at -80 dB re full scale: about the noise of the recordings themselves
_STFT_SIZES = (512, 1_024, 2_048)
_MODULATION_EDGES_HZ = (1.0, 4.0, 12.0, 48.0)
_N_CEPSTRA = 13
_SUNG = 0.5

# Real-voice measures: smaller is closer to the recording.
PAIRED = ("log_mel_db", "mr_stft")
DISTRIBUTIONS = ("hnr_db", "centroid_hz", "alpha_ratio_db", "spectral_flux")
MEASURES = (*PAIRED, "roughness", *DISTRIBUTIONS, "modulation_db")
INFORMATIVE = ("roughness_depth",)  # distances beside the measures that nothing is decided by


@dataclass(frozen=True, slots=True)
class Sound:
    """Audio [n] with all that is measured on it; `presence` of another sound may decide which frames count.

    log_mel_db [n_frames, 80]; analysis of the same frames
    """

    audio: Float32Array
    log_mel_db: Float64Array
    analysis: Analysis

    @classmethod
    def of(cls, audio: Float32Array) -> Sound:
        """Measure mono audio at 48 kHz."""
        return cls(audio, log_mel(audio), analyse(audio))


@cache
def _bank() -> Float32Array:
    return mel_filterbank(_N_MELS, _N_FFT, SAMPLE_RATE_HZ, _LOW_HZ, _HIGH_HZ)


def log_mel(audio: Float32Array) -> Float64Array:
    """Mel power in dB, floored -> [n_frames, 80]."""
    window = np.hanning(_N_FFT).astype(np.float32)
    frames = centred_windows(audio, n_frames_for(len(audio)), SAMPLE_RATE_HZ, _N_FFT)
    power = np.abs(np.fft.rfft(frames * window)) ** 2 / np.sum(window**2)
    return 10.0 * np.log10(np.maximum(power @ _bank(), _FLOOR))


def log_mel_distance(a: Float64Array, b: Float64Array, counts: NDArray[np.bool_]) -> float:
    """RMS over bands, averaged over the frames that count: [n_frames, bands] twice -> dB."""
    n = min(len(a), len(b), len(counts))
    difference = (a[:n] - b[:n])[counts[:n]]
    return float(np.mean(np.sqrt(np.mean(difference**2, axis=1)))) if len(difference) else float("nan")


def mr_stft_distance(made: Float32Array, real: Float32Array) -> float:
    """Spectral convergence + mean |log magnitude ratio|, averaged over three resolutions (Yamamoto et al. 2020)."""
    n = min(len(made), len(real))
    total = 0.0
    for size in _STFT_SIZES:
        a, b = (_magnitudes(side[:n], size) for side in (made, real))
        convergence = np.linalg.norm(b - a) / max(float(np.linalg.norm(b)), 1e-9)
        floor = 1e-4 * size**0.5
        logarithmic = np.mean(np.abs(np.log(np.maximum(a, floor)) - np.log(np.maximum(b, floor))))
        total += float(convergence + logarithmic)
    return total / len(_STFT_SIZES)


def _magnitudes(audio: Float32Array, size: int) -> Float64Array:
    padded = np.pad(audio.astype(np.float64), size // 2)
    frames = np.lib.stride_tricks.sliding_window_view(padded, size)[:: size // 4]
    return np.abs(np.fft.rfft(frames * np.hanning(size)))


def voice_distances(made: Sound, real: Sound) -> dict[str, float]:
    """MEASURES and INFORMATIVE of `made` against `real`, over the frames where the recording sings.

    NaN where not defined.
    """
    sung = real.analysis.lanes["presence"] > _SUNG
    n = min(made.analysis.n_frames, real.analysis.n_frames)
    where = sung[:n]
    distances = {
        "log_mel_db": log_mel_distance(made.log_mel_db, real.log_mel_db, sung),
        "mr_stft": mr_stft_distance(made.audio, real.audio),
        "roughness": lane_score([made], real, "roughness"),
        "modulation_db": modulation_distance(made.log_mel_db[:n], real.log_mel_db[:n], where),
        "spectral_flux": distribution_distance(flux(made.log_mel_db[:n])[where], flux(real.log_mel_db[:n])[where]),
    }
    for name in (*DISTRIBUTIONS, *INFORMATIVE):
        if name not in distances:
            sides = (side.analysis.physical[name][:n][where] for side in (made, real))
            distances[name] = distribution_distance(*sides)
    return distances


def lane_score(takes: Sequence[Sound], real: Sound, lane_id: str) -> float:
    """Continuous ranked probability score of a measured lane, mean over the frames where the recording sings.

    In the lane's unit, 0 is best: the takes' mean error |x - y| less half their mean distance |x - x'| from each other
    (the fair estimate for few members: Ferro 2014, "Fair scores for ensemble forecasts"). Of one take it is the mean
    error. A recording is one draw of what the singer might have done, and so is a take. Against plain error a voice
    that wavers as a throat does loses to its own frozen average even where it wavers rightly; a proper score (Gneiting
    & Raftery 2007, eq. 21) is least, on average, for the takes that come from the recording's own distribution, and
    wavering at the wrong time costs.
    """
    n = min(real.analysis.n_frames, *(take.analysis.n_frames for take in takes))
    sung = real.analysis.lanes["presence"][:n] > _SUNG
    if not sung.any():
        return float("nan")
    wanted = real.analysis.lanes[lane_id][:n][sung]
    heard = np.stack([take.analysis.lanes[lane_id][:n][sung] for take in takes]).astype(np.float64)
    error = float(np.mean(np.abs(heard - wanted)))
    pairs = [float(np.mean(np.abs(a - b))) for a, b in combinations(heard, 2)]
    return error - 0.5 * float(np.mean(pairs)) if pairs else error


def flux(log_mel_db: Float64Array) -> Float64Array:
    """Mean |change| of the bands since the frame before, dB -> [n_frames]."""
    change = np.abs(np.diff(log_mel_db, axis=0, prepend=log_mel_db[:1]))
    return change.mean(axis=1)


def modulation_spectrum(log_mel_db: Float64Array) -> Float64Array:
    """Modulation depth of the bands' levels in 1-4, 4-12 and 12-48 Hz, dB, mean over bands -> [3]."""
    centred = log_mel_db - log_mel_db.mean(axis=0)
    spectrum = np.abs(np.fft.rfft(centred * np.hanning(len(centred))[:, None], axis=0)) ** 2 / max(len(centred), 1)
    rates_hz = np.fft.rfftfreq(len(centred), 1.0 / FRAME_RATE_HZ)
    depths = []
    for low_hz, high_hz in pairwise(_MODULATION_EDGES_HZ):
        inside = spectrum[(rates_hz >= low_hz) & (rates_hz < high_hz)]
        depths.append(10.0 * np.log10(np.mean(inside) + 1e-3) if len(inside) else np.nan)
    return np.array(depths)


def modulation_distance(a: Float64Array, b: Float64Array, where: NDArray[np.bool_]) -> float:
    """Mean |difference| of the modulation spectra over the frames that count, dB; NaN for too little sound."""
    if where.sum() < FRAME_RATE_HZ // 4:
        return float("nan")
    difference = np.abs(modulation_spectrum(a[where]) - modulation_spectrum(b[where]))
    return float(np.nanmean(difference)) if np.isfinite(difference).any() else float("nan")


def aligned_distance(a: Sound, b: Sound) -> float:
    """Distance of two takes that differ in timing: RMS of the bands along the best warping path, dB.

    Level is taken out first (takes differ in distance to the microphone), silence at the ends too.
    """
    import librosa  # its warping is the only thing here that needs it, and it is slow to import

    sides = []
    for sound in (a, b):
        bands = sound.log_mel_db[sound.analysis.lanes["presence"] > _SUNG]
        if len(bands) < 2:
            return float("nan")
        sides.append(bands - bands.mean())
    costs = np.sqrt(np.mean((sides[0][:, None] - sides[1][None]) ** 2, axis=2))
    _, path = librosa.sequence.dtw(C=costs)
    return float(np.mean(costs[path[:, 0], path[:, 1]]))


def take_distances(a: Sound, b: Sound) -> dict[str, float]:
    """Distances of two takes of the same thing that need not agree in time -> name -> distance."""
    distances = {"aligned_log_mel_db": aligned_distance(a, b)}
    frames = [side.analysis.lanes["presence"] > _SUNG for side in (a, b)]
    for name in ("hnr_db", "roughness_depth", "centroid_hz", "alpha_ratio_db"):
        values = [side.analysis.physical[name][sung] for side, sung in zip((a, b), frames)]
        distances[name] = distribution_distance(*values)
    fluxes = [flux(side.log_mel_db)[sung] for side, sung in zip((a, b), frames)]
    return distances | {"spectral_flux": distribution_distance(*fluxes)}
