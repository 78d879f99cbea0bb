"""Previews: named by what is heard in them, without silence before, and within bounds."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from dataclasses import replace
from multiprocessing import Pipe
from pathlib import Path

import numpy as np
import pytest
import soundfile

from app.render.cache import CellCache
from app.render.events import EngineReady, RenderFinished
from app.render.messages import Command, MakePreview, PreviewMade, Quit, Render
from app.render.previews import (
    AUDIBLE,
    FRAME_BYTES,
    PREVIEW_CELLS,
    keep_preview,
    preview_frames,
    preview_path,
    read_preview,
    recording_path,
    sing_preview,
)
from app.render.voice import never
from app.render.worker import Worker, WorkerSettings
from app.state.passage import Note, Passage, Voice
from app.state.preset import Preset
from synth.errors import Cancelled, UserError
from synth.spec import CELL_FRAMES, HOP_SAMPLES, SAMPLE_RATE_HZ
from tests.app.render.fake_engine import FakeEngine

HOARSE = Preset("hoarse", "Hoarse", lane_defaults={"roughness": 0.5, "pitch": 50.0})


def test_the_name_is_made_of_what_is_heard(tmp_path: Path) -> None:
    path = preview_path(tmp_path, HOARSE, "one")
    for same in (replace(HOARSE, name="Other", tags=("x",)), replace(HOARSE, id="copy", notes="n", edition=7)):
        assert preview_path(tmp_path, same, "one") == path
    for other in (
        replace(HOARSE, lane_defaults={"roughness": 0.6, "pitch": 50.0}),
        replace(HOARSE, level_db=-3.0),
        replace(HOARSE, technique={"growl": 1.0}),
        replace(HOARSE, gestures={"roughness": ((0.1, 0.2),)}),
    ):
        assert preview_path(tmp_path, other, "one") != path
    assert preview_path(tmp_path, HOARSE, "two") != path


def test_a_preset_is_sung_at_its_own_pitch_and_level_from_its_first_sound() -> None:
    cache = CellCache()
    audio = sing_preview(FakeEngine(), cache, HOARSE, never)
    assert len(audio) <= PREVIEW_CELLS * CELL_FRAMES * HOP_SAMPLES
    assert int(np.flatnonzero(np.abs(audio) > AUDIBLE)[0]) <= 48
    quieter = sing_preview(FakeEngine(), cache, replace(HOARSE, level_db=-6.0), never)
    assert np.abs(quieter).max() == pytest.approx(0.5012 * np.abs(audio).max(), rel=1e-3)
    peaks_hz = np.abs(np.fft.rfft(audio[2_400:26_400])).argmax() * SAMPLE_RATE_HZ / 24_000
    assert peaks_hz == pytest.approx(440.0 * 2.0 ** ((50.0 - 69.0) / 12.0), abs=4.0)


def test_being_interrupted_loses_no_window_that_was_sampled() -> None:
    engine, cache = FakeEngine(), CellCache()

    def after_one() -> bool:
        return len(engine.sampled) >= 1

    with pytest.raises(Cancelled):
        sing_preview(engine, cache, HOARSE, after_one)
    assert len(engine.sampled) == 1
    sing_preview(engine, cache, HOARSE, never)
    assert len(engine.sampled) == len(set(engine.sampled)), "nothing was sampled twice"


def test_kept_previews_are_stereo_files_that_fade_out(tmp_path: Path) -> None:
    path = tmp_path / "previews" / "a.preview"
    assert preview_frames(path) == 0
    keep_preview(path, np.full(48_000, 0.5, dtype=np.float32))
    assert preview_frames(path) == 48_000
    kept = np.fromfile(path, dtype="<f4").reshape(-1, 2)
    assert np.array_equal(kept[:, 0], kept[:, 1])
    assert kept[0, 0] == 0.5
    assert kept[-1, 0] == 0.0
    assert [other.name for other in path.parent.iterdir()] == ["a.preview"]


def test_the_oldest_give_way(tmp_path: Path) -> None:
    audio = np.zeros(1_000, dtype=np.float32)
    for age, name in enumerate(("new", "used", "old")):
        path = tmp_path / f"{name}.preview"
        keep_preview(path, audio)
        os.utime(path, (1_000.0 - age, 1_000.0 - age))
    preview_frames(tmp_path / "used.preview")
    keep_preview(tmp_path / "newest.preview", audio, budget_bytes=2 * 1_000 * FRAME_BYTES)
    assert sorted(path.stem for path in tmp_path.iterdir()) == ["newest", "used"]


def test_a_folder_that_cannot_be_written_to_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "previews").write_text("no folder")
    with pytest.raises(UserError, match="cannot be kept"):
        keep_preview(tmp_path / "previews" / "a.preview", np.zeros(10, dtype=np.float32))


@pytest.mark.parametrize("rate_hz", [48_000, 44_100])
def test_strangers_recordings_are_cut_and_made_no_louder_than_presets(tmp_path: Path, rate_hz: int) -> None:
    path = tmp_path / "loud.flac"
    silence, tone = np.zeros(rate_hz), 0.99 * np.sign(np.sin(np.arange(4 * rate_hz) / 30.0))
    soundfile.write(path, np.concatenate([silence, tone]), rate_hz, format="FLAC", subtype="PCM_16")
    audio = read_preview(path)
    assert len(audio) == PREVIEW_CELLS * CELL_FRAMES * HOP_SAMPLES
    assert np.sqrt(np.mean(np.square(audio))) == pytest.approx(10.0 ** (-16.0 / 20.0), rel=0.02)
    soundfile.write(path, silence, rate_hz, format="FLAC", subtype="PCM_16")
    with pytest.raises(UserError, match="no sound"):
        read_preview(path)
    assert recording_path(tmp_path, path) != recording_path(tmp_path, tmp_path / "other.flac")


def _replies(folder: Path, engine: FakeEngine, *commands: Command, until: Callable[[object], bool]) -> list[object]:
    ours, theirs = Pipe()
    settings = WorkerSettings(folder, None, engine_loader=lambda _device, _threads: engine)
    worker = threading.Thread(target=Worker(theirs, settings).run, name="worker")
    worker.start()
    assert isinstance(ours.recv(), EngineReady)
    for command in commands:
        ours.send(command)
    replies: list[object] = []
    while not replies or not until(replies[-1]):
        replies.append(ours.recv())
    ours.send(Quit())
    worker.join(5.0)
    assert not worker.is_alive()
    return replies


def test_a_render_goes_before_a_preview_that_was_asked_for_earlier(tmp_path: Path) -> None:
    path = preview_path(tmp_path, HOARSE, "fake-weights")
    passage = Passage(2.0, voices=(Voice(notes=(Note(0.0, 1.5, 60.0),)),))
    commands = (MakePreview(path, HOARSE), Render(1, passage, "draft", 0.0, has_audio=False))
    replies = _replies(tmp_path, FakeEngine(step_s=0.01), *commands, until=lambda reply: isinstance(reply, PreviewMade))
    assert replies[-1] == PreviewMade(path)
    assert any(isinstance(reply, RenderFinished) for reply in replies)
    assert preview_frames(path) > 0.9 * SAMPLE_RATE_HZ


def test_what_cannot_be_made_is_told(tmp_path: Path) -> None:
    path = tmp_path / "a.preview"
    command = MakePreview(path, HOARSE, tmp_path / "absent.flac")
    (reply,) = _replies(tmp_path, FakeEngine(), command, until=lambda reply: isinstance(reply, PreviewMade))
    assert isinstance(reply, PreviewMade)
    assert "no file" in reply.fault
