"""The engine's reading of commands: no steps, no trace of the block size, everything in range."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.live.performance.commands import (
    ALL_VOICES,
    Glide,
    OffsetLane,
    Retune,
    SetLane,
    Silence,
    StartVoice,
)
from app.live.performance.performed import PerformedControls
from app.live.performance.trajectory import Trajectory, standing
from synth.spec.controls import Float32Array

STEP_S = 0.001


def started(**changes: Any) -> PerformedControls:
    controls = PerformedControls(1000)
    values = {"lanes": {}, "offsets": {}, **changes}
    controls.apply(StartVoice(0.0, 1, 60.0, 100.0, 0.0, **values))
    return controls


def lane(controls: PerformedControls, lane_id: str, base: float, start_s: float, n: int = 1) -> Float32Array:
    out = np.zeros(n, dtype=np.float32)
    controls.fill_lane(1, lane_id, base, out, start_s, STEP_S)
    return out


def pitch(controls: PerformedControls, start_s: float, n: int = 1) -> Float32Array:
    out = np.zeros(n, dtype=np.float32)
    controls.fill_pitch(1, out, start_s, STEP_S)
    return out


@given(
    st.floats(-5, 5), st.floats(-50, 50), st.floats(-50, 50), st.floats(0, 2), st.booleans(), st.floats(-6, 6),
    st.integers(1, 40),
)  # fmt: skip
def test_blocks_of_any_size_give_the_same_values(
    start_s: float, start: float, target: float, time_s: float, is_linear: bool, read_s: float, n: int
) -> None:
    moving = Trajectory(start_s, start, target, time_s, is_linear)
    out = np.zeros(n, dtype=np.float32)
    moving.fill(out, read_s, 0.01)
    assert out == pytest.approx([moving.at(read_s + 0.01 * index) for index in range(n)], abs=1e-4)
    assert out.min() >= min(start, target) - 1e-4
    assert out.max() <= max(start, target) + 1e-4


def test_a_trajectory_arrives() -> None:
    linear = standing(60.0).towards(1.0, 72.0, 0.5, is_linear=True)
    assert [linear.at(t_s) for t_s in (0.0, 1.0, 1.25, 1.5, 9.0)] == [60.0, 60.0, 66.0, 72.0, 72.0]
    approach = standing(0.0).towards(1.0, 1.0, 0.1)
    assert approach.at(1.1) == pytest.approx(1.0 - np.exp(-1.0))
    assert approach.towards(1.1, 0.0, 0.1).at(1.1) == approach.at(1.1)  # turned round on the way: no step


def test_what_nobody_moves_is_the_presets() -> None:
    assert lane(started(), "fry", 0.25, 1.0, 3).tolist() == [0.25, 0.25, 0.25]
    assert pitch(started(), 1.0).tolist() == [60.0]
    assert started().moved_lanes(1) == frozenset()


def test_setting_and_giving_back_are_smooth() -> None:
    controls = started()
    controls.apply(SetLane(1.0, ALL_VOICES, "fry", 1.0, 0.01))
    heard = lane(controls, "fry", 0.2, 1.0, 200)
    assert heard[0] == pytest.approx(0.2)
    assert heard[-1] == pytest.approx(1.0, abs=1e-4)
    assert np.abs(np.diff(heard)).max() < 0.09
    controls.apply(SetLane(2.0, ALL_VOICES, "fry", None, 0.01))
    back = lane(controls, "fry", 0.2, 2.0, 200)
    assert back[0] == pytest.approx(1.0, abs=1e-4)
    assert back[-1] == pytest.approx(0.2, abs=1e-4)
    assert controls.moved_lanes(1) == {"fry"}


def test_a_voices_own_value_stands_first_and_offsets_add_up_in_range() -> None:
    controls = started(lanes={"fry": 0.5}, offsets={"fry": 0.1})
    controls.apply(SetLane(0.0, ALL_VOICES, "fry", 0.9, 0.0))
    controls.apply(OffsetLane(0.0, ALL_VOICES, "fry", 0.2, 0.0))
    assert lane(controls, "fry", 0.0, 1.0) == pytest.approx([0.8])
    controls.apply(OffsetLane(1.0, 1, "fry", 5.0, 0.0))
    assert lane(controls, "fry", 0.0, 1.0) == pytest.approx([1.0])


def test_pitch_glides_and_bends() -> None:
    controls = started(glide_from=48.0, glide_time_s=1.0)
    assert pitch(controls, 0.5) == pytest.approx([54.0])
    controls.apply(Retune(0.5, 1, 50.0, 0.0))
    controls.apply(Glide(2.0, 1, 67.0, 0.0, True))
    assert pitch(controls, 2.0) == pytest.approx([67.5])
    controls.apply(SetLane(3.0, 1, "pitch", 40.0, 0.0))
    assert pitch(controls, 3.0) == pytest.approx([40.5])  # a drawn or played pitch replaces the note, bend adds


def test_unknown_voices_are_ignored_and_silence_forgets() -> None:
    controls = started()
    for command in (Retune(0.0, 9, 1.0, 0.0), SetLane(0.0, 9, "fry", 1.0, 0.0), Glide(0.0, 9, 1.0, 0.0, True)):
        controls.apply(command)
    controls.apply(Silence(1.0))
    assert controls.moved_lanes(1) == frozenset()
    controls.forget(1)


def test_one_moment_is_what_a_block_has_there() -> None:
    controls = PerformedControls(64)
    controls.apply(StartVoice(0.0, 1, 60.0, 90.0, 30.0, {"roughness": 0.2}, {"fry": 0.1}, 55.0, 0.3, False))
    controls.apply(SetLane(0.1, ALL_VOICES, "roughness", 0.9, 0.05))
    controls.apply(SetLane(0.1, ALL_VOICES, "fry", 0.5, 0.05))
    controls.apply(SetLane(0.2, 1, "roughness", None, 0.02))
    controls.apply(OffsetLane(0.15, 1, "roughness", 2.0, 0.1))
    controls.apply(Retune(0.12, 1, -200.0, 0.01))
    out = np.zeros(64, dtype=np.float32)
    for lane_id, base in (("roughness", 0.4), ("fry", 0.0), ("tract", 0.7)):
        controls.fill_lane(1, lane_id, base, out, 0.0, 0.01)
        at = [controls.lane_at(1, lane_id, base, 0.01 * index) for index in range(64)]
        np.testing.assert_allclose(at, out, atol=1e-6)
    controls.fill_pitch(1, out, 0.0, 0.01)
    np.testing.assert_allclose([controls.note_at(1, 0.01 * index) for index in range(64)], out, atol=1e-5)
