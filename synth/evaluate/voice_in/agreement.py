"""Streamed estimates against what the ears, Praat or the simulator say of the same clip: how late, how far off."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from synth.evaluate.voice_in.material import ClipHeard, labelled, technique_weights
from synth.listening.heard import Heard
from synth.spec.audio import FRAME_RATE_HZ
from synth.spec.lanes import TECHNIQUES, lane

Float64Array = NDArray[np.float64]

GROSS_CENTS: Final = 50.0
OCTAVE_CENTS: Final = 600.0
_PRESENT: Final = 0.5
LEAST_COMMON: Final = 20  # hops that both hear as voiced
_DELAYS_S: Final = tuple(np.arange(-0.01, 0.0601, 0.001))
_LANE_DELAYS_S: Final = tuple(np.arange(0.0, 0.121, 0.005))


@dataclass(frozen=True, slots=True)
class PitchAgreement:
    """delay_s: that aligns best; cents: absolute errors there [n]; heard_share: of hops voiced for the judge."""

    delay_s: float
    cents: Float64Array
    heard_share: float

    @property
    def gross_share(self) -> float:
        """Of hops further off than GROSS_CENTS."""
        return float(np.mean(self.cents > GROSS_CENTS))

    @property
    def octave_share(self) -> float:
        return float(np.mean(self.cents > OCTAVE_CENTS))


def streamed_notes(heard: Sequence[Heard]) -> tuple[Float64Array, Float64Array]:
    """-> when each hop's answer is there, in seconds [n]; MIDI note [n], NaN where unvoiced."""
    ends_s = np.array([hop.end_s for hop in heard])
    hz = np.array([hop.hz if hop.is_voiced and hop.hz > 0.0 else np.nan for hop in heard])
    return ends_s, 69.0 + 12.0 * np.log2(hz / 440.0)


def pitch_agreement(
    heard: Sequence[Heard], t_s: Float64Array, note: Float64Array, *, above_hz: float = 0.0
) -> PitchAgreement | None:
    """Against a judge's track: t_s [n], note [n] NaN where unvoiced. None where too little is voiced for both.

    The delay is the one with the least mean of errors, each capped at a semitone: an octave error must not move it.
    """
    if len(t_s) < 2 or not heard:
        return None
    lowest = 69.0 + 12.0 * np.log2(above_hz / 440.0) if above_hz else -np.inf
    ends_s, streamed = streamed_notes(heard)
    best: tuple[float, float, Float64Array, float] | None = None
    for delay_s in _DELAYS_S:
        judge = _voiced_at(ends_s - delay_s, t_s, note)
        judge = np.where(judge >= lowest, judge, np.nan)
        common = np.isfinite(judge) & np.isfinite(streamed)
        if common.sum() < LEAST_COMMON:
            continue
        cents = 100.0 * np.abs(streamed[common] - judge[common])
        cost = float(np.mean(np.minimum(cents, 100.0)))
        if best is None or cost < best[0]:
            best = (cost, float(delay_s), cents, float(common.sum() / max(np.isfinite(judge).sum(), 1)))
    return None if best is None else PitchAgreement(best[1], best[2], best[3])


@dataclass(frozen=True, slots=True)
class LaneAgreement:
    """Over all hops of all clips in which the ears hear somebody: at the one delay that fits them best."""

    lane: str
    delay_s: float
    rank_correlation: float
    mean_error: float
    mean_absolute_error: float
    n_hops: int


def lane_agreements(clips: Sequence[ClipHeard], lane_ids: Sequence[str]) -> list[LaneAgreement]:
    """Every second hop counts: that is when lanes are made."""
    return [_lane_agreement(clips, lane_id) for lane_id in lane_ids]


