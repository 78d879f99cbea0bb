"""The manifest: what it refuses, and how sources are shared out between splits."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

from synth.corpus.clip_file import Clip, audio_sha256, to_float32, to_int16, write_clip
from synth.corpus.manifest import (
    MANIFEST_NAME,
    SPLITS_NAME,
    ClipRecord,
    Corpus,
    agreed_splits,
    clip_path,
    family_of,
    keep_splits,
    recorded_splits,
    split_families,
    split_of_seed,
)
from synth.errors import UserError
from synth.features.f0 import F0Track

N_FRAMES = 30


def record(clip_id: str = "clip-1", **changes: object) -> ClipRecord:
    values = {
        "id": clip_id, "kind": "real", "collection": "set", "technique": {"growl": 1.0}, "label": "growl_vowel",
        "split": "train", "family": "set/a", "licence": "CC0-1.0", "consent": "given", "attribution": "",
        "duration_s": 0.3, "seed": None, "sources": ["set/a_rr1.flac"], "gains_db": [0.0], "sha256": "0" * 64,
    }
    return ClipRecord.from_json(values | changes)


def stored_corpus(folder: Path) -> Corpus:
    rng = np.random.default_rng(1)
    audio = to_int16(rng.uniform(-0.5, 0.5, N_FRAMES * 480).astype(np.float32))
    clip = Clip(
        to_float32(audio),
        {"pitch": np.full(N_FRAMES, 57.013, np.float32), "fry": np.full(N_FRAMES, np.nan, np.float32)},
        {"centroid_hz": np.full(N_FRAMES, 4000.0, np.float32)},
        F0Track(np.full(N_FRAMES, 220.123, np.float32), np.ones(N_FRAMES, np.float32), np.ones(N_FRAMES, np.bool_)),
        rng.normal(0.0, 5.0, (N_FRAMES, 17)).astype(np.float32),
        true_lanes={"loudness": np.full(N_FRAMES, -20.0, np.float32)},
    )
    line = record(sha256=audio_sha256(audio))
    write_clip(clip_path(folder, line.id), line.to_json(), audio, clip)
    corpus = Corpus(folder, [line])
    corpus.save()
    return corpus


def test_corpus_comes_back_as_it_was_saved(tmp_path: Path) -> None:
    saved = stored_corpus(tmp_path)
    opened = Corpus.open(tmp_path)
    assert opened.records == saved.records
    clip = opened.load(opened.records[0])
    assert clip.n_frames == N_FRAMES
    assert clip.lanes["pitch"][0] == np.float32(57.013)
    assert np.isnan(clip.lanes["fry"]).all()
    assert clip.f0.f0_hz[0] == np.float32(220.123)
    assert clip.true_lanes["loudness"][0] == -20.0
    assert clip.mfcc.shape == (N_FRAMES, 17)
    assert audio_sha256(to_int16(clip.audio)) == opened.records[0].sha256


def test_saving_leaves_no_temporary_file(tmp_path: Path) -> None:
    stored_corpus(tmp_path).save()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["clips", MANIFEST_NAME]
    assert len(list((tmp_path / "clips").iterdir())) == 1


def test_damaged_and_changed_clips_are_refused(tmp_path: Path) -> None:
    corpus = stored_corpus(tmp_path)
    path = corpus.path(corpus.records[0])
    other = dataclasses.replace(corpus.records[0], sha256="1" * 64)
    with pytest.raises(UserError, match="not what the manifest says"):
        corpus.load(other)
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(UserError, match="cannot be read"):
        corpus.load(corpus.records[0])


def test_pickled_arrays_are_never_read(tmp_path: Path) -> None:
    corpus = stored_corpus(tmp_path)
    path = corpus.path(corpus.records[0])
    np.savez(path, record=np.array([{"id": 1}], dtype=object))
    with pytest.raises(UserError, match="cannot be read"):
        corpus.load(corpus.records[0])


def test_what_is_no_clip_is_refused(tmp_path: Path) -> None:
    """An array instead of an archive, an archive without sound, and words."""
    corpus = stored_corpus(tmp_path)
    path = corpus.path(corpus.records[0])
    for spoil in (
        lambda file: np.save(file, np.zeros(3)),
        lambda file: np.savez(file, record=np.frombuffer(b"{}", np.uint8)),
        lambda file: file.write(b"clip"),
    ):
        with path.open("wb") as file:
            spoil(file)
        with pytest.raises(UserError, match="cannot be read"):
            corpus.load(corpus.records[0])


def _with(values: dict[str, object], **changes: object) -> dict[str, object]:
    return values | changes


@pytest.mark.parametrize(
    "spoil",
    [
        lambda stored: _with(stored, extra=1),
        lambda stored: _with(stored, format="another"),
        lambda stored: _with(stored, revision=99),
        lambda stored: _with(stored, clips=[stored["clips"][0] | {"mood": "sad"}]),
        lambda stored: _with(stored, clips=[{k: v for k, v in stored["clips"][0].items() if k != "consent"}]),
        lambda stored: _with(stored, clips=stored["clips"] * 2),
        lambda stored: _with(stored, clips=[stored["clips"][0] | {"id": "../outside"}]),
        lambda stored: _with(stored, clips=[stored["clips"][0] | {"technique": {"yodel": 1.0}}]),
        lambda stored: _with(stored, clips=[stored["clips"][0] | {"split": "holdout"}]),
        lambda stored: [stored],
        lambda stored: _with(stored, clips=None),
        lambda stored: _with(stored, clips=["clip-1"]),
        lambda stored: _with(stored, clips=[stored["clips"][0] | {"id": 1}]),
        lambda stored: _with(stored, clips=[stored["clips"][0] | {"technique": ["growl"]}]),
    ],
    ids=[
        "extra", "format", "revision", "unknown key", "missing key", "twice", "path", "technique", "split", "list",
        "no clips", "words", "number", "no weights",
    ],
)  # fmt: skip
def test_spoilt_manifests_are_refused(tmp_path: Path, spoil) -> None:
    stored_corpus(tmp_path)
    path = tmp_path / MANIFEST_NAME
    path.write_text(json.dumps(spoil(json.loads(path.read_text()))))
    with pytest.raises(UserError):
        Corpus.open(tmp_path)


def test_missing_and_unreadable_manifests_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no corpus"):
        Corpus.open(tmp_path)
    (tmp_path / MANIFEST_NAME).write_text("{")
    with pytest.raises(UserError, match="cannot be read"):
        Corpus.open(tmp_path)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("merry-orks/vowels_a_from_car_rr1.flac", "merry-orks/vowels_a_from_car_rr3.flac"),
        ("producer-space/dvs1_DVS---Hey-1.flac", "producer-space/dvs1_DVS---Hey-12.flac"),
        ("vocobox/martin_notes_A4-5-instable.flac", "vocobox/martin_notes_A4.flac"),
        ("vocobox/martin_notes_Gs2-7-2.flac", "vocobox/martin_notes_Gs2-7.flac"),
        ("vocobox/martin_notes_D2-ko.flac", "vocobox/martin_notes_D2.flac"),
        (
            "ps/etv_gm_ETV-Phrase---040---Imagination---136-BPM---G-minor.flac",
            "ps/etv_gm_ETV-Phrase---046---Imagination---136-BPM---G-minor.flac",
        ),
        (
            "ps/etv_gm_ETV-Phrase---043---Dont-Wake-Me-1---136-BPM---G-minor.flac",
            "ps/etv_gm_ETV-Phrase---044---Dont-Wake-Me-2---136-BPM---G-minor.flac",
        ),
    ],
)
def test_takes_of_one_source_share_a_family(first: str, second: str) -> None:
    assert family_of(first) == family_of(second)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("merry-orks/vowels_a_from_car_rr1.flac", "merry-orks/vowels_a_from_pat_rr1.flac"),
        ("a/hey-1.flac", "b/hey-1.flac"),
        ("ps/etv_ETV-Adlib---053---136-BPM---A-minor.flac", "ps/etv_ETV-Adlib---054---136-BPM---A-minor.flac"),
        ("12.wav", "13.wav"),
    ],
)
def test_different_sources_have_different_families(first: str, second: str) -> None:
    assert family_of(first) != family_of(second)


def test_each_label_is_shared_out_by_duration() -> None:
    rng = np.random.default_rng(3)
    sources = [(f"{label}/{i}", label, float(rng.uniform(0.5, 4.0))) for label in ("a", "b") for i in range(200)]
    split_of = split_families(sources)
    assert split_families(sources[::-1]) == split_of
    for label in ("a", "b"):
        total_s = sum(seconds for _, of, seconds in sources if of == label)
        for split, share in (("train", 0.80), ("validation", 0.08), ("test", 0.12)):
            held_s = sum(seconds for family, of, seconds in sources if of == label and split_of[family] == split)
            assert held_s / total_s == pytest.approx(share, abs=0.015)


def test_a_label_with_one_family_stays_in_training() -> None:
    assert split_families([("x", "inhale", 0.5), ("x", "inhale", 0.4)]) == {"x": "train"}


def test_a_family_in_two_splits_is_refused_and_not_moved() -> None:
    assert agreed_splits([("a", "a-1", "test"), ("a", "a-2", "test"), ("b", "b-1", "train")]) == {
        "a": "test", "b": "train",
    }  # fmt: skip
    with pytest.raises(UserError, match="a-1 and a-2 are takes of one source"):
        agreed_splits([("a", "a-1", "test"), ("a", "a-2", "train")])


def test_families_that_are_known_never_move() -> None:
    rng = np.random.default_rng(4)
    first = [(f"a/{i}", "a", float(rng.uniform(0.5, 4.0))) for i in range(60)]
    dealt = split_families(first)
    more = first + [(f"a/new{i}", "a", float(rng.uniform(0.5, 4.0))) for i in range(60)]
    again = split_families(more, dealt)
    assert {family: again[family] for family in dealt} == dealt
    total_s = sum(seconds for _, _, seconds in more)
    held_s = sum(seconds for family, _, seconds in more if again[family] == "test")
    assert held_s / total_s == pytest.approx(0.12, abs=0.02)
    assert any(split_families(more)[family] != split for family, split in dealt.items())  # which is why they are kept


def test_other_collections_leave_a_collection_alone() -> None:
    first = [(f"a/{i}", "a/song", 2.0) for i in range(30)]
    dealt = split_families(first)
    with_others = split_families([*first, *((f"b/{i}", "b/song", 3.0) for i in range(50))])
    assert {family: with_others[family] for family in dealt} == dealt


def test_the_manifest_says_what_is_held_out(tmp_path: Path) -> None:
    corpus = stored_corpus(tmp_path)
    corpus.save()
    stored = json.loads((tmp_path / MANIFEST_NAME).read_text())
    assert stored["recordings_sha256"] == corpus.recordings_sha256()
    record = corpus.records[0]
    real = dataclasses.replace(record, kind="real", seed=None, sources=("a.wav",))
    moved = dataclasses.replace(real, split="test" if real.split != "test" else "train")
    assert Corpus(tmp_path, [real]).recordings_sha256() != Corpus(tmp_path, [moved]).recordings_sha256()
    Corpus(tmp_path, [real]).save()
    assert recorded_splits(tmp_path) == {(real.collection, "a.wav"): real.split}
    text = (tmp_path / MANIFEST_NAME).read_text()
    (tmp_path / MANIFEST_NAME).write_text(text.replace(f'"split": "{real.split}"', f'"split": "{moved.split}"'))
    with pytest.raises(UserError, match="not those it was built with"):
        Corpus.open(tmp_path)


def test_manifests_of_the_first_revision_are_read(tmp_path: Path) -> None:
    corpus = stored_corpus(tmp_path)
    corpus.save()
    path = tmp_path / MANIFEST_NAME
    stored = json.loads(path.read_text())
    del stored["recordings_sha256"]
    for clip in stored["clips"]:
        del clip["variant"]
    path.write_text(json.dumps(stored | {"revision": 1}))
    assert Corpus.open(tmp_path).records == corpus.records


def test_a_lost_manifest_is_not_dealt_anew_in_silence(tmp_path: Path) -> None:
    assert recorded_splits(tmp_path) == {}
    (tmp_path / MANIFEST_NAME).write_text("{")
    with pytest.raises(UserError, match="held-out split is not known"):
        recorded_splits(tmp_path)


def test_splits_are_remembered_beside_the_manifest(tmp_path: Path) -> None:
    keep_splits(tmp_path, {("set", "a.wav"): "test", ("set", "b.wav"): "train"})
    assert recorded_splits(tmp_path) == {("set", "a.wav"): "test", ("set", "b.wav"): "train"}
    for words in ("{", "[]", '{"format": "stridor-splits", "revision": 2, "splits": []}'):
        (tmp_path / SPLITS_NAME).write_text(words)
        with pytest.raises(UserError, match="what was held out is not known"):
            recorded_splits(tmp_path)


def test_simulated_seeds_are_shared_out() -> None:
    splits = [split_of_seed(seed) for seed in range(5000)]
    assert splits.count("test") / 5000 == pytest.approx(0.02, abs=0.008)
    assert splits.count("validation") / 5000 == pytest.approx(0.02, abs=0.008)
