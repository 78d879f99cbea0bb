"""render, extract, measure, bench and the demo, with the small engine of the render tests."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile
from PySide6.QtGui import QImage

from app.commands.bench import lasting
from app.commands.extraction import passage_from_audio
from app.state.passage import Lane, Note, Passage, Voice
from app.store.passages import load_passage, save_passage
from synth.engine import Engine
from synth.spec import SAMPLE_RATE_HZ, Float32Array
from tests.app.commands.conftest import Program
from tests.app.render.fake_engine import FakeEngine


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> FakeEngine:
    """The model's place is taken; everything around it is real."""
    fake = FakeEngine()
    monkeypatch.setattr(Engine, "load", lambda *_arguments, **_settings: fake)
    return fake


@pytest.fixture
def passage_file(tmp_path: Path) -> Path:
    voice = Voice(
        preset=None,
        seed=3,
        notes=(Note(0.1, 1.2, 57.0), Note(1.4, 0.5, 60.0)),
        lanes={"roughness": Lane(((0.2, 0.1), (1.5, 0.8)))},
    )
    path = tmp_path / "short.stridor"
    save_passage(Passage(duration_s=2.0, voices=(voice,)), path)
    return path


def sung(seconds: float = 1.5) -> Float32Array:
    """A note with harmonics at 220 Hz, with silence before and after."""
    t_s = np.arange(round(seconds * SAMPLE_RATE_HZ)) / SAMPLE_RATE_HZ
    tone = sum(np.sin(2.0 * np.pi * 220.0 * k * t_s) / k for k in range(1, 12))
    envelope = np.clip((t_s - 0.2) / 0.05, 0.0, 1.0) * np.clip((seconds - 0.2 - t_s) / 0.05, 0.0, 1.0)
    return (0.1 * tone * envelope).astype(np.float32)


def test_render_writes_the_file_and_its_figures(
    engine: FakeEngine, passage_file: Path, tmp_path: Path, stridor: Program
) -> None:
    out = tmp_path / "out.flac"
    ran = stridor("render", passage_file, "-o", out, "--json", "--quality", "draft")
    assert ran.status == 0, ran.err
    result = json.loads(ran.out)
    assert result["output"] == str(out)
    assert result["quality"] == "draft"
    assert result["cells_sampled"] == 3
    audio, rate = soundfile.read(out)
    assert rate == SAMPLE_RATE_HZ
    assert audio.shape == (2 * SAMPLE_RATE_HZ, 2)


def test_render_takes_seed_and_preset_from_the_command_line(
    engine: FakeEngine, passage_file: Path, tmp_path: Path, stridor: Program
) -> None:
    sounds = []
    for words in ([], ["--seed", "4"], ["--seed", "3"]):
        out = tmp_path / f"out{len(sounds)}.wav"
        assert stridor("render", passage_file, "-o", out, *words).status == 0
        sounds.append(soundfile.read(out)[0])
    assert not np.array_equal(sounds[0], sounds[1])
    assert np.array_equal(sounds[0], sounds[2])


def test_render_of_a_read_only_folder_is_one_line(engine: FakeEngine, passage_file: Path, stridor: Program) -> None:
    ran = stridor("render", passage_file, "-o", "/proc/out.wav")
    assert ran.status == 2
    assert len(ran.err.splitlines()) == 1


def test_extract_then_measure_agree(tmp_path: Path, stridor: Program) -> None:
    recording, passage = tmp_path / "note.wav", tmp_path / "note.stridor"
    soundfile.write(recording, sung(), SAMPLE_RATE_HZ)
    ran = stridor("extract", recording, "-o", passage, "--json")
    assert ran.status == 0, ran.err
    assert json.loads(ran.out)["notes"] == 1
    voice = load_passage(passage).voices[0]
    assert voice.notes[0].note == pytest.approx(57.0, abs=0.05)
    ran = stridor("measure", recording, "--against", passage, "--json")
    errors = json.loads(ran.out)["errors"]
    assert errors["pitch"]["mean_absolute_error"] < 10.0
    assert errors["loudness"]["mean_absolute_error"] < 1.0
    table = stridor("measure", recording, "--against", passage)
    assert "pitch" in table.out
    assert "cents" in table.out


