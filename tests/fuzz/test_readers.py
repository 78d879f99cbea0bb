"""The readers under random input: a few thousand cases at every run, and everything that ever found something."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.store.packs.refusal import PackRefused
from tests.app.store.packs import forge
from tests.fuzz.mutation import PRESET_ID, Mutator
from tests.fuzz.oracle import Finding, judge_installation, judge_pack, judge_preset
from tests.fuzz.packs import FOUND, fuzz

KEPT = sorted(path for path in FOUND.iterdir() if path.suffix != ".md")
SOUND_PRESET = Mutator(1).presets[-1]


@pytest.mark.parametrize("path", KEPT, ids=lambda path: path.name)
def test_what_was_found_stays_mended(path: Path) -> None:
    judge = judge_preset if path.suffix == ".json" else judge_pack
    assert judge(path.read_bytes())


def test_mutations_find_nothing(tmp_path: Path) -> None:
    outcomes, n_found = fuzz(2000, 20_261_121, tmp_path / "found", tmp_path)
    assert n_found == 0, outcomes
    assert len(outcomes) > 20, "the mutations reach many different checks"
    assert outcomes["read"] > 20, "some of them mean nothing"


def test_a_pack_that_was_read_installs_inside_its_folder(tmp_path: Path) -> None:
    judge_installation(forge.good_pack(), tmp_path)


def test_a_finding_is_noticed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def broken(*_: object) -> None:
        raise KeyError("lost")

    monkeypatch.setattr("tests.fuzz.oracle.PackReader", broken)
    with pytest.raises(Finding, match="KeyError"):
        judge_pack(forge.small_pack())
    monkeypatch.setattr("tests.fuzz.oracle.PackReader", _refusing_in_two_lines)
    with pytest.raises(Finding, match="not one line"):
        judge_pack(forge.small_pack())


def _refusing_in_two_lines(*_: object) -> None:
    refusal = PackRefused("x", "y")
    refusal.message = "two\nlines"
    refusal.args = ("two\nlines",)
    raise refusal


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=400))
def test_any_bytes(data: bytes) -> None:
    judge_pack(data)
    judge_preset(data)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=8,
)
PRESET_KEYS = st.sampled_from(
    (
        "timbre",
        "tags",
        "model",
        "adapters",
        "gestures",
        "lane_ranges",
        "playing",
        "technique",
        "lane_defaults",
        "edition",
    )
)


@settings(max_examples=300, deadline=None)
@given(st.dictionaries(PRESET_KEYS, json_values, min_size=1, max_size=3))
def test_any_values_in_a_preset(changes: dict[str, object]) -> None:
    document = json.loads(SOUND_PRESET) | changes | {"id": PRESET_ID}
    judge_preset(json.dumps(document).encode())
