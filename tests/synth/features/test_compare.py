"""Asked against measured."""

from __future__ import annotations

import numpy as np
import pytest

from synth.features.compare import compare_lanes

PRESENT = np.concatenate([np.zeros(20), np.ones(80)])


def test_a_perfect_rendering_has_no_error() -> None:
    lane = np.linspace(0.0, 1.0, 100)
    result = compare_lanes({"roughness": lane, "presence": PRESENT}, {"roughness": lane})["roughness"]
    assert (result.mean_error, result.mean_absolute_error, result.rms_error) == (0.0, 0.0, 0.0)
    assert result.spearman_rho == pytest.approx(1.0)
    assert result.slope == pytest.approx(1.0)
    assert result.n_frames == 80


def test_offset_scale_and_order_are_told_apart() -> None:
    asked = np.linspace(0.0, 1.0, 100)
    result = compare_lanes({"fry": asked, "presence": PRESENT}, {"fry": 0.5 * asked + 0.3})["fry"]
    counted = asked[20:]
    assert result.slope == pytest.approx(0.5)
    assert result.spearman_rho == pytest.approx(1.0)
    assert result.mean_error == pytest.approx(float(np.mean(0.3 - 0.5 * counted)))
    inverted = compare_lanes({"fry": asked, "presence": PRESENT}, {"fry": 1.0 - asked})["fry"]
    assert inverted.spearman_rho == pytest.approx(-1.0)


def test_pitch_is_in_cents_with_gross_errors_apart() -> None:
    asked = np.full(100, 60.0)
    measured = asked + 0.1
    measured[30:40] = 72.0
    measured[40:50] = np.nan
    result = compare_lanes({"pitch": asked, "presence": PRESENT}, {"pitch": measured})["pitch"]
    assert result.unit == "cents"
    assert result.mean_absolute_error == pytest.approx(10.0)
    assert result.gross_rate == pytest.approx(20 / 80)
    assert result.n_frames == 70


def test_frames_without_presence_do_not_count() -> None:
    asked = np.zeros(100)
    measured = np.where(PRESENT > 0.5, 0.0, 1.0)
    assert compare_lanes({"fry": asked, "presence": PRESENT}, {"fry": measured})["fry"].rms_error == 0.0


def test_flat_and_unmeasured_lanes_say_so() -> None:
    flat = np.full(100, 0.5)
    result = compare_lanes(
        {"fry": flat, "tract": flat, "pitch": flat, "presence": PRESENT}, {"fry": flat, "pitch": np.full(100, np.nan)}
    )
    assert set(result) == {"fry", "pitch"}
    assert np.isnan(result["fry"].spearman_rho)
    assert np.isnan(result["fry"].slope)
    assert np.isnan(result["pitch"].mean_absolute_error)
    assert result["pitch"].gross_rate == 1.0


def test_presence_is_required_and_compared_everywhere() -> None:
    with pytest.raises(ValueError, match="presence"):
        compare_lanes({"fry": np.zeros(3)}, {"fry": np.zeros(3)})
    assert compare_lanes({"presence": PRESENT}, {"presence": PRESENT[:90]})["presence"].n_frames == 90
