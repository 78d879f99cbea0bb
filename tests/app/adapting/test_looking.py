"""What is found in recordings: stretches to learn from, lanes, and every way in which a recording can be wrong."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from app.adapting.looking import look, look_at
from app.adapting.messages import ENVELOPE_RATE_HZ, Doing, FoundRecording, Looked, News
from synth.errors import UserError
from tests.synth.corpus.recordings import voice, write


def test_a_good_recording_has_segments_lanes_and_a_technique(tmp_path: Path) -> None:
    path = write(tmp_path / "good.wav", voice(3.0))
    found, measured_s = look_at(path, 60.0)
    assert not found.is_refused
    assert found.problems == ()
    assert found.duration_s == pytest.approx(3.0)
    assert found.usable_s == pytest.approx(3.0, abs=0.2)
    assert measured_s == pytest.approx(found.usable_s)
    assert found.envelope is not None
    assert len(found.envelope) == pytest.approx(3.0 * ENVELOPE_RATE_HZ, abs=1)
    assert all(len(values) == len(found.envelope) for values in found.lanes.values())
    notes = found.lanes["pitch"][np.isfinite(found.lanes["pitch"])]
    assert np.median(notes) == pytest.approx(69 + 12 * np.log2(150 / 440), abs=2.0)
    assert sum(found.techniques.values()) == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("name", "audio", "rate_hz", "said", "is_refused"),
    [
        ("silence", np.zeros(96_000, dtype=np.float32), 48_000, "nearly silent", True),
        ("short", voice(0.02, rate_hz=48_000), 48_000, "only 20 ms long", True),
        ("telephone", voice(2.0, rate_hz=8_000), 8_000, "only 8000 samples a second", False),
        ("clipped", np.clip(20 * voice(2.0), -1, 1), 44_100, "clipped", False),
        ("stereo", np.stack([voice(2.0), voice(2.0, 220.0, seed=5)], axis=1), 44_100, "stereo", False),
    ],
)
def test_what_is_wrong_is_said(
    name: str, audio: np.ndarray, rate_hz: int, said: str, is_refused: bool, tmp_path: Path
) -> None:
    found, _ = look_at(write(tmp_path / f"{name}.wav", audio.astype(np.float32), rate_hz), 0.0)
    assert found.is_refused == is_refused
    assert any(said in problem.message for problem in found.problems), found.problems
    assert (found.usable_s == 0.0) == is_refused


def test_noise_between_the_words_is_said(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    sung = voice(4.0)
    sung[len(sung) // 2 :] = 0.0
    noisy = (sung + 0.03 * rng.standard_normal(len(sung))).astype(np.float32)
    found, _ = look_at(write(tmp_path / "noisy.wav", noisy), 0.0)
    assert any("noisy" in problem.message for problem in found.problems), found.problems


def test_what_is_no_sound_is_a_line_and_no_end(tmp_path: Path) -> None:
    write(tmp_path / "set" / "a.wav", voice(1.5))
    (tmp_path / "set" / "broken.wav").write_bytes(b"RIFF nothing")
    (tmp_path / "set" / "b.m4a").write_bytes(b"x")
    (tmp_path / "words.txt").write_text("la")
    told: list[News] = []
    look([tmp_path / "set", tmp_path / "words.txt", tmp_path / "gone.wav"], told.append)
    found = {news.name: news for news in told if isinstance(news, FoundRecording)}
    assert set(found) == {"a.wav", "broken.wav"}
    assert found["broken.wav"].is_refused
    assert "cannot be read" in found["broken.wav"].problems[0].message
    assert isinstance(told[0], Doing)
    last = told[-1]
    assert isinstance(last, Looked)
    said = " ".join(last.passed_over)
    for words in ("m4a", "words.txt is no sound file", "gone.wav is not there"):
        assert words in said
    with pytest.raises(UserError, match="is not there"):
        look([tmp_path / "gone.wav"], told.append)


def test_an_hour_takes_no_hour(tmp_path: Path) -> None:
    """Lanes are measured until the budget is spent; levels and stretches are known of all of it."""
    path = write(tmp_path / "long.wav", np.tile(voice(20.0, rate_hz=22_050), 5), 22_050)
    found, measured_s = look_at(path, 10.0)
    assert measured_s <= 10.0
    assert found.usable_s > 90.0
    assert found.envelope is not None
    assert len(found.envelope) == pytest.approx(100 * ENVELOPE_RATE_HZ, abs=1)
    assert sum(bool(segment.technique) for segment in found.segments) < len(found.segments)
