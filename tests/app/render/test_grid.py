"""Cells, windows and the cross-fade of latents."""

from __future__ import annotations

import numpy as np
import pytest

from app.render.grid import (
    CELL_SAMPLES,
    assemble_latents,
    by_nearness,
    cell_at,
    cells_hearing,
    fade_in,
    n_cells_of,
    n_samples_of,
    sample_range,
    window_start_frame,
    windows_for_cell,
    windows_seeing,
)
from synth.spec.audio import WINDOW_FRAMES


@pytest.mark.parametrize(
    ("duration_s", "n_samples", "n_cells"),
    [
        (0.01, 480, 1),
        (0.8, 38400, 1),
        (0.81, 38880, 2),
        (4.0, 192000, 5),
        (4.0000001, 192000, 5),
        (7200.0, 345600000, 9000),
    ],
)
def test_cells_cover_passages_of_any_length(duration_s: float, n_samples: int, n_cells: int) -> None:
    assert n_samples_of(duration_s) == n_samples
    assert n_cells_of(n_samples) == n_cells
    assert sample_range(n_cells - 1, n_samples)[1] == n_samples
    assert sum(end - start for start, end in (sample_range(cell, n_samples) for cell in range(n_cells))) == n_samples


@pytest.mark.parametrize(("t_s", "cell"), [(0.0, 0), (0.79, 0), (0.8, 1), (2.4, 3), (-0.1, -1)])
def test_time_to_cell(t_s: float, cell: int) -> None:
    assert cell_at(t_s) == cell


def test_windows_seeing_agrees_with_looking_at_every_window() -> None:
    n_cells = 12
    for start in range(-30, 990, 7):
        for length in (1, 31, 100, 250):
            seen = [
                cell
                for cell in range(n_cells)
                if window_start_frame(cell) < start + length and start < window_start_frame(cell) + WINDOW_FRAMES
            ]
            assert list(windows_seeing(start, start + length, n_cells)) == seen
    assert list(windows_seeing(50, 50, n_cells)) == []


def test_one_second_lies_in_at_most_three_windows() -> None:
    counts = {len(windows_seeing(start, start + 100, 75)) for start in range(400, 560)}
    assert counts == {2, 3}


def test_hearing_is_one_cell_wider_and_stays_in_the_passage() -> None:
    assert list(cells_hearing(430, 440, 75)) == [4, 5, 6]
    assert list(cells_hearing(0, 10, 75)) == [0, 1]
    assert list(cells_hearing(-500, -400, 75)) == []


def test_nearness_prefers_what_comes_next() -> None:
    assert by_nearness(range(8), 3) == [3, 4, 2, 5, 6, 1, 7, 0]


def test_fade_weights_are_complementary_and_rise() -> None:
    rising = fade_in()
    assert np.all(np.diff(rising) > 0)
    np.testing.assert_allclose(rising + rising[::-1], 1.0, atol=1e-6)


def _absolute_windows(n_cells: int) -> dict[int, np.ndarray]:
    """Latents that are the absolute frame number itself: agreeing windows must cross-fade to the same."""
    frames = np.arange(WINDOW_FRAMES, dtype=np.float32)
    return {cell: (frames + window_start_frame(cell))[None, :] for cell in range(n_cells)}


def test_assembled_latents_are_the_asked_absolute_frames() -> None:
    windows = _absolute_windows(3)
    for cell in range(3):
        around = {index: windows[index] for index in windows_for_cell(cell, 3)}
        latents = assemble_latents(around, cell)
        np.testing.assert_allclose(latents[0], np.arange(cell * 80 - 14, cell * 80 + 82), atol=1e-3)


def test_two_cells_see_the_same_bits_where_their_latents_overlap() -> None:
    rng = np.random.default_rng(1)
    windows = {cell: rng.standard_normal((6, WINDOW_FRAMES)).astype(np.float32) for cell in range(4)}
    first = assemble_latents({index: windows[index] for index in (0, 1, 2)}, 1)
    second = assemble_latents({index: windows[index] for index in (1, 2, 3)}, 2)
    # Frames 146..161 are the last 16 of cell 1's latents and the first 16 of cell 2's.
    assert np.array_equal(first[:, -16:], second[:, :16])


def test_cross_fade_moves_from_one_window_to_the_other() -> None:
    windows = {0: np.zeros((1, WINDOW_FRAMES), np.float32), 1: np.ones((1, WINDOW_FRAMES), np.float32)}
    latents = assemble_latents(windows, 1)[0]
    assert latents[0] < 0.05
    assert np.all(np.diff(latents[:30]) > 0)
    assert np.all(latents[30:] == 1.0)


def test_wrong_window_length_is_refused() -> None:
    with pytest.raises(ValueError, match="112"):
        assemble_latents({0: np.zeros((4, 96), np.float32)}, 0)


def test_cell_samples() -> None:
    assert CELL_SAMPLES == 38_400
