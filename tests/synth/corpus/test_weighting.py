"""Who is drawn how often: kinds, techniques, collections, labels, variants, and the cap."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np
import pytest

from synth.corpus.manifest import ClipRecord
from synth.corpus.weighting import MAX_BOOST, draw_chances


def clip(kind: str, technique: str, collection: str, label: str, duration_s: float, variant: str = "") -> ClipRecord:
    return ClipRecord.from_json({
        "id": "x", "kind": kind, "collection": collection, "technique": {technique: 1.0}, "label": label,
        "split": "train", "family": "f", "licence": "CC0-1.0", "consent": "given", "attribution": "",
        "duration_s": duration_s, "seed": None, "sources": [], "gains_db": [0.0], "sha256": "0" * 64,
        "variant": variant,
    })  # fmt: skip


def clips(n: int, *words: str) -> list[ClipRecord]:
    kind, technique, collection, label = words
    return [clip(kind, technique, collection, label, 5.0) for _ in range(n)]


HOURS_OF_SIMULATION = clips(2_000, "simulated", "fry", "simulator", "fry")
REAL = (
    clips(100, "real", "modal", "large", "song")
    + clips(4, "real", "modal", "small", "song")
    + clips(100, "real", "growl", "large", "growl_phrase")
    + clips(4, "real", "growl", "large", "growl_consonant")
)
ALL = REAL + HOURS_OF_SIMULATION


def share(chances: np.ndarray, belongs: Callable[[ClipRecord], bool], records: list[ClipRecord]) -> float:
    return float(sum(chance for chance, record in zip(chances, records, strict=True) if belongs(record)))


@pytest.mark.parametrize("real_fraction", [0.0, 0.5, 0.6, 1.0])
def test_hours_of_simulation_do_not_drown_minutes_of_voice(real_fraction: float) -> None:
    chances = draw_chances(ALL, real_fraction, 0.5)
    assert chances.sum() == pytest.approx(1.0)
    assert share(chances, lambda record: record.kind == "real", ALL) == pytest.approx(real_fraction)


def test_one_kind_alone_gets_everything() -> None:
    for real_fraction in (0.0, 0.5, 1.0):
        assert draw_chances(REAL, real_fraction, 0.5).sum() == pytest.approx(1.0)
        assert draw_chances(HOURS_OF_SIMULATION, real_fraction, 0.5).sum() == pytest.approx(1.0)


def test_a_twentyfifth_of_the_material_is_drawn_a_fifth_as_often() -> None:
    """The square root of 1/25, at the level of labels and at that of collections."""
    chances = draw_chances(REAL, 1.0, 0.5)
    growl = [share(chances, lambda r, label=label: r.label == label, REAL) for label in ("growl_phrase",
                                                                                       "growl_consonant")]
    modal = [
        share(chances, lambda r, name=name: r.label == "song" and r.collection == name, REAL)
        for name in ("large", "small")
    ]
    assert growl[1] / growl[0] == pytest.approx(0.2)
    assert modal[1] / modal[0] == pytest.approx(0.2)
    assert sum(growl) == pytest.approx(sum(modal))


def test_without_balance_length_alone_counts() -> None:
    assert np.allclose(draw_chances(REAL, 1.0, 0.0), 1.0 / len(REAL))


def test_nothing_is_repeated_without_end() -> None:
    records = [*clips(999, "real", "modal", "large", "song"), *clips(1, "real", "breathy", "large", "breath_inhale")]
    chances = draw_chances(records, 1.0, 1.0)
    assert chances[-1] == pytest.approx(MAX_BOOST / 1_000)
    assert chances.sum() == pytest.approx(1.0)


def test_augmented_versions_weigh_no_more_than_what_was_recorded() -> None:
    originals = clips(10, "real", "modal", "large", "song")
    versions = [dataclasses.replace(record, variant=f"speed {n}") for record in originals for n in (1, 2, 3)]
    chances = draw_chances(originals + versions, 1.0, 0.5)
    assert chances[:10].sum() == pytest.approx(0.5)
