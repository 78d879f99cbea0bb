"""Random gestures: in range, varied, of the technique asked for, and with each lane explored on its own."""

from __future__ import annotations

import numpy as np
import pytest

from synth.corpus.gestures import OVERSHOOT, PLANNED_LANES, UNIT_LANES, Gesture, plan_gesture
from synth.errors import UserError
from synth.spec.lanes import TECHNIQUES


def _plans(count: int, technique: str | None = None, n_frames: int = 400) -> list[Gesture]:
    return [plan_gesture(np.random.default_rng(seed), n_frames, technique) for seed in range(count)]


def test_every_lane_is_planned_in_range() -> None:
    for gesture in _plans(60):
        assert set(gesture.lanes) == set(PLANNED_LANES)
        assert all(values.shape == (400,) and np.isfinite(values).all() for values in gesture.lanes.values())
        assert gesture.lanes["loudness"].min() >= -60.0
        assert gesture.lanes["loudness"].max() <= -9.0
        assert set(np.unique(gesture.lanes["presence"])) <= {0.0, 1.0}
        for name in UNIT_LANES:
            assert gesture.lanes[name].max() <= 1.0 + OVERSHOOT + 1e-9
        assert gesture.roughness_rate_hz.min() >= 30.0
        assert gesture.roughness_rate_hz.max() <= 150.0
        np.testing.assert_allclose(sum(gesture.technique.values()), np.ones(400), atol=1e-9)


def test_kinds_come_in_their_shares() -> None:
    kinds = [gesture.kind for gesture in _plans(400, n_frames=100)]
    assert 0.2 < kinds.count("independent") / 400 < 0.36
    assert 0.05 < kinds.count("contradictory") / 400 < 0.16


@pytest.mark.parametrize("technique", TECHNIQUES)
def test_the_technique_asked_for_prevails(technique: str) -> None:
    gestures = [gesture for gesture in _plans(40, technique) if gesture.kind != "contradictory"]
    share = np.mean([gesture.technique[technique][gesture.lanes["presence"] > 0].mean() for gesture in gestures])
    assert share > 0.6


def test_independent_lanes_are_uncorrelated_and_cover_their_range() -> None:
    gestures = [gesture for gesture in _plans(500, n_frames=300) if gesture.kind == "contradictory"]
    table = np.array([[gesture.lanes[name][::60] for name in UNIT_LANES] for gesture in gestures])
    columns = table.transpose(1, 0, 2).reshape(len(UNIT_LANES), -1)
    correlation = np.corrcoef(columns) - np.eye(len(UNIT_LANES))
    assert np.abs(correlation).max() < 0.3
    assert columns.min(axis=1).max() < 0.1
    assert columns.max(axis=1).min() > 0.9


def test_loudness_covers_whisper_to_scream() -> None:
    values = np.concatenate([gesture.lanes["loudness"][gesture.lanes["presence"] > 0] for gesture in _plans(100)])
    assert np.percentile(values, 3) < -45.0
    assert np.percentile(values, 97) > -14.0


def test_sighs_fall_in_pitch_and_loudness_while_breath_rises() -> None:
    falls = []
    for gesture in _plans(40, "sigh"):
        pure = (gesture.technique["sigh"] > 0.95) & (gesture.lanes["presence"] > 0)
        if gesture.kind != "natural" or pure.sum() < 60:
            continue
        at = np.flatnonzero(pure)
        edges = np.flatnonzero(np.diff(at) > 1)
        stop = edges[0] if len(edges) else len(at) - 1
        first, last = at[stop // 4], at[3 * stop // 4]
        falls.append(
            [gesture.lanes[name][last] - gesture.lanes[name][first] for name in ("pitch", "loudness", "breathiness")]
        )
    pitch, loudness, breath = np.median(falls, axis=0)
    assert pitch < -1.0
    assert loudness < -2.0
    assert breath > 0.05


def test_silences_and_breaths_lie_between_phrases() -> None:
    gestures = [gesture for gesture in _plans(60) if gesture.kind == "natural"]
    assert np.mean([(gesture.lanes["presence"] < 0.5).any() for gesture in gestures]) > 0.5
    assert np.mean([(gesture.lanes["ingress"] > 0.9).any() for gesture in gestures]) > 0.1


def test_unknown_technique_is_a_users_mistake() -> None:
    with pytest.raises(UserError, match="growling"):
        plan_gesture(np.random.default_rng(1), 100, "growling")


@pytest.mark.parametrize("n_frames", [1, 2, 7, 9, 30])
def test_short_gestures_exist(n_frames: int) -> None:
    for seed in range(20):
        assert plan_gesture(np.random.default_rng(seed), n_frames).n_frames == n_frames
