"""What can be represented, and what each fault is called."""

from __future__ import annotations

from collections.abc import Callable
from multiprocessing import Pipe

import numpy as np
import pytest

from app.state.passage import Lane, Note, Passage, Take, Tempo, Voice
from app.state.preset import NEUTRAL_PRESET, Preset
from synth.errors import UserError

NAN = float("nan")


def voice_with(lane_id: str, *points: tuple[float, float]) -> Callable[[], Passage]:
    return lambda: Passage(10.0, voices=(Voice(), Voice(lanes={lane_id: Lane(points)})))


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (voice_with("pitch", (0, 60), (1, 61), (2, 62), (3, 130)), "lanes.pitch[3]: 130 is above 96"),
        (voice_with("breathiness", (0, -0.5)), "lanes.breathiness[0]: -0.5 is below 0"),
        (voice_with("hoarseness", (0, 0.5)), "lanes.hoarseness: unknown lane"),
        (voice_with("adapter.ab12.top", (0, 0.5)), "unknown lane"),
        (voice_with("pitch", (1, 60), (11, 60)), "voices[1].lanes.pitch[1]: time 11 s is after the passage's end"),
        (voice_with("pitch", (-1, 60)), "voices[1].lanes.pitch[0]: time -1 s is before"),
        (lambda: Lane(((0, 60), (0, 61))), "[1]: time 0 s is not after 0 s"),
        (lambda: Lane(((0, 60), (2, 61), (1, 61))), "[2]: time 1 s is not after 2 s"),
        (lambda: Lane(((0, 60), (1, NAN))), "[1]: "),
        (lambda: Lane(((0, 60), (float("inf"), 1))), "[1]: "),
        (lambda: Lane(()), "at least one point"),
        (lambda: Lane(((0, 1),), "cubic"), "interpolation: unknown interpolation 'cubic'"),  # type: ignore[arg-type]
        (lambda: Note(0, 0, 60), "duration_s: a note cannot last 0 s"),
        (lambda: Note(0, -1, 60), "duration_s: -1 is below 0"),
        (lambda: Note(NAN, 1, 60), "start_s: nan is not a finite number"),
        (lambda: Note(0, 1, 130), "note: 130 is above 96"),
        (lambda: Note(0, 1, 60, 0), "velocity: 0 is below 1"),
        (lambda: Note(0, 1, 60, 96, "yodel"), "technique: unknown technique 'yodel'"),
        (lambda: Passage(0.0), "duration_s: a passage lasts at least"),
        (lambda: Passage(-2.0), "duration_s: -2 is below 0"),
        (lambda: Passage(4 * 3600 + 1), "duration_s: 14401 is above 14400"),
        (lambda: Passage(NAN), "duration_s: nan"),
        (lambda: Passage(3.0, voices=()), "voices: a passage needs at least one voice"),
        (lambda: Passage(3.0, voices=(Voice(notes=(Note(2, 2, 60),)),)), "voices[0].notes[0]: ends at 4 s"),
        (lambda: Voice(seed=-1), "seed: -1"),
        (lambda: Voice(seed=2**63), "seed: "),
        (lambda: Voice(name=" "), "name: "),
        (lambda: Voice(pan=2.0), "pan: 2 is above 1"),
        (lambda: Tempo(((0.0, 0.0),)), "points[0]: 0 is below 5"),
        (lambda: Tempo(((1.0, 60.0),)), "points: must begin at 0 s"),
        (lambda: Tempo(metre=((0.0, 3, 5),)), "metre[0]: 5 is not a note value"),
        (lambda: Take("t", 0, 1, 0, "w", "draft", "x", "0" * 64), "latents_sha256: 'x'"),
        (lambda: Preset(id="Bad id", name="x"), "id: 'Bad id'"),
        (lambda: Preset(id="x", name="x", lane_defaults={"presence": 1}), "lane_defaults.presence"),
        (lambda: Preset(id="x", name="x", lane_defaults={"tension": 2}), "lane_defaults.tension: 2 is above 1"),
        (lambda: Preset(id="x", name="x", technique={"fry": 0.8, "growl": 0.4}), "technique: the weights sum to 1.2"),
        (lambda: Preset(id="x", name="x", timbre=(0.0,) * 15), "timbre: 15 numbers where 16"),
        (lambda: Preset(id="x", name="x", attack_s=9.0), "attack_s: 9 is above 5"),
    ],
)
def test_a_wrong_value_cannot_be_made_and_its_place_is_named(build: Callable[[], object], message: str) -> None:
    with pytest.raises(UserError) as fault:
        build()
    assert message in str(fault.value)


