"""A stroke, and a cut, leave the frames beside them alone to the last bit."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from app.state import edits
from app.state.cutting import points_from, points_up_to
from app.state.passage import Lane, Passage, Voice, lane_range

DURATION_S = 6.0
N_FRAMES = 600
CENTRES_S = (np.arange(N_FRAMES) + 0.5) / 100
# Halfway between two neighbours of single precision: which one a frame gets hangs on the last bit of its double.
TIES = (0.5 + 2.0**-25, 0.1875 + 2.0**-27, 60.0 + 2.0**-19)


def values(lane_id: str) -> st.SearchStrategy[float]:
    low, high = lane_range(lane_id)
    return st.floats(low, high) | st.sampled_from([tie for tie in TIES if low <= tie <= high])


@st.composite
def strokes(draw: st.DrawFn) -> tuple[str, Lane, list[tuple[float, float]]]:
    """A lane of any doubles, and a pen's track over it."""
    lane_id = draw(st.sampled_from(["pitch", "tension"]))
    at_s = sorted(draw(st.sets(st.floats(0.0, DURATION_S).map(lambda t_s: round(t_s, 5)), min_size=1, max_size=8)))
    drawn = draw(st.lists(values(lane_id), min_size=len(at_s), max_size=len(at_s)))
    lane = Lane(tuple(zip(at_s, drawn, strict=True)), draw(st.sampled_from(["linear", "step"])))
    track = draw(st.lists(st.tuples(st.floats(0.0, DURATION_S), values(lane_id)), min_size=1, max_size=6))
    return lane_id, lane, track


def frames(passage: Passage, lane_id: str) -> np.ndarray:
    return passage.voices[0].lanes[lane_id].at_frames(0, N_FRAMES)


@settings(max_examples=400, deadline=None)
@given(strokes())
def test_a_stroke_leaves_every_other_frame_alone(drawn: tuple[str, Lane, list[tuple[float, float]]]) -> None:
    lane_id, lane, track = drawn
    before = Passage(DURATION_S, voices=(Voice(lanes={lane_id: lane}),))
    after = edits.draw_points(before, 0, lane_id, track)
    first_s, last_s = min(t_s for t_s, _ in track), max(t_s for t_s, _ in track)
    near_s = 2.0 * edits.EDGE_S
    away = (first_s - near_s > CENTRES_S) | (last_s + near_s < CENTRES_S)
    if lane_id == "pitch":  # beyond its ends it covers nothing; a stroke there is joined to it
        away &= (lane.first_s <= CENTRES_S) & (lane.last_s >= CENTRES_S)
    old, new = frames(before, lane_id), frames(after, lane_id)
    assert np.array_equal(old[away], new[away]), np.flatnonzero((old != new) & away)


@settings(max_examples=200, deadline=None)
@given(strokes(), st.floats(0.02, DURATION_S))
def test_either_half_of_a_cut_curve_keeps_its_frames(
    drawn: tuple[str, Lane, list[tuple[float, float]]], cut_s: float
) -> None:
    _, lane, _ = drawn
    old = lane.at_frames(0, N_FRAMES)
    head = lane.with_points(points_up_to(lane, cut_s)).at_frames(0, N_FRAMES)
    tail = lane.with_points(points_from(lane, cut_s)).at_frames(0, N_FRAMES)
    assert np.array_equal(head[cut_s >= CENTRES_S], old[cut_s >= CENTRES_S])
    assert np.array_equal(tail[cut_s <= CENTRES_S], old[cut_s <= CENTRES_S])


def test_frames_on_a_rounding_boundary_get_points_of_their_own() -> None:
    """A curve of so many ulps that every frame lies within one ulp of a boundary."""
    tie = TIES[0]
    lane = Lane(((0.0, tie - 3e-16), (DURATION_S, tie + 3e-16)))
    old = lane.at_frames(0, N_FRAMES)
    plain = Lane(((1.2345, lane.value_at(1.2345)), (DURATION_S, tie + 3e-16)))
    assert (plain.at_frames(124, 400) != old[124:524]).any()  # a point on the curve is not enough here
    tail = points_from(lane, 1.2345)
    assert len(tail) > 2
    assert np.array_equal(lane.with_points(tail).at_frames(124, 400), old[124:524])


def test_an_ordinary_cut_costs_one_point() -> None:
    rng = np.random.default_rng(4)
    for _ in range(50):
        lane = Lane(tuple((float(t_s), float(rng.uniform())) for t_s in (0.0, 2.0, 4.0)))
        assert len(points_up_to(lane, 3.3)) == 3
        assert len(points_from(lane, 0.7)) == 3


def test_shortening_a_passage_keeps_the_frames_before_its_new_end() -> None:
    lane = Lane(((0.0, 0.1), (DURATION_S, 0.7)))
    before = Passage(DURATION_S, voices=(Voice(lanes={"tension": lane}),))
    after = edits.set_duration(before, 3.3333)
    assert np.array_equal(frames(after, "tension")[:333], frames(before, "tension")[:333])


def test_a_smooth_curve_bends_only_beside_the_stroke() -> None:
    lane = Lane(tuple((float(t_s), t_s % 2 / 2) for t_s in range(7)), "smooth")
    before = Passage(DURATION_S, voices=(Voice(lanes={"tension": lane}),))
    after = edits.draw_points(before, 0, "tension", [(3.2, 0.9), (3.4, 0.1)])
    differs = np.flatnonzero(frames(after, "tension") != frames(before, "tension"))
    assert len(differs)
    assert CENTRES_S[differs].min() >= 2.0
    assert CENTRES_S[differs].max() <= 5.0
