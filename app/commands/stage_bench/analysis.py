"""What is read off a recording of live playing. Pure: arrays in, figures out; positions are samples at 48 kHz."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np

from synth.spec.audio import SAMPLE_RATE_HZ
from synth.spec.controls import Float32Array

_ONSET_DB: Final = -60.0  # re the note's peak: where it begins to be heard
_CENTS: Final = 20.0
_TENTH: Final = SAMPLE_RATE_HZ // 10
_MS: Final = 1000.0 / SAMPLE_RATE_HZ


def onset_after(audio: Float32Array, event: int, end: int) -> int | None:
    """Samples from `event` to the first sample above -60 dB of the peak before `end`; None where nothing sounds."""
    note = np.abs(audio[event:end])
    peak = float(note.max(initial=0.0))
    if peak <= 1e-5:
        return None
    return int(np.argmax(note > peak * 10.0 ** (_ONSET_DB / 20.0)))


def spread_ms(latencies: Sequence[int]) -> dict[str, float]:
    """Percentiles of latencies in samples, in milliseconds."""
    if not latencies:
        return {"n": 0}
    values = _MS * np.asarray(latencies, dtype=np.float64)
    found = {f"p{p}_ms": float(np.percentile(values, p)) for p in (1, 50, 95, 99)}
    return {
        "n": len(values),
        **found,
        "p99_minus_p1_ms": found["p99_ms"] - found["p1_ms"],
        "max_ms": float(values.max()),
    }


def sounds_throughout(audio: Float32Array) -> bool:
    """Whether no tenth of a second is 60 dB below the loudest one."""
    n_whole = len(audio) // _TENTH * _TENTH
    levels = np.sqrt(np.mean(audio[:n_whole].reshape(-1, _TENTH) ** 2, axis=1))
    return bool(len(levels)) and float(levels.min()) > 1e-3 * float(levels.max())


def loudest_difference(first: Float32Array, second: Float32Array, start: int, end: int) -> float:
    """How far two recordings are apart at the most between two samples."""
    return float(np.abs(first[start:end] - second[start:end]).max(initial=0.0))


def difference_after(plain: Float32Array, moved: Float32Array, event: int, floor: float) -> int | None:
    """Samples from `event` to where twins part: the first |moved - plain| above `floor`; None where they do not."""
    apart = np.abs(moved[event:] - plain[event : event + len(moved) - event])
    over = apart > floor
    return int(np.argmax(over)) if over.any() else None


def bend_after(plain: Float32Array, bent: Float32Array, event: int, f0_hz: float) -> int | None:
    """Samples from `event` to the end of the first pulse interval of `bent` that is off by more than 20 cents.

    plain, bent   twins of equal seed, aligned; pulses are found as the strongest sample of each period of `plain`, and
                  how far `bent` has moved there by the lag at which the two agree best
    """
    period = SAMPLE_RATE_HZ / f0_hz
    off = period * (2.0 ** (_CENTS / 1200.0) - 1.0)
    half, reach = round(period / 4), round(period / 4)
    start = event - round(period)
    moved_before = 0.0
    while start + 2 * round(period) + reach < min(len(plain), len(bent)):
        pulse = start + int(np.argmax(np.abs(plain[start : start + round(period)])))
        if pulse - half - reach < 0:
            start += round(period)
            continue
        shape = plain[pulse - half : pulse + half]
        found = bent[pulse - half - reach : pulse + half + reach]
        lag = int(np.argmax(np.correlate(found, shape, mode="valid"))) - reach
        if pulse + lag > event and abs(lag - moved_before) > off:
            return pulse + lag - event
        moved_before = float(lag) if pulse <= event else moved_before
        start = pulse + round(period / 2)
    return None


def seam_test(
    audio: Float32Array, seams: np.ndarray, *, reach: int = 0, n_permutations: int = 2000, seed: int = 0
) -> dict[str, float]:
    """Are sample steps and the flux of short spectra at `seams` larger than elsewhere? -> figures and p-values.

    The reference are as many positions at random; p is the share of draws with a mean at least as large.
    reach   samples by which seams may be off: the largest value within them counts, at seams and elsewhere
    """
    rng = np.random.default_rng(seed)
    inside = seams[(seams > 256) & (seams < len(audio) - 256)]
    if len(inside) < 8:
        return {"n_seams": len(inside)}
    figures: dict[str, float] = {"n_seams": len(inside)}
    bend = np.abs(np.diff(audio, n=2, prepend=audio[:1], append=audio[-1:]))
    for name, exact in (("step", bend), ("flux", _flux(audio))):
        values = np.lib.stride_tricks.sliding_window_view(np.pad(exact, reach), 2 * reach + 1).max(axis=1)
        at_seams = float(values[inside].mean())
        drawn = rng.integers(256, len(audio) - 256, size=(n_permutations, len(inside)))
        means = values[drawn].mean(axis=1)
        figures[f"{name}_at_seams"], figures[f"{name}_elsewhere"] = at_seams, float(means.mean())
        figures[f"{name}_p"] = float((means >= at_seams).mean())
    return figures


def _flux(audio: Float32Array, n_fft: int = 128) -> Float32Array:
    """How much the spectrum after every 16th sample differs from that before it, held between -> [n]."""
    window = np.hanning(n_fft)
    places = np.arange(n_fft, len(audio) - n_fft, 16)
    index = places[:, None] + np.arange(n_fft)
    after = np.abs(np.fft.rfft(audio[index] * window))
    before = np.abs(np.fft.rfft(audio[index - n_fft] * window))
    flux = np.zeros(len(audio), dtype=np.float32)
    values = np.maximum(after - before, 0.0).sum(axis=1)
    flux[n_fft : n_fft + 16 * len(places)] = np.repeat(values, 16)[: len(flux) - n_fft]
    return flux


def seam_verdict(tests: Sequence[Mapping[str, float]], level: float = 0.05) -> dict[str, float | bool]:
    """Whether seams are told from other places by any of the tests, each at its share of `level` (Bonferroni)."""
    values = [test[name] for test in tests for name in ("step_p", "flux_p") if name in test]
    least = min(values, default=float("nan"))
    at_least = level / max(len(values), 1)
    return {"figure": least, "at_least": at_least, "met": bool(values) and least >= at_least}


def verdict(figures: Mapping[str, float], name: str, at_most: float) -> dict[str, float | bool]:
    """A figure beside what is asked of it."""
    value = float(figures.get(name, float("nan")))
    return {"figure": value, "at_most": at_most, "met": value <= at_most}
