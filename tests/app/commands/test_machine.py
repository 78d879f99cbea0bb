"""What the doctor concludes from what it measures."""

from __future__ import annotations

import pytest

from app.audio.periods import PeriodTrial, try_periods
from app.commands.machine import (
    MOST_VOICES,
    Cost,
    denormal_cost,
    machine_findings,
    period_advice,
    play_advice,
    voices_by_jumps,
)


def trial(n_frames: int, *, under_runs: int = 0, gap_ms: float | None = None, refusal: str = "") -> PeriodTrial:
    period_ms = n_frames / 48.0
    return PeriodTrial(
        n_frames, 48_000.0, 100, under_runs, period_ms if gap_ms is None else gap_ms, 2.0 * period_ms, refusal
    )


def test_voices_cost_what_lies_on_the_line_through_both_measurements() -> None:
    cost = Cost(0.2, 0.5, 4)
    assert cost.at(1) == pytest.approx(0.2)
    assert cost.at(4) == pytest.approx(0.5)
    assert cost.at(7) == pytest.approx(0.8)
    assert cost.most_voices(0.65) == 5
    assert cost.most_voices(0.1) == 0
    assert Cost(0.001, 0.001, 4).most_voices(1.0) == MOST_VOICES


def test_the_finest_draw_with_enough_voices_is_recommended() -> None:
    drawing = {4: Cost(0.25, 0.9, 4), 2: Cost(0.15, 0.45, 4), 1: Cost(0.08, 0.24, 4)}
    allowed = voices_by_jumps(Cost(0.1, 0.3, 4), drawing, n_cores=2)
    assert allowed == {4: 3, 2: 6, 1: 11}
    jumps, voices, words = play_advice(allowed)
    assert (jumps, voices) == (2, 6)
    assert words == "Play with 2 jumps and up to 6 voices."


def test_one_core_leaves_room_for_less() -> None:
    drawing = {1: Cost(0.3, 0.9, 4)}
    sounding = Cost(0.3, 0.9, 4)
    assert voices_by_jumps(sounding, drawing, n_cores=1)[1] < voices_by_jumps(sounding, drawing, n_cores=2)[1]


def test_a_machine_that_is_too_slow_is_told_so() -> None:
    jumps, voices, words = play_advice({4: 0, 2: 0, 1: 0})
    assert (jumps, voices) == (None, 0)
    assert "too slow" in words


def test_the_shortest_period_from_which_on_all_hold() -> None:
    trials = [trial(64), trial(128, under_runs=2), trial(256), trial(512)]
    best, words = period_advice(trials)
    assert best is not None
    assert best.n_frames == 256
    assert "256 frames (5.3 ms)" in words
    assert "10.7 ms" in words


def test_a_period_with_a_long_gap_or_a_refusal_does_not_hold() -> None:
    assert not trial(128, gap_ms=30.0).holds
    assert not trial(128, refusal="Invalid sample rate").holds
    assert trial(128).holds
    best, words = period_advice([trial(256, under_runs=1)])
    assert best is None
    assert "No device period held" in words


def test_without_a_sound_card_nothing_is_claimed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JACK_NO_START_SERVER", "1")
    assert all(tried.n_blocks > 0 or tried.refusal for tried in try_periods((256,)))


def test_the_machine_is_measured_not_assumed() -> None:
    _, lines, _, values = machine_findings()
    assert 0.0 < values["timer_late_ms"] <= values["timer_late_p99_ms"]
    assert denormal_cost() > 0.1
    assert len(lines) >= 3
