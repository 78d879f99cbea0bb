"""From a passage to a file in one call."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

from app.render.offline import OfflineRenderer, render_passage_to_array, render_to_file, with_overrides
from app.state.passage import Note, Passage, Voice
from app.state.preset import Preset
from synth.errors import Cancelled, UserError
from tests.app.render.fake_engine import FakeEngine, load_fake_engine, load_fake_preset, load_missing_engine

PASSAGE = Passage(2.5, voices=(Voice("One", notes=(Note(0.2, 2.0, 60.0),)), Voice("Two", seed=5)))


def test_file_and_array_hold_the_same_samples(tmp_path: Path) -> None:
    seen: list[int] = []
    report = render_to_file(
        PASSAGE,
        tmp_path / "a.wav",
        stems=True,
        engine_loader=load_fake_engine,
        on_progress=lambda progress: seen.append(progress.done_cells),
    )
    array, again = render_passage_to_array(PASSAGE, engine_loader=load_fake_engine)
    assert array.shape == (120_000, 2)
    assert np.array_equal(soundfile.read(tmp_path / "a.wav", dtype="float32")[0], array)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a-1-one.wav", "a-2-two.wav", "a.wav"]
    assert seen == [1, 2, 3, 4]
    assert report.cells_decoded == 8
    assert report.load_s > 0
    assert again.cells_from_cache == 8  # the user's cache folder serves the next call


def test_overrides_reach_every_voice(tmp_path: Path) -> None:
    changed = with_overrides(PASSAGE, Preset("mine", "Mine"), 10)
    assert [(voice.preset, voice.seed) for voice in changed.voices] == [("mine", 10), ("mine", 11)]
    plain, _ = render_passage_to_array(PASSAGE, engine_loader=load_fake_engine)
    rough = Preset("mine", "Mine", pitch_drift=0.0)
    other, _ = render_passage_to_array(PASSAGE, preset_override=rough, engine_loader=load_fake_engine)
    assert not np.array_equal(plain, other)


def test_bad_targets_presets_and_qualities_fail_before_the_model_is_loaded(tmp_path: Path) -> None:
    loads: list[str] = []

    def loader(device: str, n_threads: int | None) -> FakeEngine:
        loads.append(device)
        return FakeEngine()

    with pytest.raises(UserError, match="neither"):
        render_to_file(PASSAGE, tmp_path / "a.ogg", engine_loader=loader)
    with pytest.raises(UserError, match="nobody"):
        render_to_file(PASSAGE, tmp_path / "a.wav", preset_override="nobody", engine_loader=loader)
    with pytest.raises(UserError, match="superb"):
        render_to_file(PASSAGE, tmp_path / "a.wav", quality="superb", engine_loader=loader)
    assert loads == []


def test_missing_model_is_a_user_error(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="model is missing"):
        render_to_file(PASSAGE, tmp_path / "a.wav", engine_loader=load_missing_engine)
    assert list(tmp_path.iterdir()) == []


def test_cancelled_render_leaves_no_file(tmp_path: Path) -> None:
    with pytest.raises(Cancelled):
        render_to_file(PASSAGE, tmp_path / "a.wav", engine_loader=load_fake_engine, should_stop=lambda: True)
    assert list(tmp_path.iterdir()) == []


def test_one_engine_serves_many_renders(tmp_path: Path) -> None:
    renderer = OfflineRenderer(engine_loader=load_fake_engine, preset_loader=load_fake_preset, cache_folder=tmp_path)
    first, _ = renderer.to_array(PASSAGE)
    second, report = renderer.to_array(PASSAGE)
    assert np.array_equal(first, second)
    assert report.cells_sampled == 0
    with pytest.raises(UserError, match="too long"):
        renderer.to_array(Passage(3600.0, voices=PASSAGE.voices))
