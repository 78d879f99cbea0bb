"""What one pass over a recording finds: every kind of bad input, one clear line each, in bounded memory."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import soundfile
import soxr

from synth.corpus.recording_check import recording_findings
from synth.corpus.survey import survey_recording
from synth.errors import UserError
from synth.spec import Float32Array
from tests.synth.corpus.recordings import voice, write

GOOD = voice(3.0)


def upsampled() -> Float32Array:
    """An 8 kHz recording in a 44.1 kHz file, dithered on the way."""
    narrow = soxr.resample(voice(3.0, rate_hz=8_000), 8_000, 44_100)
    return (narrow + np.random.default_rng(1).normal(size=len(narrow)) * 2e-5).astype(np.float32)


def in_noise() -> Float32Array:
    """A voice with pauses, in a hiss 16 dB below its loudest 10 ms."""
    loudest = float(np.sqrt(np.mean(GOOD[: len(GOOD) // 441 * 441].reshape(-1, 441) ** 2, axis=1)).max())
    hiss = loudest * 10.0 ** (-16.0 / 20.0) * np.random.default_rng(2).normal(size=len(GOOD))
    return (GOOD + hiss).astype(np.float32)


BAD: dict[str, tuple[Float32Array, int, str]] = {
    "silent": (np.zeros(44_100, np.float32), 44_100, "nearly silent"),
    "too quiet": (GOOD * 1e-3, 44_100, "nearly silent"),
    "clipped": (np.clip(GOOD * 6.0, -0.8, 0.8), 44_100, "clipped"),
    "offset": (GOOD + 0.05, 44_100, "constant offset"),
    "8 kHz": (voice(3.0, rate_hz=8_000), 8_000, "only 8000 samples a second"),
    "8 kHz upsampled": (upsampled(), 44_100, "bandwidth of only"),
    "noisy": (in_noise(), 44_100, "noisy"),
    "mostly silent": (np.concatenate([GOOD, np.zeros(10 * 44_100, np.float32)]), 44_100, "silent for"),
    "stereo": (np.stack([GOOD, voice(3.0, 170.0, seed=3)], axis=1), 44_100, "stereo"),
    "cancelling": (np.stack([GOOD, -0.9 * GOOD], axis=1), 44_100, "its channels cancel"),
    "far too short": (GOOD[20_000:20_900], 44_100, "only 20 ms long"),
    "surround": (np.stack([GOOD] * 4, axis=1), 44_100, "4 channels"),
}


def messages(path: Path) -> list[str]:
    return [finding.message for finding in recording_findings(survey_recording(path))]


def test_nothing_is_said_of_a_good_recording(tmp_path: Path) -> None:
    assert messages(write(tmp_path / "a.wav", GOOD)) == []
    assert messages(write(tmp_path / "b.wav", np.stack([GOOD, GOOD], axis=1))) == []


def test_a_single_consonant_is_not_called_noisy(tmp_path: Path) -> None:
    """A puff of 150 ms swells and fades; nothing of it is the room."""
    puff = np.hanning(6_615) * np.random.default_rng(4).normal(size=6_615) * 0.1
    assert messages(write(tmp_path / "a.wav", (puff + 2e-3).astype(np.float32))) == []


def test_floating_point_goes_on_over_full_scale(tmp_path: Path) -> None:
    """Such a recording is hot and not clipped; numbers far beyond any level are no recording."""
    assert messages(write(tmp_path / "a.wav", GOOD * 8.0, subtype="FLOAT")) == []
    assert messages(write(tmp_path / "b.wav", GOOD * 1e30, subtype="FLOAT")) == ["peak 589 dB over full scale"]


def test_what_is_no_sound_is_said_as_a_person_would(tmp_path: Path) -> None:
    noise = np.random.default_rng(3).bytes(4_000)
    for name, content, words in (
        ("zero.wav", b"", "zero.wav is empty"),
        ("words.wav", b"not sound" * 50, "words.wav cannot be read: Format not recognised"),
        ("noise.mp3", noise, "noise.mp3 cannot be read"),
    ):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(UserError, match=words) as caught:
            survey_recording(tmp_path / name)
        assert "not a regular file" not in str(caught.value)
    (tmp_path / "folder.wav").mkdir()
    with pytest.raises(UserError, match=r"folder\.wav cannot be read: Is a directory"):
        survey_recording(tmp_path / "folder.wav")


@pytest.mark.parametrize("name", BAD)
def test_what_is_wrong_is_said_in_one_line(tmp_path: Path, name: str) -> None:
    audio, rate_hz, words = BAD[name]
    said = messages(write(tmp_path / "a.wav", audio, rate_hz))
    assert any(message.startswith(words) for message in said), said
    assert all("\n" not in message for message in said)


@pytest.mark.parametrize(
    ("rate_hz", "f0_hz", "peak", "subtype"),
    [
        (44_100, 90.0, 0.9, "PCM_16"), (44_100, 50.0, 0.06, "PCM_16"), (48_000, 100.0, 0.3, "PCM_24"),
        (192_000, 400.0, 0.9, "PCM_24"), (384_000, 400.0, 0.5, "PCM_16"),
    ],
)  # fmt: skip
def test_only_clipping_is_clipping(tmp_path: Path, rate_hz: int, f0_hz: float, peak: float, subtype: str) -> None:
    """A low sine lingers at its peak, the more so at a high sampling rate, and is not clipped; cut off, it is."""
    sine = np.sin(2.0 * np.pi * f0_hz * np.arange(rate_hz // 2) / rate_hz).astype(np.float32)
    assert survey_recording(write(tmp_path / "a.wav", peak * sine, rate_hz, subtype)).clipped_share == 0.0
    hot = np.clip(1.3 * peak * sine, -peak, peak)
    assert 0.2 < survey_recording(write(tmp_path / "b.wav", hot, rate_hz, subtype)).clipped_share < 0.5


@pytest.mark.parametrize(("rate_hz", "n_samples"), [(22_050, 662), (22_050, 23), (11_025, 331), (4_410, 265)])
def test_recordings_may_end_anywhere(tmp_path: Path, rate_hz: int, n_samples: int) -> None:
    """Frames of 10 ms are no whole number of samples at these rates, and the last may hold but one."""
    audio = 0.3 * np.sin(np.arange(n_samples) * 0.2).astype(np.float32)
    survey = survey_recording(write(tmp_path / "a.wav", audio, rate_hz))
    assert survey.n_samples == n_samples
    assert len(survey.level_db) == int(np.ceil(100 * n_samples / rate_hz))
    assert survey.sample_at(len(survey.level_db)) == n_samples


@pytest.mark.parametrize("edge_hz", [3_500.0, 4_000.0, 5_500.0])
def test_bandwidth_is_found_where_it_was_lost(tmp_path: Path, edge_hz: float) -> None:
    spectrum = np.fft.rfft(voice(4.0))
    spectrum[int(edge_hz * 4.0) :] = 0.0
    path = write(tmp_path / "a.wav", np.fft.irfft(spectrum).astype(np.float32), subtype="PCM_24")
    assert survey_recording(path).bandwidth_hz == pytest.approx(edge_hz, abs=300.0)


def test_truncated_files_are_refused_or_read_as_far_as_they_go(tmp_path: Path) -> None:
    whole = write(tmp_path / "whole.wav", GOOD).read_bytes()
    (tmp_path / "half.wav").write_bytes(whole[: len(whole) // 2])
    assert 1.0 < survey_recording(tmp_path / "half.wav").duration_s < 2.0
    flac = write(tmp_path / "whole.flac", GOOD)
    (tmp_path / "half.flac").write_bytes(flac.read_bytes()[: flac.stat().st_size // 2])
    with pytest.raises(UserError, match=r"half\.flac cannot be read: flac decoder"):
        survey_recording(tmp_path / "half.flac")
    (tmp_path / "head.wav").write_bytes(whole[:20])
    with pytest.raises(UserError, match="cannot be read"):
        survey_recording(tmp_path / "head.wav")


def test_rates_nobody_records_at_are_refused(tmp_path: Path) -> None:
    write(tmp_path / "a.wav", np.ones(2_000, np.float32) * 0.1, 1_000)
    with pytest.raises(UserError, match="1000 samples a second"):
        survey_recording(tmp_path / "a.wav")


def test_a_long_recording_takes_no_more_memory_than_a_short_one(tmp_path: Path) -> None:
    path = tmp_path / "long.wav"
    with soundfile.SoundFile(path, "w", samplerate=8_000, channels=1, subtype="PCM_16") as file:
        minute = voice(60.0, rate_hz=8_000)
        for _ in range(21):
            file.write(minute)
    tracemalloc.start()
    survey = survey_recording(path)
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak_bytes < 15e6  # the samples alone are 40 MB
    assert survey.duration_s == pytest.approx(21.0 * 60.0)
    assert any("21 minutes long" in finding.message for finding in recording_findings(survey))
