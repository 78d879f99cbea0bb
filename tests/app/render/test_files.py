"""Audio files: what is written can be read, nothing half-written is left, and bad files are one line."""

from __future__ import annotations

import os
import resource
import stat
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from app.render.clip import Clip, pan_gains
from app.render.export import ClipExport, stem_path
from app.render.files import PCM_24, AudioFileWriter, check_target, read_audio, subtype_for
from app.render.grid import CELL_SAMPLES
from app.state.passage import Voice
from synth.errors import UserError

N_SAMPLES = CELL_SAMPLES + 1000


def _clip(folder: Path, level: float = 0.25, n_stems: int = 1) -> Clip:
    clip = Clip(folder, N_SAMPLES, n_stems)
    ramp = (level * np.sin(np.arange(N_SAMPLES) * 0.05)).astype(np.float32)
    for cell, part in enumerate((ramp[:CELL_SAMPLES], ramp[CELL_SAMPLES:])):
        for voice in range(n_stems):
            clip.write_stem(voice, cell, part, b"s")
        clip.write_mix(cell, np.stack([part, -part], axis=1), b"m")
    return clip


def _export(clip: Clip, path: Path, **how: Any) -> float:
    export = ClipExport(clip, (Voice("Soprano", pan=-0.5, gain_db=-6.0),), path, **how)
    fractions = list(export.steps())
    assert fractions[-1] == pytest.approx(1.0)
    return export.attenuation_db


@pytest.mark.parametrize(
    ("name", "subtype", "tolerance"), [("a.wav", None, 0.0), ("a.WAV", PCM_24, 2**-23), ("a.flac", None, 2**-23)]
)
def test_files_hold_the_mix(tmp_path: Path, name: str, subtype: str | None, tolerance: float) -> None:
    clip = _clip(tmp_path)
    assert _export(clip, tmp_path / name, subtype=subtype) == 0.0
    audio, rate = soundfile.read(tmp_path / name, dtype="float32")
    assert rate == 48_000
    assert np.max(np.abs(audio - clip.read_mix(0, N_SAMPLES))) <= tolerance
    assert soundfile.info(tmp_path / name).subtype == subtype_for(tmp_path / name, subtype)


def test_float_keeps_peaks_and_pcm_says_how_far_it_was_turned_down(tmp_path: Path) -> None:
    clip = _clip(tmp_path, level=2.0)
    assert _export(clip, tmp_path / "a.wav") == 0.0
    assert np.abs(soundfile.read(tmp_path / "a.wav")[0]).max() == pytest.approx(2.0, abs=1e-3)
    attenuation_db = _export(clip, tmp_path / "a.flac")
    assert attenuation_db == pytest.approx(6.02, abs=0.02)
    audio = soundfile.read(tmp_path / "a.flac")[0]
    assert 0.999 < np.abs(audio).max() < 1.0
    assert np.allclose(audio * 10 ** (attenuation_db / 20), clip.read_mix(0, N_SAMPLES), atol=1e-5)


def test_stems_are_named_after_their_voice_and_share_the_attenuation(tmp_path: Path) -> None:
    clip = _clip(tmp_path, level=4.0)
    attenuation_db = _export(clip, tmp_path / "a.flac", stems=True)
    assert attenuation_db == pytest.approx(12.04, abs=0.02)
    stem = soundfile.read(tmp_path / "a-1-soprano.flac")[0]
    gains = np.array(pan_gains(-6.0, -0.5)) * 10 ** (-attenuation_db / 20)
    assert np.allclose(stem, clip.read_stem(0, 0, N_SAMPLES)[:, None] * gains, atol=1e-5)
    assert stem_path(tmp_path / "a.wav", 1, Voice("Über/..\\x")).name == "a-2-über-x.wav"


@pytest.mark.parametrize("name", ["a.mp3", "a", "a.aiff"])
def test_unknown_endings_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(UserError, match="neither"):
        check_target(tmp_path / name)


