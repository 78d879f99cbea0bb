"""Augmented versions of recordings: other voices, with labels that are theirs."""

from __future__ import annotations

import numpy as np
import pytest

from synth.corpus.build import build_corpus
from synth.corpus.manifest import Corpus
from synth.corpus.real import Source
from synth.corpus.variants import (
    MAX_SPEED_SEMITONES,
    MIN_SPEED_SEMITONES,
    Variant,
    tilt,
    variant_of,
)
from tests.synth.corpus.recordings import voice, write


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    folder = tmp_path_factory.mktemp("voices")
    sources = []
    for number, split in enumerate(("train", "validation", "test")):
        write(folder / f"{split}.wav", voice(2.5, 150.0 + 20.0 * number, seed=number))
        sources.append(Source(folder, f"{split}.wav", "c", "modal", "CC0-1.0", "given", "", given_split=split))
    return build_corpus(tmp_path_factory.mktemp("out"), None, 0.0, n_workers=0, extra_sources=sources, n_variants=2)


def test_only_training_has_variants(corpus: Corpus) -> None:
    assert [len(corpus.split(split)) for split in ("train", "validation", "test")] == [3, 1, 1]
    assert [bool(record.variant) for record in corpus.split("train")] == [False, True, True]


def test_a_variant_is_measured_as_it_sounds(corpus: Corpus) -> None:
    """Pitch and duration move by the speed, and the lanes are what the ears hear of the new sound."""
    original, *variants = corpus.split("train")
    heard = corpus.load(original)
    note = np.nanmedian(heard.lanes["pitch"])
    for number, record in enumerate(variants, start=1):
        variant = variant_of(original.id, number)
        assert record.variant == str(variant)
        assert record.duration_s == pytest.approx(original.duration_s / variant.speed, rel=1e-3)
        moved = np.nanmedian(corpus.load(record).lanes["pitch"]) - note
        assert moved == pytest.approx(12.0 * np.log2(variant.speed), abs=0.1)
        assert (record.family, record.label, record.technique) == (original.family, original.label, original.technique)


def test_variants_differ_enough_and_not_too_much() -> None:
    drawn = [variant_of(f"clip-{i}", 1) for i in range(300)]
    semitones = 12.0 * np.log2([variant.speed for variant in drawn])
    assert np.abs(semitones).min() >= MIN_SPEED_SEMITONES
    assert np.abs(semitones).max() <= MAX_SPEED_SEMITONES
    assert 0.4 < np.mean(semitones > 0.0) < 0.6
    assert variant_of("clip-1", 1) == drawn[1]
    assert str(Variant()) == ""


def test_tilting_turns_the_spectrum_about_1_khz() -> None:
    noise = np.random.default_rng(0).normal(size=48_000).astype(np.float32)
    gain_db = 20.0 * np.log10(np.abs(np.fft.rfft(tilt(noise, 1.0))) / np.abs(np.fft.rfft(noise)))
    for frequency_hz, expected_db in ((1_000, 0.0), (2_000, 1.0), (250, -2.0), (4_000, 2.0)):
        around = gain_db[frequency_hz - 40 : frequency_hz + 40]
        assert np.median(around) == pytest.approx(expected_db, abs=0.2)
