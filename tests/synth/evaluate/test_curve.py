"""Curves of quality against training: fits are exact where the answer is known, and points are measured once."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from synth.evaluate.curve import (
    MEASURES,
    CurveReport,
    Point,
    curve_report,
    curve_segments,
    kept_point,
    mean_of_intervals,
)
from synth.evaluate.figures import curve_figure
from synth.evaluate.statistics import Interval


def _point(voice: str, minutes: float, value: float) -> Point:
    return Point(
        voice, minutes, "known", "draft", dict.fromkeys(MEASURES, Interval(value, 0.9 * value, 1.1 * value, 4))
    )


def _falling() -> CurveReport:
    points = [_point("ours", minutes, 8.0 * minutes**-0.3) for minutes in (20.0, 5.0, 60.0)]
    return curve_report([*points, _point("other", 20.0, 9.0)], 4, 8)


def test_the_exponent_is_that_of_the_law_the_points_lie_on() -> None:
    report = _falling()
    assert [point.minutes for point in report.points] == [20.0, 5.0, 20.0, 60.0], "by voice, then by age"
    assert report.exponents["ours"]["log_mel_db"] == pytest.approx(0.3, abs=1e-9)
    assert report.exponents["other"] == {}, "one point is no curve"
    assert any("minutes^-0.30" in line for line in report.lines())


def test_a_kernel_distance_below_0_has_no_exponent() -> None:
    points = [_point("ours", minutes, 1.0) for minutes in (1.0, 2.0)]
    below = Point("ours", 4.0, "known", "draft", {**points[0].measures, "kernel": Interval(-0.1, -0.2, 0.0, 4)})
    assert "kernel" not in curve_report([*points, below], 4, 8).exponents["ours"]


def test_a_point_is_measured_once(tmp_path: Path) -> None:
    asked = []

    def make() -> Point:
        asked.append(1)
        unknown = {"kernel": Interval(float("nan"), float("nan"), float("nan"), 0)}
        return Point("ours", 5.0, "known", "draft", dict.fromkeys(MEASURES, Interval(1.0, 0.5, 1.5, 4)) | unknown)

    first, again = (kept_point(tmp_path, ["ours", "5", "hash"], make) for _ in range(2))
    assert len(asked) == 1
    assert repr(again) == repr(first)
    kept_point(tmp_path, ["ours", "5", "another hash"], make)
    assert len(asked) == 2


@pytest.mark.evaluation
def test_the_picture_has_a_line_a_voice() -> None:
    drawn = curve_figure(_falling())
    assert drawn.startswith("<svg")
    assert "ours" in drawn
    assert "other" in drawn


def test_the_mean_of_two_estimates_is_surer_than_either() -> None:
    mean = mean_of_intervals([Interval(1.0, 0.0, 2.0, 8), Interval(3.0, 2.0, 4.0, 8)])
    assert (mean.value, mean.n) == (2.0, 16)
    assert mean.high - mean.low == pytest.approx(2.0 / np.sqrt(2.0))
    assert not np.isfinite(mean_of_intervals([]).value)


def test_no_segment_is_judged_by_a_pitch_the_decoder_imposes() -> None:
    drawn = curve_segments(2)
    assert len(drawn) == 16
    assert "pitch" not in {segment.judged for segment in drawn}