def test_the_exact_place_and_remedy_of_a_point_out_of_range() -> None:
    with pytest.raises(UserError) as fault:
        voice_with("pitch", (0, 60), (1, 61), (2, 62), (3, 130))()
    # A voice checks its own values, so the place begins at the voice; files add the rest.
    assert fault.value.message == "lanes.pitch[3]: 130 is above 96."


def test_passages_and_presets_travel_between_processes() -> None:
    passage = Passage(4.0, voices=(Voice(notes=(Note(0, 1, 60),), lanes={"fry": Lane(((0, 0.5),), "step")}),))
    receiver, sender = Pipe(duplex=False)
    with receiver, sender:
        for value in (passage, NEUTRAL_PRESET):
            sender.send(value)
            assert receiver.poll(5.0)
            assert receiver.recv() == value


def test_notes_are_sorted_and_equal_starts_keep_their_order() -> None:
    late, first, second = Note(2, 1, 60), Note(1, 1, 61), Note(1, 1, 62)
    assert Voice(notes=(late, first, second)).notes == (first, second, late)


def test_lane_values_by_hand() -> None:
    points = ((0.0, 0.0), (1.0, 1.0), (2.0, 0.0))
    at_s = np.array([-1.0, 0.0, 0.25, 1.0, 1.5, 2.0, 9.0])
    assert Lane(points).at_times(at_s).tolist() == [0, 0, 0.25, 1, 0.5, 0, 0]
    assert Lane(points, "step").at_times(at_s).tolist() == [0, 0, 0, 1, 1, 0, 0]
    # Flat at ends and peak: each half is the smoothstep 3u^2 - 2u^3.
    assert Lane(points, "smooth").at_times(at_s).tolist() == [0, 0, 0.15625, 1, 0.5, 0, 0]


def test_smooth_agrees_with_scipy_away_from_the_ends() -> None:
    from scipy.interpolate import PchipInterpolator

    x = np.array([0.0, 0.4, 1.0, 1.1, 2.0, 3.5])
    y = np.array([0.1, 0.3, 0.35, 0.9, 0.95, 0.2])
    at_s = np.linspace(0.4, 2.0, 57)
    expected = PchipInterpolator(x, y)(at_s)
    np.testing.assert_allclose(Lane(tuple(zip(x, y, strict=True)), "smooth").at_times(at_s), expected, atol=1e-6)


def test_smooth_never_overshoots() -> None:
    rng = np.random.default_rng(5)
    x, y = np.cumsum(rng.uniform(0.01, 1.0, 200)), rng.uniform(0.0, 1.0, 200)
    lane = Lane(tuple(zip(x, y, strict=True)), "smooth")
    for left in range(199):
        inside = lane.at_times(np.linspace(x[left], x[left + 1], 9))
        low, high = sorted(y[left : left + 2].astype(np.float32))
        assert inside.min() >= low
        assert inside.max() <= high


def test_frame_values_are_taken_at_centres() -> None:
    lane = Lane(((0.0, 0.0), (1.0, 1.0)))
    np.testing.assert_allclose(lane.at_frames(10, 3), [0.105, 0.115, 0.125], atol=1e-7)
