"""Tools, scaling, curves and grid as pure functions: no window."""

from __future__ import annotations

import numpy as np
import pytest

from app.state.passage import Lane, Note, Passage, Tempo, Voice
from synth.spec import lane
from ui.canvas.axis import beats_between, grid_snap, second_ticks, time_label
from ui.canvas.curves import decimated, polygon
from ui.canvas.spectrum import N_ROWS, row_frequencies_hz, tile_levels
from ui.canvas.view import TimeView, ValueView, zoomed_values
from ui.canvas.waveform import BUCKET_SAMPLES, PeakSummary
from ui.edit_passage import apply_edit
from ui.formats import clock_label, note_name, value_label
from ui.measured import lane_error
from ui.tools.lane_tools import LineTool, PenTool
from ui.tools.model import DrawCurve, EraseCurve, Pointer, ReplaceNotes, Scene, Snap
from ui.tools.note_tool import NoteTool

SCENE = Scene("fry", 0.0, 1.0, 10.0)


def test_pen_going_back_redraws_what_it_passes() -> None:
    pen = PenTool()
    pen.press(Pointer(1.0, 0.1), SCENE)
    for t_s, value in ((2.0, 0.2), (3.0, 0.3), (2.5, 0.9)):
        pen.move(Pointer(t_s, value))
    outcome = pen.release(Pointer(2.0, 0.8))
    assert isinstance(outcome, DrawCurve)
    assert outcome.points == ((1.0, 0.1), (2.0, 0.8), (2.5, 0.9), (3.0, 0.3))


def test_pen_stays_inside_range_and_passage() -> None:
    pen = PenTool()
    pen.press(Pointer(-1.0, 7.0), SCENE)
    outcome = pen.release(Pointer(12.0, -3.0))
    assert isinstance(outcome, DrawCurve)
    assert outcome.points == ((0.0, 1.0), (10.0, 0.0))


def test_modifiers_hold_the_level_and_refine() -> None:
    pen = PenTool()
    pen.press(Pointer(1.0, 0.4), SCENE)
    pen.move(Pointer(2.0, 0.8, alt=True))
    assert pen.preview.curve[-1] == (2.0, pytest.approx(0.5))
    pen.move(Pointer(3.0, 0.9, shift=True))
    assert pen.preview.curve[-1] == (3.0, 0.4)


def test_line_runs_either_way_and_snaps() -> None:
    line = LineTool()
    scene = Scene("fry", 0.0, 1.0, 10.0, snap=Snap(True, lambda t_s: float(round(t_s))))
    line.press(Pointer(5.2, 0.2), scene)
    outcome = line.release(Pointer(1.9, 0.7))
    assert outcome == DrawCurve("fry", ((2.0, 0.7), (5.0, 0.2)))


def test_note_tool_resizes_at_the_end_and_moves_by_semitones() -> None:
    scene = Scene("pitch", 24.0, 96.0, 10.0, notes=(Note(1.0, 1.0, 60.5),), in_roll=True, edge_s=0.05)
    tool = NoteTool()
    tool.press(Pointer(1.98, 60.4), scene)
    outcome = tool.release(Pointer(3.0, 66.0))
    assert isinstance(outcome, ReplaceNotes)
    assert outcome.changes == ((0, Note(1.0, 2.0, 60.5)),)
    tool.press(Pointer(1.5, 60.5), scene)
    outcome = tool.release(Pointer(1.5, 62.7))
    assert isinstance(outcome, ReplaceNotes)
    assert outcome.changes[0][1].note == 62.5


def test_erasing_drawn_pitch_lets_the_notes_below_speak_again() -> None:
    voice = Voice(notes=(Note(2.0, 1.0, 70.0),), lanes={"pitch": Lane(((1.0, 50.0), (2.5, 52.0), (4.0, 50.0)))})
    after, _ = apply_edit(Passage(5.0, voices=(voice,)), 0, EraseCurve("pitch", 2.0, 3.0), None)
    assert after.voices[0].lanes["pitch"].value_at(2.5) == pytest.approx(70.0)