def test_measure_tells_different_sounds_apart(tmp_path: Path, stridor: Program) -> None:
    """The figures come from the audio: another audio, other figures."""
    recording, passage, other = tmp_path / "note.wav", tmp_path / "note.stridor", tmp_path / "other.wav"
    soundfile.write(recording, sung(), SAMPLE_RATE_HZ)
    noise = np.random.default_rng(0).normal(size=len(sung())).astype(np.float32)
    soundfile.write(other, (0.02 * noise).astype(np.float32), SAMPLE_RATE_HZ)
    stridor("extract", recording, "-o", passage)
    errors = [
        json.loads(stridor("measure", audio, "--against", passage, "--json").out)["errors"]
        for audio in (recording, other)
    ]
    assert errors[1]["breathiness"]["mean_error"] > errors[0]["breathiness"]["mean_error"] + 0.3


def test_measure_of_a_voice_that_is_not_there(passage_file: Path, tmp_path: Path, stridor: Program) -> None:
    recording = tmp_path / "note.wav"
    soundfile.write(recording, sung(), SAMPLE_RATE_HZ)
    ran = stridor("measure", recording, "--against", passage_file, "--voice", "2")
    assert ran.status == 2
    assert "1 voices" in ran.err


@pytest.mark.parametrize("n_samples", [1, 100, 4_800])
def test_extraction_of_next_to_nothing(n_samples: int) -> None:
    passage = passage_from_audio(np.zeros(n_samples, dtype=np.float32), name="nothing")
    assert passage.voices[0].notes == ()
    assert passage.duration_s >= 0.01


def test_bench_render_reports_what_was_measured(engine: FakeEngine, passage_file: Path, stridor: Program) -> None:
    engine.step_s = 0.002
    ran = stridor("bench", "render", "--passage", passage_file, "--seconds", "5", "--repeats", "1", "--json")
    assert ran.status == 0, ran.err
    result = json.loads(ran.out)
    (run,) = result["runs"]
    assert run["duration_s"] == 5.0
    assert run["cells_from_cache"] == 0
    assert run["realtime_factor"] > 0.0
    assert run["processor_s"] > 0.0
    expected = 5.0 * result["threads"] / run["processor_s"]
    assert run["realtime_by_processor"] == pytest.approx(expected)
    assert result["load_to_first_sample_s"] >= run["first_sample_s"]


def test_repeated_passage_is_as_long_as_asked(passage_file: Path) -> None:
    passage = lasting(load_passage(passage_file), 7.5)
    assert passage.duration_s == 7.5
    voice = passage.voices[0]
    assert len(voice.notes) == 8
    assert max(note.end_s for note in voice.notes) <= 7.5 + 1e-6
    assert lasting(load_passage(passage_file), 1.0).duration_s == 1.0


def test_without_display_the_demo_is_rendered_with_its_picture(
    engine: FakeEngine, stridor: Program, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("app.commands.window.display_trouble", lambda: "There is no display: DISPLAY is not set.")
    monkeypatch.chdir(tmp_path)
    ran = stridor("--or-demo")
    assert ran.status == 0, ran.err
    assert "first_breath.wav" in ran.out
    assert "no display" in ran.out
    audio, _ = soundfile.read(tmp_path / "first_breath.wav")
    assert len(audio) > SAMPLE_RATE_HZ
    picture = QImage(str(tmp_path / "first_breath.png"))
    assert picture.width() == 1600
    colours = {picture.pixel(x, y) for x in range(200, 1600, 7) for y in range(60, picture.height(), 7)}
    assert len(colours) > 50


def test_presets_list_and_show(stridor: Program) -> None:
    listed = json.loads(stridor("presets", "list", "--json").out)
    assert not listed["faults"]
    assert len(listed["presets"]) >= 5
    for preset in listed["presets"]:
        shown = json.loads(stridor("presets", "show", preset["id"], "--json").out)
        assert shown == preset
        assert preset["name"] in stridor("presets", "show", preset["id"]).out
