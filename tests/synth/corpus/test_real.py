"""Recordings into clips: levels, cutting, joining, and what is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

from synth.corpus.build import survey_all
from synth.corpus.cutting import (
    ACTIVE_LEVEL_RANGE_DB,
    PEAK_LIMIT,
    ClipPlan,
    cut_points,
    level_gain_db,
    plan_clips,
    render_clip,
)
from synth.corpus.labels import LABEL_MEANINGS
from synth.corpus.manifest import SPLITS
from synth.corpus.real import ATTRIBUTIONS, Source, read_catalogue, read_folder
from synth.corpus.survey import frame_level_db, survey_recording
from synth.errors import UserError
from synth.spec import TECHNIQUES, Float32Array

RATE_HZ = 48_000
HEADER = "file,technique,licence,duration_s,sample_rate_hz,median_f0_hz,voiced_fraction,bandwidth_hz\n"


def tone(duration_s: float, level: float = 0.3, f0_hz: float = 220.0, rate_hz: int = RATE_HZ) -> Float32Array:
    t_s = np.arange(int(duration_s * rate_hz)) / rate_hz
    return (level * np.sin(2.0 * np.pi * f0_hz * t_s)).astype(np.float32)


def voices(folder: Path, files: dict[str, tuple[str, Float32Array]]) -> Path:
    lines = [HEADER]
    for name, (label, audio) in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, audio, 44_100, subtype="PCM_16")
        lines.append(f"{name},{label},CC0-1.0,{len(audio) / 44_100:.3f},44100,0,0,22050\n")
    (folder / "catalog.csv").write_text("".join(lines))
    return folder


def planned(sources: list[Source]) -> list[ClipPlan]:
    surveyed, unread = survey_all(sources)
    assert not unread
    return plan_clips(surveyed)


def gain_db_of(audio: Float32Array) -> float:
    return level_gain_db(frame_level_db(audio, RATE_HZ), float(np.abs(audio).max()))


def test_recordings_come_at_48_khz_mono_and_as_loud(tmp_path: Path) -> None:
    left = tone(1.5, 0.2, 1000.0, 44_100)
    soundfile.write(tmp_path / "a.wav", np.stack([left, left], axis=1), 44_100, subtype="FLOAT")
    (plan,) = planned(read_folder(tmp_path, label="modal", licence="mine", consent="I sang it"))
    audio, gains_db = render_clip(plan)
    assert len(audio) == pytest.approx(72_000, abs=1)
    assert audio.dtype == np.float32
    assert gains_db == (0.0,)
    middle = audio[4_000:68_000].astype(np.float64)
    assert np.sqrt(np.mean(middle**2)) == pytest.approx(0.2 / np.sqrt(2.0), rel=1e-3)
    crossings = np.count_nonzero(np.diff(np.signbit(middle)))
    assert crossings / 2.0 / (len(middle) / RATE_HZ) == pytest.approx(1000.0, rel=0.005)


@pytest.mark.parametrize("rate_hz", [44_100, 48_000, 22_050])
def test_pieces_join_without_a_gap_or_an_overlap(tmp_path: Path, rate_hz: int) -> None:
    """What is cut apart and rendered piece by piece is the recording, but for the fades."""
    audio = tone(20.0, 0.2, 440.0, rate_hz)
    soundfile.write(tmp_path / "a.wav", audio, rate_hz, subtype="FLOAT")
    plans = planned(read_folder(tmp_path, label="modal", licence="mine", consent="I sang it"))
    whole = np.concatenate([render_clip(plan)[0] for plan in plans])
    assert len(whole) == pytest.approx(20 * RATE_HZ, abs=len(plans))
    expected = tone(20.0, 0.2, 440.0)
    n = min(len(whole), len(expected))
    assert np.percentile(np.abs(whole[:n] - expected[:n]), 95.0) < 0.01


@pytest.mark.parametrize(
    ("audio", "words"),
    [(np.zeros(0, np.float32), "no sound"), (np.full(100, np.nan, np.float32), "no numbers")],
    ids=["empty", "NaN"],
)
def test_recordings_without_sound_are_refused(tmp_path: Path, audio: Float32Array, words: str) -> None:
    soundfile.write(tmp_path / "a.wav", audio, RATE_HZ, subtype="FLOAT")
    with pytest.raises(UserError, match=words):
        survey_recording(tmp_path / "a.wav")


def test_a_text_file_is_no_recording(tmp_path: Path) -> None:
    (tmp_path / "a.wav").write_text("not sound")
    with pytest.raises(UserError, match="cannot be read"):
        survey_recording(tmp_path / "a.wav")


def test_ordinary_levels_are_left_alone() -> None:
    assert gain_db_of(tone(1.0, 0.1)) == 0.0


@pytest.mark.parametrize("level", [0.001, 0.95])
def test_extreme_levels_come_into_range(level: float) -> None:
    audio = tone(1.0, level)
    louder_db = float(frame_level_db(audio, RATE_HZ).mean()) + gain_db_of(audio)
    assert ACTIVE_LEVEL_RANGE_DB[0] - 0.2 <= louder_db <= ACTIVE_LEVEL_RANGE_DB[1] + 0.2


def test_the_gain_never_clips() -> None:
    audio = np.zeros(RATE_HZ, np.float32)
    audio[::4800] = 0.5
    assert 0.5 * 10.0 ** (gain_db_of(audio) / 20.0) <= PEAK_LIMIT + 1e-6
    hot = tone(1.0, 0.2)
    hot[1000] = 1.0
    assert 10.0 ** (gain_db_of(hot) / 20.0) <= PEAK_LIMIT + 1e-6


def test_long_recordings_are_cut_in_their_pauses() -> None:
    audio = tone(30.0)
    pauses_s = (5.0, 10.5, 17.0, 23.0)
    for pause_s in pauses_s:
        audio[int((pause_s - 0.15) * RATE_HZ) : int((pause_s + 0.15) * RATE_HZ)] = 0.0
    points_s = np.array(cut_points(frame_level_db(audio, RATE_HZ))) / 100.0
    assert points_s[0] == 0.0
    assert points_s[-1] == 30.0
    assert np.diff(points_s).min() >= 1.0
    assert np.diff(points_s).max() <= 8.0
    for pause_s in pauses_s:
        assert np.abs(points_s - pause_s).min() < 0.16


@pytest.mark.parametrize("duration_s", [8.0, 8.01, 8.9, 9.5, 16.3, 71.0])
def test_recordings_without_pauses_are_cut_all_the_same(duration_s: float) -> None:
    lengths_s = np.diff(cut_points(frame_level_db(tone(duration_s), RATE_HZ))) / 100.0
    assert lengths_s.min() >= 1.0
    assert lengths_s.max() <= 8.0


def test_every_recording_becomes_clips_of_its_label(tmp_path: Path) -> None:
    files = {f"orks/consonants_{i}_rr1.flac": ("growl_consonant", tone(0.2, rate_hz=44_100)) for i in range(30)}
    files |= {f"orks/vowels_{i}_rr{take}.flac": ("growl_vowel", tone(1.5, rate_hz=44_100)) for i in range(9)
              for take in (1, 2)}
    files["vocobox/long.flac"] = ("sung_vowel_sustained_rawtake", tone(20.0, rate_hz=44_100))
    clips = planned(read_catalogue(voices(tmp_path, files)))
    assert {name for clip in clips for name in clip.sources} == set(files)
    assert len({clip.id for clip in clips}) == len(clips)
    rendered = [render_clip(clip) for clip in clips]
    assert all(1.0 <= len(audio) / RATE_HZ <= 8.0 for audio, _ in rendered)
    for clip, (_, gains_db) in zip(clips, rendered, strict=True):
        assert {files[name][0] for name in clip.sources} == {clip.source.label}
        assert clip.split in SPLITS
        assert len(gains_db) == len(clip.sources)
    joined = [clip for clip in clips if clip.source.label == "growl_consonant"]
    assert sum(len(clip.sources) for clip in joined) == 30
    assert max(len(clip.sources) for clip in joined) >= 10
    split_of = {name: clip.split for clip in clips for name in clip.sources}
    assert all(split_of[f"orks/vowels_{i}_rr1.flac"] == split_of[f"orks/vowels_{i}_rr2.flac"] for i in range(9))
    assert planned(read_catalogue(tmp_path)) == clips


@pytest.mark.expects_log("a/x.flac is silent")
def test_silent_recordings_are_left_out(tmp_path: Path) -> None:
    files = {"a/x.flac": ("whisper", np.zeros(44_100, np.float32)), "a/y.flac": ("whisper", tone(1.0, 0.1))}
    clips = planned(read_catalogue(voices(tmp_path, files)))
    assert [clip.sources for clip in clips] == [("a/y.flac",)]


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("gone.flac,whisper,CC0-1.0,1,44100,0,0,1\n", "no file"),
        ("a/y.flac,yodel,CC0-1.0,1,44100,0,0,1\n", "unknown technique"),
        (",whisper,CC0-1.0,1,44100,0,0,1\n", "missing"),
    ],
)
def test_wrong_catalogue_lines_are_refused(tmp_path: Path, line: str, words: str) -> None:
    voices(tmp_path, {"a/y.flac": ("whisper", tone(0.1))})
    (tmp_path / "catalog.csv").write_text(HEADER + line)
    with pytest.raises(UserError, match=words):
        read_catalogue(tmp_path)


def test_a_folder_without_a_catalogue_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"catalog\.csv"):
        read_catalogue(tmp_path)


def test_the_attribution_a_licence_asks_for_is_kept(tmp_path: Path) -> None:
    source = read_catalogue(voices(tmp_path, {"vocobox/a.flac": ("speech", tone(0.1))}))[0]
    assert source.attribution == ATTRIBUTIONS["vocobox"]
    assert "vocobox" in source.attribution


def test_every_label_means_known_techniques() -> None:
    for meaning in LABEL_MEANINGS.values():
        assert set(meaning.technique) <= set(TECHNIQUES)
        assert sum(meaning.technique.values()) == 1.0
    assert LABEL_MEANINGS["breath_inhale"].ingress == 1.0


def test_plain_folders_need_consent_and_sound(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no sound files"):
        read_folder(tmp_path, label="scream", licence="mine", consent="I sang it")
    (tmp_path / "deep").mkdir()
    soundfile.write(tmp_path / "deep" / "b.wav", tone(0.1), RATE_HZ)
    soundfile.write(tmp_path / "a.flac", tone(0.1), RATE_HZ)
    (tmp_path / "notes.txt").write_text("x")
    with pytest.raises(UserError, match="consent"):
        read_folder(tmp_path, label="scream", licence="mine", consent=" ")
    with pytest.raises(UserError, match="Unknown technique"):
        read_folder(tmp_path, label="yodel", licence="mine", consent="I sang it")
    sources = read_folder(tmp_path, label="scream", licence="mine", consent="I sang it")
    assert [source.name for source in sources] == ["a.flac", "deep/b.wav"]


def test_decoded_peaks_stay_below_full_scale(tmp_path: Path) -> None:
    square = np.sign(tone(1.2, rate_hz=44_100)).astype(np.float32) * np.float32(0.999)  # overshoots when resampled
    (clip,) = planned(read_catalogue(voices(tmp_path, {"a/y.flac": ("shout_interjection", square)})))
    assert np.abs(render_clip(clip)[0]).max() <= PEAK_LIMIT + 1e-6
