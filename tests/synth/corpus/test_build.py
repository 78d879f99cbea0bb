"""A whole small build: recordings and gestures into clips, resumed, refreshed, stopped, checked."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from synth.corpus.build import BuildProgress, build_corpus, main, refresh_features, simulated_jobs
from synth.corpus.check import check_corpus
from synth.corpus.clip_file import Clip, audio_sha256, read_arrays, read_made_with, to_float32, to_int16, write_clip
from synth.corpus.dataset import ClipStore
from synth.corpus.manifest import MANIFEST_NAME, ClipRecord, Corpus
from synth.corpus.measure import MADE_WITH, SimulatedJob
from synth.corpus.real import Source, read_catalogue, read_folder
from synth.corpus.simulator import simulate_random
from synth.corpus.survey import band_power, bandwidth_hz
from synth.errors import Cancelled, UserError
from synth.features.analysis import PHYSICAL_NAMES, analyse
from synth.spec import ACOUSTIC_LANES, LANE_IDS, TECHNIQUES
from tests.synth.corpus.recordings import voice, write

SEED = 1000
MINUTES = 0.3


def write_voices(folder: Path) -> Path:
    rng = np.random.default_rng(5)
    lines = ["file,technique,licence,duration_s,sample_rate_hz,median_f0_hz,voiced_fraction,bandwidth_hz"]
    t_s = np.arange(66_150) / 44_100.0
    for name, label in (("a/note_1.flac", "sung_note_sustained"), ("b/in_rr1.flac", "breath_inhale")):
        (folder / name).parent.mkdir(parents=True)
        tone = sum(np.sin(2.0 * np.pi * 200.0 * k * t_s) / k for k in range(1, 12)) * (label != "breath_inhale")
        swell = np.sin(np.pi * t_s / t_s[-1])
        audio = 0.1 * swell * (tone + 0.2 * rng.normal(size=len(t_s)))
        soundfile.write(folder / name, audio, 44_100, subtype="PCM_16")
        lines.append(f"{name},{label},CC0-1.0,1.5,44100,200,1,22050")
    (folder / "catalog.csv").write_text("\n".join(lines) + "\n")
    return folder


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, list[BuildProgress]]:
    """-> voices folder, corpus folder, the progress that was told; built by two processes."""
    voices, out = write_voices(tmp_path_factory.mktemp("voices")), tmp_path_factory.mktemp("out")
    told: list[BuildProgress] = []
    build_corpus(out, voices, MINUTES, SEED, n_workers=2, on_progress=told.append)
    return voices, out, told


def test_every_lane_is_stored_for_every_clip(built: tuple[Path, Path, list[BuildProgress]]) -> None:
    corpus = Corpus.open(built[1])
    assert sum(record.kind == "real" for record in corpus.records) == 2
    simulated_s = sum(record.duration_s for record in corpus.records if record.kind == "simulated")
    assert 60.0 * MINUTES <= simulated_s < 60.0 * MINUTES + 8.0
    measured = {spec.id for spec in ACOUSTIC_LANES if spec.id != "bend"} | {f"technique.{name}" for name in TECHNIQUES}
    for record in corpus.records:
        clip = corpus.load(record)
        assert set(clip.lanes) == measured
        assert set(clip.physical) == set(PHYSICAL_NAMES)
        assert set(clip.true_lanes) == (set(LANE_IDS) if record.kind == "simulated" else set())
        assert bool(clip.excitation) == (record.kind == "simulated")
        assert clip.mfcc.shape == (clip.n_frames, 17)
        assert np.array_equal(np.isnan(clip.lanes["pitch"]), ~clip.f0.voiced)


def test_the_measured_lanes_resemble_the_true_ones(built: tuple[Path, Path, list[BuildProgress]]) -> None:
    corpus = Corpus.open(built[1])
    errors_db, errors_note = [], []
    for record in corpus.records:
        if record.kind == "simulated":
            clip = corpus.load(record)
            singing = (clip.true_lanes["presence"] > 0.5) & (clip.true_lanes["loudness"] > -50.0)
            errors_db.append(np.abs(clip.lanes["loudness"] - clip.true_lanes["loudness"])[singing])
            errors_note.append(np.abs(clip.lanes["pitch"] - clip.true_lanes["pitch"])[clip.f0.voiced])
    assert np.median(np.concatenate(errors_db)) < 1.5
    assert np.median(np.concatenate(errors_note)) < 0.05


def test_what_ears_cannot_tell_comes_from_the_label(built: tuple[Path, Path, list[BuildProgress]]) -> None:
    corpus = Corpus.open(built[1])
    inhaled = corpus.load(next(record for record in corpus.records if record.label == "breath_inhale"))
    assert (inhaled.lanes["ingress"] == 1.0).all()
    assert (inhaled.lanes["technique.breathy"] == 1.0).all()
    for record in corpus.records:
        if record.kind == "simulated":
            clip = corpus.load(record)
            assert np.array_equal(clip.lanes["ingress"], clip.true_lanes["ingress"])
            assert np.array_equal(clip.lanes["technique.fry"], clip.true_lanes["technique.fry"])


def test_stored_audio_is_the_simulators(built: tuple[Path, Path, list[BuildProgress]]) -> None:
    corpus = Corpus.open(built[1])
    record = next(record for record in corpus.records if record.kind == "simulated")
    assert record.seed is not None
    technique = None if record.label == "mixed" else record.label
    again = simulate_random(record.seed, record.duration_s, technique).audio * 10.0 ** (record.gains_db[0] / 20.0)
    assert np.abs(to_int16(again).astype(int) - to_int16(corpus.load(record).audio)).max() <= 1


def test_progress_counts_up_to_everything(built: tuple[Path, Path, list[BuildProgress]]) -> None:
    _, out, told = built
    n_clips = len(Corpus.open(out).records)
    assert [progress.done_clips for progress in told] == list(range(1, n_clips + 1))
    assert {progress.total_clips for progress in told} == {n_clips}
    assert told[-1].remaining_s == 0.0


def test_a_second_build_replaces_only_what_is_damaged(built: tuple[Path, Path, list[BuildProgress]]) -> None:
    voices, out, _ = built
    corpus = Corpus.open(out)
    paths = [corpus.path(record) for record in corpus.records]
    paths[0].write_bytes(paths[0].read_bytes()[:1000])
    paths[-1].unlink()
    before = [path.stat().st_mtime_ns if path.exists() else 0 for path in paths]
    again = build_corpus(out, voices, MINUTES, SEED, n_workers=0)
    assert again.records == corpus.records
    changed = [path.stat().st_mtime_ns != at for path, at in zip(paths, before, strict=True)]
    assert changed == [True] + [False] * (len(paths) - 2) + [True]
    assert [again.load(record).n_frames for record in again.records]


@pytest.mark.parametrize("kind", ["real", "simulated"])
def test_clips_of_another_revision_are_made_anew(built: tuple[Path, Path, list[BuildProgress]], kind: str) -> None:
    """By another simulator, or by ears with another calibration; and clips that do not say."""
    voices, out, _ = built
    corpus = Corpus.open(out)
    stale = [record for record in corpus.records if record.kind == kind][:2]
    one, other = stale
    _, arrays = read_arrays(corpus.path(one))
    write_clip(corpus.path(one), one.to_json(), arrays["audio"], corpus.load(one))
    # Sounds and lengths as the manifest has them, but of another revision: whole, and still to be replaced.
    audio = np.full(len(corpus.load(other).audio), 9_000, np.int16)
    line = dataclasses.replace(other, sha256=audio_sha256(audio))
    older = dict.fromkeys(MADE_WITH[other.kind], 0)
    write_clip(corpus.path(other), line.to_json(), audio, analysed(audio), older)
    before = {record.id: corpus.path(record).stat().st_mtime_ns for record in corpus.records}
    again = build_corpus(out, voices, MINUTES, SEED, n_workers=0)
    assert again.records == corpus.records
    changed = {record.id for record in again.records if again.path(record).stat().st_mtime_ns != before[record.id]}
    assert changed == {record.id for record in stale}
    assert all(read_made_with(again.path(record)) == MADE_WITH[record.kind] for record in again.records)


def test_features_are_measured_anew_on_the_same_sound(built: tuple[Path, Path, list[BuildProgress]]) -> None:
    _, out, _ = built
    corpus = Corpus.open(out)
    record = corpus.records[-1]
    stored, arrays = read_arrays(corpus.path(record))
    good = corpus.load(record)
    spoilt = dataclasses.replace(good, mfcc=good.mfcc * 0.0, lanes={"fry": good.lanes["fry"]})
    write_clip(corpus.path(record), stored, arrays["audio"], spoilt)
    refreshed = refresh_features(corpus, n_workers=0)
    assert refreshed.records == corpus.records
    clip = refreshed.load(record)
    assert np.allclose(clip.mfcc, good.mfcc)
    assert set(clip.lanes) == set(good.lanes)
    assert set(clip.true_lanes) == set(good.true_lanes)
    for name, values in good.lanes.items():
        assert np.array_equal(clip.lanes[name], values, equal_nan=True), name


def test_a_built_corpus_feeds_training(built: tuple[Path, Path, list[BuildProgress]]) -> None:
    batch = ClipStore(Corpus.open(built[1]), "train").random_excerpts(np.random.default_rng(0), 8, 112)
    assert 0 < batch["is_real"].sum() < 8
    assert np.isfinite(batch["mfcc"]).all()
    assert np.isfinite(batch["audio"]).all()
    assert (batch["f0_hz"] > 0.0).all()
    assert np.isnan(batch["true.fry"][batch["is_real"]]).all()


def test_a_stopped_build_keeps_its_clips_and_says_so(tmp_path: Path) -> None:
    told: list[BuildProgress] = []
    with pytest.raises(Cancelled):
        build_corpus(tmp_path, None, MINUTES, SEED, 0, told.append, should_stop=lambda: len(told) == 2)
    assert len(list((tmp_path / "clips").glob("*.npz"))) == 2
    assert not (tmp_path / MANIFEST_NAME).exists()


def test_techniques_take_turns_and_seeds_count_up() -> None:
    jobs = [job for job in simulated_jobs(Path(), 5.0, 40) if isinstance(job, SimulatedJob)]
    assert [job.seed for job in jobs] == list(range(40, 40 + len(jobs)))
    assert {job.technique for job in jobs[:9]} == {*TECHNIQUES, None}
    assert all(3.0 <= job.duration_s <= 8.0 for job in jobs)
    assert 300.0 <= sum(job.duration_s for job in jobs) < 308.0


def test_nothing_to_build_is_said(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="nothing to build"):
        build_corpus(tmp_path, None, 0.0)
    for minutes, seed in ((-1.0, 0), (float("inf"), 0), (1.0, -1)):
        with pytest.raises(UserError, match="negative or endless"):
            build_corpus(tmp_path, None, minutes, seed)


def test_a_split_is_kept_while_its_recording_is_away(tmp_path: Path) -> None:
    """Built, left out of a build, and back again beside material that would have moved it."""
    for number in range(16):
        write(tmp_path / f"{chr(97 + number)}.wav", voice(1.1, 100.0 + number, 8_000, number), 8_000)
    sources = read_folder(tmp_path, label="growl", licence="CC0-1.0", consent="mine", collection="c")
    out = tmp_path / "out"

    def splits(some: Sequence[Source]) -> dict[str, str]:
        corpus = build_corpus(out, None, 0.0, n_workers=0, extra_sources=some)
        return {record.sources[0]: record.split for record in corpus.records}

    first = splits(sources[:8])
    assert set(first.values()) == {"train", "validation", "test"}
    splits([source for source in sources[:8] if first[source.name] == "train"])
    again = splits(sources)
    assert {name: again[name] for name in first} == first


@pytest.mark.expects_log("cannot be read")
def test_a_build_without_any_success_leaves_the_manifest_alone(tmp_path: Path) -> None:
    write(tmp_path / "a.wav", voice(1.1))
    sources = read_folder(tmp_path, label="growl", licence="CC0-1.0", consent="mine", collection="c")
    before = build_corpus(tmp_path / "out", None, 0.0, n_workers=0, extra_sources=sources).records
    (tmp_path / "a.wav").write_bytes(b"RIFF")
    with pytest.raises(UserError, match="1 recording left out"):
        build_corpus(tmp_path / "out", None, 0.0, n_workers=0, extra_sources=sources)
    assert Corpus.open(tmp_path / "out").records == before


def test_a_recording_named_twice_is_said_before_anything_is_done(
    built: tuple[Path, Path, list[BuildProgress]], tmp_path: Path
) -> None:
    voices, _, _ = built
    with pytest.raises(UserError, match=r"note_1\.flac is named twice"):
        build_corpus(tmp_path / "out", voices, 0.0, n_workers=0, extra_sources=read_catalogue(voices))
    others = [dataclasses.replace(source, folder=tmp_path) for source in read_catalogue(voices)]
    with pytest.raises(UserError, match="have one name"):
        build_corpus(tmp_path / "out", voices, 0.0, n_workers=0, extra_sources=others)
    assert not (tmp_path / "out").exists()


def test_the_command_reports_trouble_in_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--out", str(tmp_path / "out"), "--voices", str(tmp_path)]) == 1
    assert "catalog.csv" in capsys.readouterr().err


def test_a_good_corpus_has_no_errors(built: tuple[Path, Path, list[BuildProgress]]) -> None:
    assert [problem for problem in check_corpus(Corpus.open(built[1])) if problem.severity == "error"] == []


def analysed(audio: NDArray[np.int16]) -> Clip:
    sound = to_float32(audio)
    heard = analyse(sound)
    return Clip(sound, heard.lanes, heard.physical, heard.f0, heard.mfcc)


def spoilt_record(record: ClipRecord, **changes: object) -> ClipRecord:
    return ClipRecord.from_json(record.to_json() | changes)


def test_the_check_finds_what_is_wrong(built: tuple[Path, Path, list[BuildProgress]], tmp_path: Path) -> None:
    good = Corpus.open(built[1])
    record = next(record for record in good.records if record.kind == "real")
    clip = good.load(record)
    rng = np.random.default_rng(0)
    sounds = {
        "quiet": clip.audio * 1e-4,
        "clipped": np.clip(clip.audio * 40.0, -1.0, 1.0),
        "offset": clip.audio + 0.05,
        "narrow": np.sin(np.arange(len(clip.audio)) * 0.05).astype(np.float32) * 0.3,
        "noisy": np.repeat([0.01, 1.0], [len(clip.audio) // 2, len(clip.audio) - len(clip.audio) // 2])
        * rng.normal(size=len(clip.audio)) * 0.1,
        "unlicensed": clip.audio, "unattributed": clip.audio,
        "torn": clip.audio * 0.9, "silent lanes": clip.audio * 0.8,
    }  # fmt: skip
    changes: dict[str, dict[str, object]] = {
        "unlicensed": {"licence": "", "consent": ""}, "unattributed": {"licence": "MIT"}, "torn": {"split": "test"},
    }  # fmt: skip
    records = []
    for name, sound in sounds.items():
        audio = to_int16(np.asarray(sound, dtype=np.float32))
        clip_id = name.replace(" ", "-")
        family = "whole" if name in ("torn", "quiet") else clip_id
        line = spoilt_record(record, id=clip_id, sha256=audio_sha256(audio), family=family, **changes.get(name, {}))
        lanes = dict(clip.lanes)
        if name == "silent lanes":
            lanes["loudness"] = np.zeros_like(lanes["loudness"])
        write_clip(tmp_path / "clips" / f"{clip_id}.npz", line.to_json(), audio, dataclasses.replace(clip, lanes=lanes))
        records.append(line)
    corpus = Corpus(tmp_path, [*records, spoilt_record(record, id="gone")])
    found = {(problem.clip_id, problem.message.split(",")[0]) for problem in check_corpus(corpus)}
    words = json.dumps(sorted(found))
    for clip_id, message in (
        ("quiet", "nearly silent"), ("clipped", "clipped"), ("offset", "constant offset"), ("narrow", "bandwidth"),
        ("unlicensed", "no licence"), ("unlicensed", "nothing says"), ("unattributed", "MIT asks"),
        ("unattributed", "the same sound"), ("torn", "its family"), ("silent-lanes", "lane loudness"),
        ("gone", "The clip"),
    ):  # fmt: skip
        assert any(name == clip_id and said.startswith(message) for name, said in found), (clip_id, message, words)


@pytest.mark.parametrize("edge_hz", [4_000.0, 12_000.0])
def test_bandwidth_is_where_the_sound_ends(edge_hz: float) -> None:
    spectrum = np.fft.rfft(np.random.default_rng(0).normal(size=96_000))
    spectrum[int(edge_hz * 2.0) :] = 0.0
    audio = np.fft.irfft(spectrum).astype(np.float32)
    assert bandwidth_hz(band_power(audio), 48_000) == pytest.approx(edge_hz, abs=300.0)