def test_targets_are_checked_before_rendering(tmp_path: Path) -> None:
    (tmp_path / "folder.wav").mkdir()
    with pytest.raises(UserError, match="is a folder"):
        check_target(tmp_path / "folder.wav")
    with pytest.raises(UserError, match="does not exist"):
        check_target(tmp_path / "nowhere" / "a.wav")
    with pytest.raises(UserError, match="cannot hold"):
        check_target(tmp_path / "a.flac", "FLOAT")
    # /proc refuses new files even to root.
    with pytest.raises(UserError, match="cannot be written"):
        check_target(Path("/proc/a.wav"))
    check_target(tmp_path / "a.wav")
    assert [path.name for path in tmp_path.iterdir()] == ["folder.wav"]


def test_a_full_disk_leaves_the_old_file(tmp_path: Path) -> None:
    clip = _clip(tmp_path / ".")
    path = tmp_path / "a.wav"
    path.write_bytes(b"the old one")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, limits[1]))
    try:
        with pytest.raises(UserError, match="cannot be written"):
            list(ClipExport(clip, (), path).steps())
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert path.read_bytes() == b"the old one"
    assert not list(tmp_path.glob(".stridor-*"))


def test_an_export_given_up_half_way_leaves_nothing(tmp_path: Path) -> None:
    steps = ClipExport(_clip(tmp_path), (Voice(),), tmp_path / "a.wav", stems=True).steps()
    next(steps)
    steps.close()  # pyright: ignore[reportAttributeAccessIssue]
    assert not list(tmp_path.glob("*.wav"))
    assert not list(tmp_path.glob(".stridor-*"))


def test_exports_are_as_readable_as_other_files(tmp_path: Path) -> None:
    plain = tmp_path / "plain"
    plain.write_text("")
    _export(_clip(tmp_path), tmp_path / "a.wav")
    assert stat.S_IMODE((tmp_path / "a.wav").stat().st_mode) == stat.S_IMODE(plain.stat().st_mode)


def test_long_files_become_rf64(tmp_path: Path) -> None:
    writer = AudioFileWriter(tmp_path / "a.wav", n_channels=2, n_samples=10 * 3600 * 48_000)
    writer.write(np.zeros((480, 2), np.float32))
    writer.commit()
    assert soundfile.info(tmp_path / "a.wav").format == "RF64"


@pytest.mark.parametrize(("rate", "channels"), [(48_000, 1), (44_100, 2), (8_000, 1), (96_000, 3)])
def test_recordings_are_read_as_48k_mono(tmp_path: Path, rate: int, channels: int) -> None:
    t_s = np.arange(rate) / rate
    tone = (0.5 * np.sin(2 * np.pi * 440 * t_s)).astype(np.float32)
    soundfile.write(tmp_path / "a.wav", np.repeat(tone[:, None], channels, axis=1), rate, subtype="FLOAT")
    audio = read_audio(tmp_path / "a.wav")
    assert audio.dtype == np.float32
    assert abs(len(audio) - 48_000) <= 1
    expected = 0.5 * np.sin(2 * np.pi * 440 * np.arange(len(audio)) / 48_000)
    inner = slice(2000, -2000)
    assert np.max(np.abs(audio[inner] - expected[inner])) < 2e-3


def test_unusable_recordings_are_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "text.wav").write_text("not audio")
    (tmp_path / "empty.flac").write_bytes(b"")
    soundfile.write(tmp_path / "silent.wav", np.zeros(0, np.float32), 48_000)
    nan = np.full(1000, np.nan, np.float32)
    soundfile.write(tmp_path / "nan.wav", nan, 48_000, subtype="FLOAT")
    soundfile.write(tmp_path / "long.wav", np.zeros(48_000, np.float32), 48_000)
    monkeypatch.setattr("app.render.files.MAX_READ_S", 0.5)
    reasons = {
        "text.wav": "cannot be read",
        "empty.flac": "cannot be read",
        "silent.wav": "no sound at all",
        "nan.wav": "not numbers",
        "long.wav": "can be taken in",
        "absent.wav": "no file",
    }
    for name, reason in reasons.items():
        with pytest.raises(UserError, match=reason) as caught:
            read_audio(tmp_path / name)
        assert name in caught.value.message
        assert "\n" not in str(caught.value)


def test_a_truncated_recording_is_read_as_far_as_it_goes(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", np.full(48_000, 0.1, np.float32), 48_000, subtype="FLOAT")
    os.truncate(tmp_path / "a.wav", 100_000)
    audio = read_audio(tmp_path / "a.wav")
    assert 20_000 < len(audio) < 48_000
    assert np.allclose(audio, 0.1)
