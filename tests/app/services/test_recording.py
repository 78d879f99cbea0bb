"""What was played comes back as a passage, and the live stream as a file, sample for sample."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

from app.live.performance.commands import ALL_VOICES, Glide, Kill, Release, Retune, SetLane, StartVoice
from app.live.stage.messages import Played
from app.services.recording import AudioRecorder, PassageRecorder
from app.store.passages import load_passage, save_passage
from synth.errors import UserError
from synth.spec import Float32Array


class FakeStream:
    """A live stream that goes on when a test says so."""

    def __init__(self) -> None:
        self.audio = np.zeros(0, dtype=np.float32)
        self.shared_name = ""
        self.live_losses = (0, 0)
        self.block_frames = 128
        self.under_runs = 0
        self.latency_s = self.callback_s = 0.0
        self.server_pid = None

    def live_frames(self) -> tuple[int, int]:
        return len(self.audio), len(self.audio)

    def live_audio(self, start: int, n_frames: int) -> Float32Array:
        return self.audio[start : start + n_frames]


def start(number: int, t_s: float, note: float, cents: float = 0.0) -> StartVoice:
    return StartVoice(t_s, number, note, 100.0, cents, {}, {})


def test_the_stream_is_kept_without_loss(tmp_path: Path) -> None:
    stream = FakeStream()
    recorder = AudioRecorder(stream, tmp_path / "played.flac")
    stream.audio = np.random.default_rng(0).uniform(-0.5, 0.5, 10_000).astype(np.float32)
    recorder.close()
    kept, rate_hz = soundfile.read(tmp_path / "played.flac", dtype="float32")
    assert rate_hz == 48_000
    assert recorder.lost_frames == 0
    assert np.abs(kept - stream.audio).max() <= 2.0**-23


def test_a_file_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="cannot be written"):
        AudioRecorder(FakeStream(), tmp_path / "nowhere" / "played.flac")


def test_notes_beside_each_other_are_voices_and_notes_after_each_other_one(tmp_path: Path) -> None:
    recorder = PassageRecorder(now_s=10.0)
    recorder.hear(Played((start(1, 10.5, 57.0), start(2, 10.6, 60.0)), ((1, 11), (2, 22)), "growl"))
    recorder.hear(Played((Release(11.0, 1, 64.0), Kill(11.2, 2, 0.01), start(3, 11.5, 62.0)), ((3, 33),), "growl"))
    passage = recorder.passage(now_s=13.0)
    assert [voice.seed for voice in passage.voices] == [11, 22]
    first, second = passage.voices
    assert [note.note for note in first.notes] == [57.0, 62.0]
    assert first.notes[0].start_s == pytest.approx(0.5)
    assert first.notes[0].duration_s == pytest.approx(0.5)
    assert first.notes[1].end_s == pytest.approx(3.0)  # still held
    assert second.notes[0].duration_s == pytest.approx(0.6)
    save_passage(passage, tmp_path / "played.stridor")
    assert load_passage(tmp_path / "played.stridor").voices[0].notes == first.notes


def test_bends_glides_and_lanes_are_kept() -> None:
    recorder = PassageRecorder(now_s=0.0)
    told = (
        SetLane(0.2, ALL_VOICES, "roughness", 0.7, 0.01), start(1, 0.5, 57.0, 50.0), Retune(0.8, 1, 200.0, 0.002),
        Glide(1.0, 1, 60.0, 0.1, True), Release(2.0, 1, 64.0),
    )  # fmt: skip
    recorder.hear(Played(told, ((1, 5),), "neutral"))
    voice = recorder.passage(now_s=3.0).voices[0]
    times = np.array([0.6, 0.9, 1.5], dtype=np.float64)
    assert voice.lanes["bend"].at_times(times).tolist() == pytest.approx([0.5, 2.0, 5.0], abs=1e-3)
    assert voice.lanes["roughness"].at_times(times).tolist() == pytest.approx([0.7] * 3)


def test_nothing_played_is_no_passage() -> None:
    with pytest.raises(UserError, match="Nothing has been played"):
        PassageRecorder().passage()
