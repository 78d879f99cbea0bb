"""How near two ways of singing the same recordings come to them, and what share of the way one is nearer.

Everything is in halves of the recordings, so that no excerpt is ever compared with its own recording, and every
interval is a jackknife over recordings (Efron and Stein 1981) with the halvings kept.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from synth.adapt.figures import as_dict
from synth.errors import UserError
from synth.evaluate.embeddings import LogMelStatistics, standardised
from synth.evaluate.fidelity import FIDELITY_MEASURES, excerpt_measures
from synth.evaluate.kernel import mmd_squared, polynomial_kernel
from synth.evaluate.resung import Resung
from synth.evaluate.statistics import Interval

Float64Array = NDArray[np.float64]
IntArray = NDArray[np.int64]
N_HALVINGS: Final = 24
_Z95: Final = 1.959964
_FEWEST: Final = 6  # recordings with excerpts


@dataclass(frozen=True, slots=True, eq=False)  # each is itself: arrays have no one answer to ==
class Excerpts:
    """Half-second excerpts of one way of singing the recordings.

    owners     [n] recording of each excerpt
    embedded   [n, dim] log-mel statistics
    values     measure of FIDELITY_MEASURES -> [n]; empty where they were not asked for
    """

    owners: IntArray
    embedded: Float64Array
    values: Mapping[str, Float64Array]


def excerpts_of(sung: Sequence[Resung], *, real: bool, voice: bool) -> Excerpts:
    """What there is to compare, of the recordings themselves or of what was made.

    voice   measure FIDELITY_MEASURES as well: raises UserError without Praat
    UserError for too few recordings that are long enough.
    """
    owners: list[int] = []
    rows: list[dict[str, float]] = []
    vectors: list[Float64Array] = []
    embedding = LogMelStatistics()
    for index, item in enumerate(sung):
        sound, found = item.real if real else item.made, item.excerpts()
        if not found:
            continue
        owners += [index] * len(found)
        vectors.append(embedding(sound, found))
        rows += [excerpt_measures(sound, frames) for frames in found] if voice else []
    if len(set(owners)) < _FEWEST:
        raise UserError(
            f"{len(set(owners))} held-out recordings are too few to measure a gain by.",
            remedy="Learn from fewer minutes, so that more is held out.",
        )
    values = {name: np.array([row[name] for row in rows]) for name in FIDELITY_MEASURES} if voice else {}
    return Excerpts(np.array(owners), np.concatenate(vectors), values)


class Halves:
    """Fixed random halvings of the recordings; one recording may be left out of all of them."""

    def __init__(self, owners: IntArray, seed: int = 0) -> None:
        self.owners, self.recordings = owners, np.unique(owners)
        rng = np.random.default_rng(seed)
        n = len(self.recordings)
        self._first = [np.isin(owners, rng.permutation(self.recordings)[: n // 2]) for _ in range(N_HALVINGS)]

    def mean(self, distance: Callable[[IntArray, IntArray], float], left_out: int | None = None) -> float:
        """Mean over the halvings of distance(excerpts of one half, excerpts of the other)."""
        kept = np.ones(len(self.owners), dtype=np.bool_) if left_out is None else self.owners != left_out
        found = [distance(np.flatnonzero(first & kept), np.flatnonzero(~first & kept)) for first in self._first]
        known = [value for value in found if np.isfinite(value)]
        return float(np.mean(known)) if known else float("nan")

    def interval(self, statistic: Callable[[int | None], float]) -> Interval:
        """A statistic of everything (None) with the jackknife of those without one recording each."""
        value, n = statistic(None), len(self.recordings)
        without = np.array([statistic(int(left_out)) for left_out in self.recordings])
        if not np.isfinite(without).all():
            return Interval(value, float("nan"), float("nan"), n)
        spread = _Z95 * float(np.sqrt((n - 1) / n * np.sum((without - without.mean()) ** 2)))
        return Interval(value, value - spread, value + spread, n)


def ratios(made: Excerpts, real: Excerpts, halves: Halves, left_out: int | None = None) -> dict[str, float]:
    """Measure -> distance of what was made to the recordings, over that of the recordings to each other."""
    found = {}
    for name, values in real.values.items():
        sides = [
            halves.mean(lambda a, b, side=side, r=values: wasserstein(side[a], r[b]), left_out)
            for side in (made.values[name], values)
        ]
        if sides[0] > 0 and sides[1] > 0:
            found[name] = sides[0] / sides[1]
    return found


def wasserstein(a: Float64Array, b: Float64Array) -> float:
    """Wasserstein-1 distance of two samples; non-finite values are left out, NaN for an empty side.

    As scipy's, without its checks, which take longer than the distance: intervals need tens of thousands.
    """
    a, b = np.sort(a[np.isfinite(a)]), np.sort(b[np.isfinite(b)])
    if not len(a) or not len(b):
        return float("nan")
    both = np.concatenate([a, b])
    both.sort(kind="mergesort")
    below_a = a.searchsorted(both[:-1], "right") / len(a)
    below_b = b.searchsorted(both[:-1], "right") / len(b)
    return float(np.sum(np.abs(below_a - below_b) * np.diff(both)))


class Fidelity:
    """R, the geometric mean over measures of `ratios`: 1 for a voice as near to the recordings as they are to each
    other. Of any number of sides; what was computed is kept."""

    def __init__(self, real: Excerpts, halves: Halves) -> None:
        self._real, self._halves = real, halves
        self._known: dict[tuple[Excerpts, int | None], float] = {}

    def of(self, side: Excerpts, left_out: int | None = None) -> float:
        """R of one side."""
        key = (side, left_out)
        if key not in self._known:
            found = ratios(side, self._real, self._halves, left_out)
            self._known[key] = float(np.exp(np.mean(np.log(list(found.values()))))) if found else float("nan")
        return self._known[key]

    def closed(self, base: Excerpts, adapted: Excerpts) -> dict[str, Any]:
        """R of each side and measure, and (R_base - R_adapted) / (R_base - 1), with intervals."""
        interval = self._halves.interval
        measures = [ratios(side, self._real, self._halves) for side in (base, adapted)]
        return {
            "base": as_dict(interval(lambda out: self.of(base, out))),
            "adapted": as_dict(interval(lambda out: self.of(adapted, out))),
            "closed": as_dict(
                interval(lambda out: (self.of(base, out) - self.of(adapted, out)) / (self.of(base, out) - 1.0))
            ),
            "measures": {name: [found.get(name) for found in measures] for name in measures[0]},
        }  # fmt: skip


class Kernel:
    """K, the polynomial kernel distance of log-mel statistics (synth.evaluate.kernel), of any number of sides."""

    def __init__(self, real: Excerpts, halves: Halves) -> None:
        self._real, self._halves = real, halves
        self._reference = standardised(real.embedded, real.embedded)
        self._of_real = polynomial_kernel(self._reference, self._reference)
        self._distances: dict[Excerpts, Callable[[IntArray, IntArray], float]] = {}
        self._known: dict[tuple[Excerpts, int | None], float] = {}

    def of(self, side: Excerpts, left_out: int | None = None) -> float:
        """K of one side; of the recordings themselves it is the floor, about 0."""
        key = (side, left_out)
        if key not in self._known:
            self._known[key] = self._halves.mean(self._distance(side), left_out)
        return self._known[key]

    def _distance(self, side: Excerpts) -> Callable[[IntArray, IntArray], float]:
        if side not in self._distances:
            vectors = standardised(side.embedded, self._real.embedded)
            own, between = polynomial_kernel(vectors, vectors), polynomial_kernel(vectors, self._reference)

            def distance(a: IntArray, b: IntArray) -> float:
                return mmd_squared(own[np.ix_(a, a)], self._of_real[np.ix_(b, b)], between[np.ix_(a, b)])

            self._distances[side] = distance
        return self._distances[side]

    def closed(self, base: Excerpts, adapted: Excerpts) -> dict[str, Any]:
        """K of each side, and (K_base - K_adapted) / (K_base - K_real), with intervals; root_closed: of roots of K."""
        interval, real = self._halves.interval, self._real

        def share(out: int | None, power: float) -> float:
            before, after, floor = (max(self.of(side, out), 0.0) ** power for side in (base, adapted, real))
            return (before - after) / (before - floor) if before > floor else float("nan")

        return {
            "base": as_dict(interval(lambda out: self.of(base, out))),
            "adapted": as_dict(interval(lambda out: self.of(adapted, out))),
            "real": as_dict(interval(lambda out: self.of(real, out))),
            "closed": as_dict(interval(lambda out: share(out, 1.0))),
            "root_closed": as_dict(interval(lambda out: share(out, 0.5))),
        }
