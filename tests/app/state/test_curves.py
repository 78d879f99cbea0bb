"""Curves through points: what is met exactly."""

from __future__ import annotations

import numpy as np

from app.state.curves import hold_smooth


def test_a_smooth_curve_holds_its_last_value_to_the_bit() -> None:
    x, y = np.array([0.01, 1.0, 2.0]), np.array([0.8749839642857142, 0.75, 0.0])
    assert (hold_smooth(x, y, np.array([2.0, 2.005, 6.0])) == 0.0).all()
