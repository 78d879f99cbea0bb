"""What the denoiser is told, and what it is not."""

from __future__ import annotations

import itertools

import numpy as np

from synth.diffusion.conditioning import (
    CONDITION_DIM,
    TIMBRE_DIM,
    TimbreScale,
    condition_array,
    lane_columns,
    pathway_slices,
    typical_timbre,
    without,
)
from synth.spec.lanes import LANES, Pathway

SCALE = TimbreScale((0.0,) * TIMBRE_DIM, (1.0,) * TIMBRE_DIM)


def lanes(n_frames: int = 6, **given: float) -> dict[str, np.ndarray]:
    values = {spec.id: np.full(n_frames, spec.default, dtype=np.float32) for spec in LANES}
    values["presence"][:] = 1.0
    for name, value in given.items():
        values[name][:] = value
    return values


def test_slices_tile_the_array() -> None:
    parts = list(pathway_slices().values())
    assert parts[0].start == 0
    assert parts[-1].stop == CONDITION_DIM
    assert all(a.stop == b.start for a, b in itertools.pairwise(parts))


def test_a_lane_that_is_not_asked_is_masked() -> None:
    asked = lanes()
    asked["breathiness"][:] = np.nan
    array = condition_array(asked, None, SCALE)
    columns = lane_columns()["breathiness"]
    assert (array[:, columns] == 0).all()
    assert (array[:, lane_columns()["roughness"].start + 1] == 1).all()
    assert np.isfinite(array).all()


def test_silence_tells_presence_only() -> None:
    quiet = condition_array(lanes(presence=0.0, roughness=1.0), np.ones(TIMBRE_DIM, np.float32), SCALE)
    presence = lane_columns()["presence"]
    assert (quiet[:, presence.start + 1] == 1).all()
    rest = np.delete(quiet, np.r_[presence], axis=1)
    assert (rest == 0).all()


def test_the_timbre_is_that_of_the_techniques_and_nothing_without_one() -> None:
    typical = {"modal": np.full(TIMBRE_DIM, 2.0, np.float32), "breathy": np.full(TIMBRE_DIM, 6.0, np.float32)}
    asked = lanes()
    for name in typical:
        asked[f"technique.{name}"] = np.full_like(asked["presence"], 0.5)
    asked["technique.modal"][0] = asked["technique.breathy"][0] = 0.0
    asked["technique.breathy"][1] = 0.0
    timbre = typical_timbre(asked, typical)
    assert timbre is not None
    assert np.isnan(timbre[0]).all()
    assert np.array_equal(timbre[1:3, 0], [2.0, 4.0])
    # A frame of no technique asks for no timbre, not for one of zeros that nobody has.
    mask = condition_array(asked, timbre, SCALE)[:, pathway_slices()[Pathway.TIMBRE].stop - 1]
    assert mask.tolist() == [0.0, 1.0, 1.0, 1.0, 1.0, 1.0]
    assert typical_timbre(asked, {}) is None


def test_lanes_are_scaled_to_their_range() -> None:
    for value, scaled in ((24.0, -1.0), (60.0, 0.0), (96.0, 1.0)):
        array = condition_array(lanes(pitch=value), None, SCALE)
        assert np.allclose(array[:, lane_columns()["pitch"].start], scaled)


def test_dropping_a_pathway_keeps_presence() -> None:
    array = condition_array(lanes(), np.ones(TIMBRE_DIM, np.float32), SCALE)
    for pathway, part in pathway_slices().items():
        dropped = without(array, pathway)
        presence = lane_columns()["presence"]
        assert np.array_equal(dropped[:, presence], array[:, presence])
        if pathway is not Pathway.NOISE:
            assert (dropped[:, part] == 0).all()
        kept = np.delete(np.arange(CONDITION_DIM), np.r_[part])
        assert np.array_equal(dropped[:, kept], array[:, kept])


def test_timbre_may_move() -> None:
    still = condition_array(lanes(), np.full(TIMBRE_DIM, 0.5, np.float32), SCALE)
    moving = condition_array(lanes(), np.full((6, TIMBRE_DIM), 0.5, np.float32), SCALE)
    assert np.array_equal(still, moving)
