"""Takes: written as they come in, with a word on what to do better."""

from __future__ import annotations

import queue
import shutil
from multiprocessing import Pipe
from pathlib import Path

import numpy as np
import pytest
import soundfile

from app.adapting.messages import Level
from app.adapting.recording import Take, advice_on, follow, level_of
from synth.errors import UserError
from synth.spec import SAMPLE_RATE_HZ, Float32Array


def block(amplitude: float, n: int = 4800) -> Float32Array:
    return (amplitude * np.sin(np.arange(n) / 7.0)).astype(np.float32)


def test_a_take_lies_on_disk_before_it_has_ended(tmp_path: Path) -> None:
    take = Take(tmp_path / "new" / "take.wav")
    for _ in range(10):
        take.add(block(0.3))
    take.flush()
    left = shutil.copy(take.path, tmp_path / "left.wav")  # as a killed process leaves it
    audio, rate_hz = soundfile.read(left)
    assert (len(audio), rate_hz) == (48_000, SAMPLE_RATE_HZ)
    done = take.close()
    assert done.seconds == 1.0
    assert done.advice == ""


def test_an_empty_take_leaves_no_file(tmp_path: Path) -> None:
    done = Take(tmp_path / "take.wav").close()
    assert done.seconds == 0.0
    assert not done.path.exists()


@pytest.mark.parametrize(
    ("seconds", "peak", "n_clipped", "words"),
    [(0.4, 0.5, 0, "too short"), (5.0, 1.0, 12, "It clipped"), (5.0, 0.02, 0, "very quiet"), (5.0, 0.5, 0, "")],
)
def test_advice(seconds: float, peak: float, n_clipped: int, words: str) -> None:
    said = advice_on(seconds, peak, n_clipped)
    assert (words in said) if words else said == ""


def test_levels_are_db_and_clipping_is_seen() -> None:
    level = level_of(block(0.5), 1.0)
    assert level.peak_db == pytest.approx(-6.0, abs=0.1)
    assert level.rms_db == pytest.approx(-9.0, abs=0.2)
    assert not level.clipped
    assert level_of(block(1.0), 1.0).clipped
    assert level_of(np.zeros(4, dtype=np.float32), 0.0).peak_db == -100.0


def test_blocks_are_followed_until_somebody_says_stop(tmp_path: Path) -> None:
    ours, theirs = Pipe()
    blocks: queue.SimpleQueue[Float32Array] = queue.SimpleQueue()
    for _ in range(3):
        blocks.put(block(1.0))
    ours.send(None)
    take = Take(tmp_path / "take.wav")
    follow(theirs, take, blocks, is_alive=lambda: True)
    assert take.seconds == pytest.approx(0.3), "what was sung before the stop is in it"
    take.close()


def test_a_microphone_that_goes_is_told_and_the_take_kept(tmp_path: Path) -> None:
    ours, theirs = Pipe()
    blocks: queue.SimpleQueue[Float32Array] = queue.SimpleQueue()
    blocks.put(block(1.0))
    take = Take(tmp_path / "take.wav")
    with pytest.raises(UserError, match="microphone has gone"):
        follow(theirs, take, blocks, is_alive=lambda: False)
    told = ours.recv()
    assert isinstance(told, Level)
    assert told.clipped
    assert take.close().seconds == pytest.approx(0.1)


def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot be written"):
        Take(tmp_path / "file" / "take.wav")
