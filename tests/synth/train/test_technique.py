"""The classifier's training: it learns what can be learned, the same way twice, and its figures count right."""

from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from synth.corpus.clip_file import Clip, audio_sha256, to_float32, to_int16, write_clip
from synth.corpus.manifest import SPLITS, ClipRecord, Corpus, Split, clip_path
from synth.errors import UserError
from synth.features.analysis import analyse, technique_features
from synth.features.technique import N_FEATURES, load_technique_classifier
from synth.spec import TECHNIQUES
from synth.train.technique import (
    AVERAGED_CEPSTRA,
    CEPSTRA,
    HeardClip,
    TechniqueConfig,
    balanced_chance,
    figure_lines,
    figures,
    hear,
    hear_split,
    train_from_corpus,
    train_technique,
)
from tests.synth.features.voices import voice

# Of the features: pitch confidence, now and averaged.
_CONFIDENCE = [12, 12 + N_FEATURES // 2]
SHORT = TechniqueConfig(minutes=1.0, hidden=(16,), batch_frames=256, evaluate_every_steps=50, max_steps=250)


def toy_clip(technique: str, seed: int, *, is_real: bool = False, n_frames: int = 60, share: float = 1.0) -> HeardClip:
    """Features where feature 13 + i (averaged: 41 + i) is high for technique i; the rest is noise."""
    rng = np.random.default_rng(seed)
    index = TECHNIQUES.index(technique)
    features = rng.standard_normal((n_frames, N_FEATURES)).astype(np.float32)
    features[:, [13 + index, 41 + index]] += 4.0
    targets = np.zeros((n_frames, len(TECHNIQUES)), dtype=np.float32)
    targets[:, index] += share
    targets[:, 0] += 1.0 - share
    singing = np.ones(n_frames, dtype=np.bool_)
    singing[: n_frames // 4] = False
    return HeardClip(f"{technique}-{seed}", is_real, features, targets, singing)


def toys(first_seed: int) -> list[HeardClip]:
    return [toy_clip(name, first_seed + i, is_real=i % 3 == 0) for i, name in enumerate(TECHNIQUES * 2)]


def test_what_can_be_told_apart_is_learned() -> None:
    model = train_technique(toys(0), toys(100), SHORT)
    found = figures(model, toys(200))
    assert found["real"]["accuracy"] > 0.95
    assert found["simulated"]["accuracy"] > 0.95
    assert found["real"]["clip_accuracy"] == 1.0


def test_mixtures_are_heard_as_mixtures() -> None:
    clips = [toy_clip(name, i, share=share) for i, (name, share) in enumerate([("fry", 0.6), ("modal", 1.0)] * 6)]
    model = train_technique(clips, clips, replace(SHORT, noise=0.0, dropout=0.0))
    heard = model(toy_clip("fry", 999).features).mean(axis=0)
    assert heard[TECHNIQUES.index("fry")] == pytest.approx(0.6, abs=0.1)
    assert heard[TECHNIQUES.index("modal")] == pytest.approx(0.4, abs=0.1)


def test_the_same_seed_gives_the_same_weights() -> None:
    config = replace(SHORT, max_steps=20)
    first, again = train_technique(toys(0), toys(9), config), train_technique(toys(0), toys(9), config)
    other = train_technique(toys(0), toys(9), replace(config, seed=1))
    for (weight, bias), (weight_again, bias_again) in zip(first.layers, again.layers, strict=True):
        assert np.array_equal(weight, weight_again)
        assert np.array_equal(bias, bias_again)
    assert not np.array_equal(first.layers[0][0], other.layers[0][0])


def test_cepstra_are_where_the_training_thinks_they_are() -> None:
    """A steady colouring shifts a cepstrum and its average alike."""
    analysis = analyse(voice(150.0, 0.3))
    coloured = replace(analysis, mfcc=analysis.mfcc + np.float32(0.5))
    shift = technique_features(coloured) - technique_features(analysis)
    shifted = np.zeros(N_FEATURES, dtype=np.float32)
    shifted[CEPSTRA] = shifted[AVERAGED_CEPSTRA] = 0.5
    np.testing.assert_allclose(shift, np.tile(shifted, (analysis.n_frames, 1)), atol=1e-4)


def test_it_stops_when_the_validation_no_longer_improves() -> None:
    nonsense = [replace(clip, targets=np.roll(clip.targets, 1, axis=1)) for clip in toys(100)]
    config = replace(SHORT, evaluate_every_steps=5, patience=3, max_steps=2_000)
    recipe = train_technique(toys(0), nonsense, config).notes["recipe"]
    assert recipe["steps"] == recipe["best_step"] + 15


def test_a_spent_time_box_still_gives_a_classifier() -> None:
    started = TechniqueConfig(minutes=1e-6, max_steps=10**9, hidden=(4,), patience=10**9)
    assert train_technique(toys(0), toys(9), started).notes["recipe"]["steps"] > 0


def test_every_technique_is_drawn_alike_and_little_material_less() -> None:
    targets = np.zeros((1_110, len(TECHNIQUES)), dtype=np.float32)
    targets[:1_000, 0] = 1.0  # modal: 600 recorded, 400 simulated
    targets[1_000:1_110, 1] = 1.0  # breathy: 10 recorded, 100 simulated
    is_real = np.arange(1_110) < 600
    is_real[1_000:1_010] = True
    chance = balanced_chance(targets, is_real, enough_frames=100.0)
    assert chance.sum() == pytest.approx(1.0)
    assert chance[:1_000].sum() == pytest.approx(0.5)
    assert chance[:600].sum() == pytest.approx(0.25)
    assert chance[1_000:1_010].sum() == pytest.approx(0.5 * 10.0 / 110.0)


def test_figures_count_singing_frames_of_one_main_technique() -> None:
    model = train_technique(toys(0), toys(100), SHORT)
    right, torn = toy_clip("growl", 300, is_real=True), toy_clip("scream", 301, share=0.5)
    wrong = replace(toy_clip("shout", 302), targets=toy_clip("sigh", 0).targets)
    found = figures(model, [right, torn, wrong])
    assert found["real"]["frames"] == {"growl": 45}
    assert found["simulated"]["frames"] == {"sigh": 45}
    assert found["simulated"]["accuracy"] < 0.1
    assert found["simulated"]["confusion"]["sigh"]["shout"] > 0.9
    assert found["only_simulated"] == ["sigh"]
    lines = "\n".join(figure_lines(found))
    assert "real: 100.0 %" in lines
    assert "known only to the simulator: sigh" in lines


# ---- with a corpus on disk


def _add(folder: Path, technique: str, kind: str, split: Split, seed: int) -> ClipRecord:
    """0.4 s of whisper or clean voice, with half a second's silence; stored with a pitch track that no ear has."""
    sound = voice(150.0, 0.4, hnr_db=-np.inf if technique == "whisper" else 25.0, seed=seed)
    audio = to_int16(np.concatenate([sound, np.zeros(24_000, dtype=np.float32)]))
    analysis = analyse(to_float32(audio))
    n_frames = analysis.n_frames
    track = replace(analysis.f0, confidence=np.zeros(n_frames, dtype=np.float32))
    lanes = dict(analysis.lanes)
    lanes |= {f"technique.{name}": np.full(n_frames, name == technique, np.float32) for name in TECHNIQUES}
    name = f"{kind}-{technique}-{split}-{seed}"
    record = ClipRecord(
        id=name, kind="real" if kind == "real" else "simulated", collection="c", technique={technique: 1.0},
        label=technique, split=split, family=name, licence="CC0-1.0", consent="given", attribution="",
        duration_s=n_frames / 100.0, seed=None, sources=(), gains_db=(0.0,), sha256=audio_sha256(audio),
    )  # fmt: skip
    write_clip(
        clip_path(folder, name), record.to_json(), audio,
        Clip(to_float32(audio), lanes, analysis.physical, track, analysis.mfcc),
    )  # fmt: skip
    return record


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    folder = tmp_path_factory.mktemp("corpus")
    cases = itertools.product(("modal", "whisper"), ("real", "simulated"), SPLITS)
    corpus = Corpus(folder, [_add(folder, *case, seed) for seed, case in enumerate(cases)])
    corpus.save()
    return corpus


@pytest.mark.parametrize("kind", ["real", "simulated"])
def test_simulations_are_listened_to_and_recordings_taken_as_stored(corpus: Corpus, kind: str) -> None:
    for record in corpus.records:
        if record.kind != kind:
            continue
        heard, audio = hear(corpus, record), corpus.load(record).audio
        expected = technique_features(analyse(audio))
        if kind == "real":
            expected[:, _CONFIDENCE] = 0.0
        np.testing.assert_allclose(heard.features, expected, atol=0.02)  # stored in half precision
        assert 30 <= int(heard.singing.sum()) <= 60


def test_no_more_simulations_are_heard_than_asked_for(corpus: Corpus) -> None:
    heard = hear_split(corpus, "train", 0)
    assert [clip.is_real for clip in heard] == [True, True]
    assert len(hear_split(corpus, "train", 1)) == len(hear_split(corpus, "train")) == 4


def test_a_corpus_becomes_a_file_that_tells_its_techniques_apart(corpus: Corpus, tmp_path: Path) -> None:
    path = tmp_path / "technique.safetensors"
    train_from_corpus(corpus.folder, path, SHORT)
    model = load_technique_classifier(path)
    found = model.notes["figures"]
    assert found["real"]["clips"] == found["simulated"]["clips"] == 2
    assert found["real"]["accuracy"] > 0.9
    assert found["only_simulated"] == []
    assert model.notes["recipe"]["train_clips"] == 4


def test_a_corpus_without_a_validation_split_is_one_clear_line(corpus: Corpus, tmp_path: Path) -> None:
    partial = Corpus(tmp_path, corpus.split("train"))
    partial.save()
    (tmp_path / "clips").symlink_to(corpus.folder / "clips")
    with pytest.raises(UserError, match="no voice for validation"):
        train_from_corpus(tmp_path, tmp_path / "out.safetensors", SHORT)
    assert not (tmp_path / "out.safetensors").exists()
