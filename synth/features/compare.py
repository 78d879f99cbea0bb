"""How far a sound is from what was asked for, lane by lane."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from synth.spec.lanes import lane

Float64Array = NDArray[np.float64]

GROSS_CENTS = 50.0
_LEAST_FRAMES = 2


@dataclass(frozen=True, slots=True)
class LaneError:
    """Asked against measured over the frames that count. NaN where it is not defined (a flat curve has no rank).

    unit          the lane's own; cents for pitch, whose mean, absolute and RMS errors leave the gross ones out
    mean_error    measured - asked
    spearman_rho  rank correlation;  slope  of measured over asked, least squares (1 = fully obeyed)
    gross_rate    pitch only: share of frames more than 50 cents off or unvoiced where pitch was asked
    """

    lane_id: str
    unit: str
    n_frames: int
    mean_error: float
    mean_absolute_error: float
    rms_error: float
    spearman_rho: float
    slope: float
    gross_rate: float


def compare_lanes(
    asked: Mapping[str, NDArray[np.floating]],
    measured: Mapping[str, NDArray[np.floating]],
    least_presence: float = 0.5,
) -> dict[str, LaneError]:
    """Compare the lanes both sides have, over frames where `asked["presence"]` is above `least_presence`.

    asked, measured  lane id -> [n_frames]; the shorter side decides how many frames are compared. presence itself is
    compared everywhere. Raises ValueError when asked has no presence.
    """
    if "presence" not in asked:
        raise ValueError("the asked lanes have no presence")
    errors = {}
    for lane_id in asked:
        if lane_id not in measured:
            continue
        n_frames = min(len(asked[lane_id]), len(measured[lane_id]), len(asked["presence"]))
        wanted = np.asarray(asked[lane_id][:n_frames], dtype=np.float64)
        heard = np.asarray(measured[lane_id][:n_frames], dtype=np.float64)
        counts = np.asarray(asked["presence"][:n_frames]) > least_presence
        if lane_id == "presence":
            counts = np.ones(n_frames, dtype=np.bool_)
        errors[lane_id] = _lane_error(lane_id, wanted[counts], heard[counts])
    return errors


def _lane_error(lane_id: str, asked: Float64Array, measured: Float64Array) -> LaneError:
    """The figures of one lane over the frames that count; frames without a measure are left out."""
    is_pitch = lane_id == "pitch"
    known = np.isfinite(measured) & np.isfinite(asked)
    difference = (measured - asked) * (100.0 if is_pitch else 1.0)
    gross_rate = np.nan
    fine = known
    if is_pitch and len(asked):
        with_error = np.where(known, np.abs(np.nan_to_num(difference)), np.inf)
        gross_rate = float(np.mean(with_error > GROSS_CENTS))
        fine = known & (with_error <= GROSS_CENTS)
    errors = difference[fine]
    enough = len(errors) > 0
    return LaneError(
        lane_id=lane_id,
        unit="cents" if is_pitch else lane(lane_id).unit,
        n_frames=int(known.sum()),
        mean_error=float(np.mean(errors)) if enough else np.nan,
        mean_absolute_error=float(np.mean(np.abs(errors))) if enough else np.nan,
        rms_error=float(np.sqrt(np.mean(errors**2))) if enough else np.nan,
        spearman_rho=spearman(asked[known], measured[known]),
        slope=_slope(asked[known], measured[known]),
        gross_rate=float(gross_rate),
    )


def spearman(a: Float64Array, b: Float64Array) -> float:
    """Rank correlation -1..1 of two series, ties averaged; NaN when either is flat or too short."""
    if len(a) < _LEAST_FRAMES or np.ptp(a) == 0.0 or np.ptp(b) == 0.0:
        return float("nan")
    ranks_a, ranks_b = rankdata(a), rankdata(b)
    ranks_a, ranks_b = ranks_a - ranks_a.mean(), ranks_b - ranks_b.mean()
    return float(np.sum(ranks_a * ranks_b) / np.sqrt(np.sum(ranks_a**2) * np.sum(ranks_b**2)))


def _slope(asked: Float64Array, measured: Float64Array) -> float:
    """Least-squares slope of measured over asked; NaN when nothing was varied."""
    if len(asked) < _LEAST_FRAMES or np.ptp(asked) < 1e-6:
        return float("nan")
    centred = asked - asked.mean()
    return float(np.sum(centred * (measured - measured.mean())) / np.sum(centred**2))