def _lane_agreement(clips: Sequence[ClipHeard], lane_id: str) -> LaneAgreement:
    best: LaneAgreement | None = None
    for delay_s in _LANE_DELAYS_S:
        streamed, ears = [], []
        for clip in clips:
            hops = [hop for hop in clip.heard[1::2] if hop.lanes and hop.is_present]
            places = np.array([(hop.end_s - delay_s) * FRAME_RATE_HZ - 0.5 for hop in hops])
            index = np.arange(clip.clip.n_frames)
            present = np.interp(places, index, clip.clip.lanes["presence"]) > 0.99 if len(places) else places > 0
            asked = np.interp(places, index, clip.clip.lanes[lane_id]) if len(places) else places
            spec = lane(lane_id)
            said = np.array([spec.clamp(hop.level_db) if lane_id == "loudness" else hop.lanes[lane_id] for hop in hops])
            known = present & np.isfinite(asked)
            streamed.append(said[known])
            ears.append(asked[known])
        x, y = np.concatenate(streamed), np.concatenate(ears)
        found = LaneAgreement(
            lane_id, float(delay_s), float(np.corrcoef(rankdata(x), rankdata(y))[0, 1]), float(np.mean(x - y)),
            float(np.mean(np.abs(x - y))), len(x),
        )  # fmt: skip
        if best is None or found.rank_correlation > best.rank_correlation:
            best = found
    if best is None:
        raise ValueError("no delays to try")
    return best


@dataclass(frozen=True, slots=True)
class TechniqueAgreement:
    """share: of clips whose mean streamed weights put the clip's own label first; after_s: when that first held.

    ears_share: the same of the ears' classifier, which looks ahead; alike_share: of clips in which both say the same
    """

    name: str
    n_clips: int
    share: float
    after_s: float
    ears_share: float
    alike_share: float


def technique_agreements(clips: Sequence[ClipHeard]) -> list[TechniqueAgreement]:
    """By the technique that recordings and simulated clips are labelled with."""
    right: dict[str, list[bool]] = {}
    since: dict[str, list[float]] = {}
    ears: dict[str, list[bool]] = {}
    alike: dict[str, list[bool]] = {}
    for clip in clips:
        hops = [hop for hop in clip.heard if hop.is_present and hop.lanes]
        if not hops:
            continue
        weights = np.array([hop.techniques for hop in hops])
        wanted = int(np.argmax(labelled(clip.record)))
        said = int(np.argmax(weights.mean(axis=0)))
        present = clip.clip.lanes["presence"] > _PRESENT
        by_ears = int(np.argmax(technique_weights(clip.clip)[present].mean(axis=0))) if present.any() else -1
        right.setdefault(clip.name, []).append(said == wanted)
        ears.setdefault(clip.name, []).append(by_ears == wanted)
        alike.setdefault(clip.name, []).append(by_ears == said)
        first = np.flatnonzero(weights.argmax(axis=1) == wanted)
        if len(first):
            since.setdefault(clip.name, []).append(hops[int(first[0])].end_s - hops[0].end_s)
    return [
        TechniqueAgreement(
            name,
            len(right[name]),
            float(np.mean(right[name])),
            _median(since.get(name, [])),
            float(np.mean(ears[name])),
            float(np.mean(alike[name])),
        )
        for name in TECHNIQUES
        if name in right
    ]


def presence_delays_s(clips: Sequence[ClipHeard]) -> Float64Array:
    """From where the ears' presence first passes a half to where listening says so, clips that begin silent -> [n]."""
    delays = []
    for clip in clips:
        present = np.flatnonzero(clip.clip.lanes["presence"] > 0.5)
        heard = [hop.end_s for hop in clip.heard if hop.is_present]
        if len(present) and present[0] > 0 and heard:
            delays.append(heard[0] - (present[0] + 0.5) / FRAME_RATE_HZ)
    return np.asarray(delays)


def summary(values: Float64Array | Sequence[float]) -> Mapping[str, float]:
    """Median and 95th percentile, NaN of nothing."""
    if len(values) == 0:
        return {"median": float("nan"), "p95": float("nan"), "n": 0}
    return {"median": float(np.median(values)), "p95": float(np.percentile(values, 95.0)), "n": len(values)}


def _voiced_at(times_s: Float64Array, t_s: Float64Array, note: Float64Array) -> Float64Array:
    """A track at other times: straight between neighbours that are both voiced, NaN elsewhere."""
    place = np.clip(np.searchsorted(t_s, times_s) - 1, 0, len(t_s) - 2)
    left, right = note[place], note[place + 1]
    share = (times_s - t_s[place]) / (t_s[place + 1] - t_s[place])
    inside = (share >= 0.0) & (share <= 1.0) & (np.abs(right - left) < 3.0)
    return np.where(inside, left + share * (right - left), np.nan)


def _median(values: Sequence[float]) -> float:
    return float(np.median(values)) if len(values) else float("nan")
