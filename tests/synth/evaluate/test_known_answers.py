"""Evaluations of engines that are known to obey, to be sharp, to hiss, or to lie."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from app.commands.evaluate_edits import evaluate_determinism, gesture_passage
from app.render.cache import CellCache
from app.render.clip import Clip
from app.render.grid import n_samples_of
from app.render.renderer import Renderer, RenderRequest
from app.state.passage import Passage
from app.state.preset import NEUTRAL_PRESET
from app.state.resolve import resolve
from synth.errors import UserError
from synth.evaluate import pitch as pitch_module
from synth.evaluate.controls import ControlsPlan, evaluate_controls
from synth.evaluate.pitch import evaluate_pitch
from synth.evaluate.silence import evaluate_silence
from synth.evaluate.singing import Gesture, Singer, neutral_controls
from synth.spec import Float32Array
from tests.synth.evaluate.known_engines import KnownEngine
from tests.tiny_weights import tiny_engine


def _singer(**known: float) -> Singer:
    engine: Any = KnownEngine(**known)
    return Singer(engine, "draft")


def _from_scratch(engine: Any, folder: Path, passage: Passage, quality: str) -> Float32Array:
    clip = Clip(folder, n_samples_of(passage.duration_s), 0)
    Renderer(engine, CellCache()).render(RenderRequest(passage, {}, quality), clip)
    return clip.read_mix(0, clip.n_samples)


def test_an_obeyed_lane_has_slope_one_and_an_ignored_one_none() -> None:
    report = evaluate_controls(_singer(), ControlsPlan(lanes=("loudness", "fry"), n_segments=12))
    loudness, fry = report.lanes
    assert loudness.rho.value == pytest.approx(1.0)
    assert loudness.slope == pytest.approx(1.0, abs=0.02)
    assert loudness.mean_error.value == pytest.approx(0.0, abs=0.3)
    assert not fry.rho.value > 0.6
    assert report.cross_talk["loudness"]["loudness"] == pytest.approx(1.0)
    assert len(loudness.asked) == len(loudness.measured) == 12


def test_all_at_once_every_lane_is_drawn_anew_each_time() -> None:
    report = evaluate_controls(_singer(), ControlsPlan(lanes=("loudness", "tension"), n_segments=5, all_at_once=True))
    asked = {lane.lane_id: lane.asked for lane in report.lanes}
    assert len(set(asked["loudness"])) == len(set(asked["tension"])) == 5
    assert "every acoustic lane random" in report.setting


def test_silence_is_as_deep_as_the_hiss() -> None:
    report = evaluate_silence(_singer(floor_db=-47.0), seeds=(0,), techniques=("modal", "scream"))
    assert report.difference_db.value == pytest.approx(47.0, abs=0.5)
    assert report.lowest_db == pytest.approx(47.0, abs=0.5)
    assert [found.technique for found in report.passages] == ["modal", "scream"]


@pytest.mark.parametrize("offset_cents", [0.0, 35.0])
def test_both_trackers_hear_how_sharp_a_voice_is(offset_cents: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pitch_module, "_STEADY_S", 0.5)
    monkeypatch.setattr(pitch_module, "_GLIDE_S", 1.6)
    monkeypatch.setattr(pitch_module, "_VIBRATO_S", 1.6)
    report = evaluate_pitch(_singer(offset_cents=offset_cents), seeds=(0,), n_simulated=1)
    assert {found.tracker for found in report.figures} == {"praat", "swift_f0"}
    assert {found.source for found in report.trackers_alone} == {"simulated modal", "simulated breathy"}
    for found in report.figures:
        assert found.bias_cents == pytest.approx(offset_cents, abs=8.0), found
        assert found.missed_percent < 5.0, found
        assert found.gross_percent < 2.0, found


def test_an_octave_off_is_gross(monkeypatch: pytest.MonkeyPatch) -> None:
    found = pitch_module.pitch_figures("praat", "modal", "steady", 0.0, np.array([1.0, -3.0, -1200.0, np.nan]))
    assert found.gross_percent == pytest.approx(100.0 / 3.0)
    assert found.missed_percent == pytest.approx(25.0)
    assert found.median_cents.value == pytest.approx(2.0)


def test_what_is_measured_is_what_is_rendered(tmp_path: Path) -> None:
    """The evaluation's own cells give the renderer's samples, bit for bit."""
    engine = tiny_engine(tmp_path / "weights")
    drawn = gesture_passage(2.4)
    # Level over the first frame and without notes, so that what lies before the gesture is its first frame, held.
    lanes = {
        name: curve.with_points([curve.points[0], (0.02, curve.points[0][1]), *curve.points[1:]])
        for name, curve in drawn.voices[0].lanes.items()
    }
    voice = replace(drawn.voices[0], notes=(), lanes=lanes)
    passage = drawn.with_voice(0, voice)
    controls = resolve(passage, voice, NEUTRAL_PRESET, 0, passage.n_frames)
    sung = Singer(engine, "live").sing(Gesture(controls), voice.seed)
    rendered = _from_scratch(engine, tmp_path, passage, "live")[:, 0]
    assert np.abs(sung).max() > 1e-3
    assert np.array_equal(sung, rendered)


def test_a_faithful_engine_is_the_same_after_any_edits(tmp_path: Path) -> None:
    engine = KnownEngine()
    report = evaluate_determinism(
        engine,
        "draft",
        elsewhere=lambda passage, quality: _from_scratch(KnownEngine(), tmp_path, passage, quality),
        duration_s=8.0,
        lanes=("pitch", "loudness"),
        n_places=6,
    )
    assert all(found.is_identical for found in report.sameness), report.sameness
    assert len(report.sameness) == 4
    assert report.n_edits == 12
    assert 0.8 < max(report.worst_resampled_s.values()) <= 3.0
    assert report.worst_changed_s["loudness"] >= 0.9
    assert report.changed_elsewhere == 0


def test_an_engine_that_is_no_function_of_the_passage_is_found_out(tmp_path: Path) -> None:
    report = evaluate_determinism(
        KnownEngine(fault=1e-4),
        "draft",
        elsewhere=lambda passage, quality: _from_scratch(KnownEngine(), tmp_path, passage, quality),
        duration_s=8.0,
        lanes=(),
        n_places=1,
    )
    assert not any(found.is_identical for found in report.sameness)
    assert all(found.largest_difference > 1e-5 for found in report.sameness)


def test_neutral_controls_refuse_unknown_lanes() -> None:
    with pytest.raises(KeyError):
        neutral_controls(10, {"hoarseness": 0.5})
    unasked = neutral_controls(10, {"loudness": -20.0}, technique="none")
    assert np.isnan(unasked.values["technique.modal"]).all()
    assert unasked.values["loudness"].tolist() == [-20.0] * 10


def test_a_corpus_that_is_not_there_is_a_line(tmp_path: Path) -> None:
    from synth.evaluate.recordings import held_out

    with pytest.raises(UserError, match="no corpus"):
        held_out(tmp_path, 3)
