"""Quality against minutes of training: the same recordings and lanes sung by weights of several ages, ours and others.

Small samples, the same for every point, so that points can be compared with each other; a point is measured once and
kept. How the error falls is put in one number: the halving exponent b of a fit y = a * minutes^-b over the points.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from synth.atomic import write_atomically
from synth.errors import UserError
from synth.evaluate.controls import MEASURED_LANES, SEGMENT_FRAMES, middle_means
from synth.evaluate.embeddings import LogMelStatistics
from synth.evaluate.kernel import evaluate_kernel
from synth.evaluate.lanes import LanesPlan, Segment, draw
from synth.evaluate.recordings import Recording
from synth.evaluate.report_form import aligned, plain
from synth.evaluate.resung import sing_again
from synth.evaluate.singing import Gesture, Singer, neutral_controls
from synth.evaluate.statistics import Interval, mean_interval
from synth.evaluate.steps import lane_error, spectral_distances
from synth.evaluate.timebox import Progress

# Smaller is better, all of them; in the order of the table.
MEASURES = ("log_mel_db", "mr_stft", "spectrum_db", "lane_error", "kernel")
_FITTED = 3  # points that a fit needs at least


@dataclass(frozen=True, slots=True)
class Point:
    """Weights of one age. voice: whose curve it is on; measures: MEASURES, kernel the Gaussian distance to the
    recordings over all groups of them (unbiased, so it may lie below 0)."""

    voice: str
    minutes: float
    weights_hash: str
    quality: str
    measures: dict[str, Interval]


@dataclass(frozen=True, slots=True)
class CurveReport:
    """Points by voice and minutes. exponents: voice -> measure -> b of y = a * minutes^-b; none with few points."""

    n_recordings: int
    n_segments: int
    points: tuple[Point, ...]
    exponents: dict[str, dict[str, float]]

    def to_json(self) -> dict[str, Any]:
        """Plain types only."""
        return plain(self)

    def lines(self) -> list[str]:
        """For a person."""
        rows = [
            [point.voice, f"{point.minutes:g}", point.quality, *(str(point.measures[name]) for name in MEASURES)]
            for point in self.points
        ]
        fits = [
            f"{voice}: " + ", ".join(f"{name} ~ minutes^{-b:.2f}" for name, b in found.items())
            for voice, found in self.exponents.items()
        ]
        head = f"{self.n_recordings} held-out recordings sung again, {self.n_segments} segments"
        return [head, *aligned(["voice", "minutes", "quality", *MEASURES], rows), *fits]


def measure_point(
    singer: Singer,
    voice: str,
    minutes: float,
    recordings: Sequence[tuple[Recording, str]],
    segments: Sequence[Segment],
    on_progress: Progress | None = None,
) -> Point:
    """Sing the recordings' lanes and the segments with weights of one age."""
    resung = sing_again(singer, recordings, on_progress=on_progress)
    spectra = np.array([spectral_distances(item.made, item.real) for item in resung])
    errors = []
    for segment in segments:
        gesture = Gesture(neutral_controls(SEGMENT_FRAMES, segment.lanes, pitch_drift=0.0))
        errors.append(lane_error(segment, middle_means(singer.sing(gesture, segment.seed))))
    found = [row.whole for row in evaluate_kernel(resung, [LogMelStatistics()]).rows if row.distance == "gaussian"]
    measures = [mean_interval(column) for column in spectra.T]
    measures += [mean_interval(errors), mean_of_intervals(found)]
    quality = singer.quality
    return Point(voice, minutes, singer.engine.weights_hash, quality, dict(zip(MEASURES, measures, strict=True)))


def mean_of_intervals(found: Sequence[Interval]) -> Interval:
    """Mean of independent estimates; half-widths add as squares. NaN for none, without bounds where one has none."""
    if not found:
        return Interval(float("nan"), float("nan"), float("nan"), 0)
    value = float(np.mean([interval.value for interval in found]))
    spread = float(np.sqrt(np.sum([(0.5 * (interval.high - interval.low)) ** 2 for interval in found])) / len(found))
    return Interval(value, value - spread, value + spread, sum(interval.n for interval in found))


def curve_segments(n_segments: int) -> list[Segment]:
    """Constant segments, so many of every lane but pitch, which the decoder imposes."""
    lanes = [name for name in MEASURED_LANES if name != "pitch"]
    return draw(LanesPlan(lanes=lanes, n_segments=n_segments, n_pairs=0))


def kept_point(folder: Path, words: Sequence[str], make: Callable[[], Point]) -> Point:
    """The point that `words` name, measured only where `folder` does not hold it."""
    digest = hashlib.sha256("\n".join(words).encode()).hexdigest()[:16]
    path = folder / f"{digest}.json"
    if path.is_file():
        try:
            stored = json.loads(path.read_text(encoding="utf-8"))
            measures = {name: Interval(**_known(value)) for name, value in stored.pop("measures").items()}
            return Point(**stored, measures=measures)
        except (ValueError, TypeError, KeyError) as fault:
            raise UserError(f"{path} cannot be read: {fault}.", remedy="Delete it; it is measured again.") from fault
    point = make()
    folder.mkdir(parents=True, exist_ok=True)
    write_atomically(path, (json.dumps(plain(asdict(point)), indent=1, allow_nan=False) + "\n").encode())
    return point


def _known(stored: dict[str, Any]) -> dict[str, Any]:
    return {name: float("nan") if value is None else value for name, value in stored.items()}


def curve_report(points: Sequence[Point], n_recordings: int, n_segments: int) -> CurveReport:
    """Points in order, with their fits."""
    ordered = tuple(sorted(points, key=lambda point: (point.voice, point.minutes)))
    exponents = {}
    for voice in dict.fromkeys(point.voice for point in ordered):
        own = [point for point in ordered if point.voice == voice]
        exponents[voice] = {name: exponent for name in MEASURES if np.isfinite(exponent := _exponent(own, name))}
    return CurveReport(n_recordings, n_segments, ordered, exponents)


def _exponent(points: Sequence[Point], name: str) -> float:
    """b of y = a * minutes^-b by least squares in the logarithms; NaN for few points or values not above 0."""
    minutes = np.array([point.minutes for point in points])
    values = np.array([point.measures[name].value for point in points])
    if len(set(minutes)) < _FITTED or not (np.isfinite(values).all() and (values > 0.0).all() and (minutes > 0).all()):
        return float("nan")
    return -float(np.polyfit(np.log(minutes), np.log(values), 1)[0])
