"""Lanes over Latin hypercubes, with singers that obey in known ways."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from synth.evaluate.lanes import OTHERS, WHOLE, LanesPlan, draw, evaluate_ears, evaluate_lanes
from synth.evaluate.singing import Singer
from synth.evaluate.statistics import change_interval, partial_effects, quantile_interval
from synth.evaluate.timebox import TimeBox
from tests.synth.evaluate.known_engines import KnownEngine

pytestmark = pytest.mark.evaluation


def _singer() -> Singer:
    engine: Any = KnownEngine()
    return Singer(engine, "draft")


def test_a_hypercube_covers_the_lane_and_stays_in_the_others_ranges() -> None:
    plan = LanesPlan(lanes=("breathiness", "loudness"), n_segments=20, n_pairs=5)
    segments = draw(plan)
    assert [segment.judged for segment in segments[:4]] == ["breathiness", "loudness"] * 2
    for judged in plan.lanes:
        mine = [segment for segment in segments if segment.judged == judged]
        low, high = WHOLE[judged]
        # One value in each twentieth of the range: that is what makes it a Latin hypercube.
        places = [int(20 * (segment.lanes[judged] - low) / (high - low)) for segment in mine]
        assert sorted(places) == list(range(20))
        for name, (least, most) in OTHERS.items():
            if name != judged:
                assert all(least <= segment.lanes[name] <= most for segment in mine), name
        assert sum(segment.other_seed is not None for segment in mine) == 5
    assert len({segment.seed for segment in segments}) == 40


def test_an_obedient_lane_is_told_from_a_deaf_one() -> None:
    """The known engine obeys loudness and pitch, and nothing else."""
    plan = LanesPlan(lanes=("loudness", "fry", "pitch"), n_segments=11, n_pairs=10)
    report = evaluate_lanes(_singer(), plan)
    loudness, fry, pitch = report.lanes
    for lane in (loudness, pitch):
        assert lane.rho.low > 0.9, lane.lane_id
        assert lane.slope == pytest.approx(1.0, abs=0.05)
        assert lane.judge_rho.value > 0.95
        assert lane.ceiling > 0.95
    assert not fry.rho.value > 0.7
    table = report.cross_talk
    effect = dict(zip(table.columns, table.effect[table.rows.index("loudness")]))
    assert effect["loudness"] == pytest.approx(1.0, abs=0.05)
    assert abs(effect["pitch"]) < 0.05


def test_a_box_that_is_over_leaves_as_many_of_each_lane() -> None:
    now = iter(np.arange(0.0, 1_000.0, 1.0))
    box = TimeBox(7.0, clock=lambda: float(next(now)))
    report = evaluate_lanes(_singer(), LanesPlan(lanes=("loudness", "pitch"), n_segments=30, n_pairs=0), box=box)
    assert box.was_cut
    assert report.n_wanted == 60
    counts = [len(lane.asked) for lane in report.lanes]
    assert 6 <= sum(counts) < 20
    assert max(counts) - min(counts) <= 1


def test_the_ears_hear_what_the_simulator_does() -> None:
    report = evaluate_ears(LanesPlan(lanes=("loudness", "vowel_front"), n_segments=6, n_pairs=0))
    assert report.source == "simulator"
    assert all(lane.rho.value > 0.85 for lane in report.lanes)


def test_partial_effects_tell_a_cause_from_what_it_comes_with() -> None:
    """y depends on a alone, and b goes with a: correlation would blame both."""
    rng = np.random.default_rng(0)
    a = rng.standard_normal(400)
    b = a + 0.5 * rng.standard_normal(400)
    y = 2.0 * a + 0.1 * rng.standard_normal(400)
    found = partial_effects(np.column_stack([a, b]), y[:, None])
    assert found.value[:, 0] == pytest.approx([2.0, 0.0], abs=0.05)
    assert found.low[0, 0] < 2.0 < found.high[0, 0]
    assert found.low[1, 0] < 0.0 < found.high[1, 0]
    assert np.isnan(partial_effects(np.zeros((3, 2)), np.zeros((3, 1))).value).all()


def test_a_change_is_of_the_means_and_paired() -> None:
    before = np.array([1.0, 2.0, 3.0, np.nan])
    found = change_interval(1.1 * before, before)
    assert (found.value, found.low, found.high) == pytest.approx((10.0, 10.0, 10.0))
    assert found.n == 3
    assert quantile_interval(np.arange(101.0), 0.95).value == pytest.approx(95.0)