def test_zoom_keeps_the_anchor() -> None:
    view = TimeView(2.0, 100.0, 800)
    zoomed = view.zoomed(2.0, 300.0, 60.0)
    assert zoomed.px_per_s == 200.0
    assert zoomed.t_of(300.0) == pytest.approx(view.t_of(300.0))
    rows = ValueView(40.0, 80.0, 400.0)
    closer = zoomed_values(rows, 2.0, 100.0, 23.5, 96.5)
    assert closer.value_of(100.0) == pytest.approx(rows.value_of(100.0))


def test_decimation_keeps_the_extremes_of_each_column() -> None:
    x_px = np.linspace(0, 100, 20_000)
    y_px = np.sin(x_px * 40)
    y_px[777] = 55.0
    columns, values = decimated(x_px, y_px, 100)
    assert len(columns) <= 202
    assert values.max() == 55.0
    line = polygon(columns, values)
    assert line.size() == len(columns)
    assert line.at(3).y() == values[3]


def test_ticks_are_readable_at_every_scale() -> None:
    for scale in (0.5, 3.0, 40.0, 700.0, 3000.0):
        view = TimeView(10.0, scale, 1000)
        labelled = [tick for tick in second_ticks(view) if tick.label]
        spacing_px = np.diff([view.x_of(tick.t_s) for tick in labelled])
        assert len(labelled) >= 2
        assert spacing_px.min() > 60
    assert time_label(75.0, 5.0) == "1:15"


def test_beats_follow_tempo_and_metre_changes() -> None:
    tempo = Tempo(((0.0, 120.0), (4.0, 60.0)), ((0.0, 4, 4), (4.0, 3, 4)))
    beats = beats_between(tempo, 0.0, 10.0)
    assert [beat.t_s for beat in beats if beat.beat == 1] == pytest.approx([0.0, 2.0, 4.0, 7.0, 10.0])
    assert [beat.bar for beat in beats_between(tempo, 7.0, 10.0) if beat.beat == 1] == [4, 5]
    snap = grid_snap(TimeView(0.0, 20.0, 1000), tempo, enabled=True)
    assert snap.nearest_s(5.2) == pytest.approx(5.0)


def test_errors_are_taken_where_somebody_sings() -> None:
    asked = np.full(100, 60.0, dtype=np.float32)
    presence = np.r_[np.ones(50), np.zeros(50)].astype(np.float32)
    times_s = ((np.arange(100) + 0.5) * 0.01).astype(np.float32)
    heard = np.where(presence > 0, asked + 0.1, 0).astype(np.float32)
    heard[3] = np.nan
    assert lane_error("pitch", asked, presence, (times_s, heard)) == pytest.approx(10.0, abs=0.1)
    assert lane_error("fry", asked, np.zeros(100, dtype=np.float32), (times_s, heard)) is None
    assert lane_error("fry", asked, presence, None) is None


def test_a_tone_lights_its_row_only() -> None:
    frequency_hz = 1000.0
    tone = np.sin(2 * np.pi * frequency_hz * np.arange(48_000) / 48_000).astype(np.float32)
    levels = tile_levels(np.stack([tone, tone], axis=1), 20, 10)
    assert levels.shape == (N_ROWS, 10)
    row = N_ROWS - 1 - int(np.argmin(np.abs(row_frequencies_hz() - frequency_hz)))
    assert abs(int(levels[:, 5].argmax()) - row) <= 1
    assert levels[row + 30, 5] < levels[row, 5] / 2
    assert tile_levels(np.zeros((0, 2), dtype=np.float32), 0, 4).max() == 0


def test_peaks_are_summarised_where_asked_only() -> None:
    summary = PeakSummary()
    audio = np.zeros((10 * BUCKET_SAMPLES + 7, 2), dtype=np.float32)
    audio[5 * BUCKET_SAMPLES + 3] = 0.5
    summary.resize(len(audio))
    summary.update(audio, 0, 5)
    assert summary.high.max() == 0.0
    summary.update(audio, 5, 11)
    assert summary.high[5] == 0.5
    assert len(summary.high) == 11


def test_labels_speak_the_lanes_unit() -> None:
    assert note_name(57.25) == "A3 +25"
    assert value_label(lane("loudness"), -24.04) == "−24.0 dB"
    assert value_label(lane("bend"), 1.5) == "+1.50 st"
    assert clock_label(75.5) == "01:15.50"
