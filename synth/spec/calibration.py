"""Between an estimator's physical unit and its 0..1 lane, both ways."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from synth.spec.lanes import Calibration

_LANE_ANCHORS = (0.0, 0.5, 1.0)


def to_lane(calibration: Calibration, physical: ArrayLike) -> NDArray[np.float32]:
    """Physical values, any shape -> lane values 0..1, clamped; NaN stays NaN."""
    values = np.asarray(physical, dtype=np.float64)
    points = np.asarray(calibration.physical)
    anchors = np.asarray(_LANE_ANCHORS)
    if points[0] > points[-1]:
        points, anchors = points[::-1], anchors[::-1]
    return np.interp(values, points, anchors).astype(np.float32)


def to_physical(calibration: Calibration, lane_value: ArrayLike) -> NDArray[np.float32]:
    """Lane values 0..1, any shape -> the estimator's physical unit."""
    values = np.asarray(lane_value, dtype=np.float64)
    return np.interp(values, _LANE_ANCHORS, calibration.physical).astype(np.float32)
