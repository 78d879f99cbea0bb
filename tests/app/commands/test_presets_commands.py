"""`stridor presets` with packs, keys, galleries and checks."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from app.commands import presets_check
from app.commands.presets_check import AUDIBLE, Heard, distance
from app.state.preset import Preset
from app.store.packs.install import plan_installation
from app.store.packs.reader import read_pack
from app.store.packs.summary import summary_lines
from app.store.presets import save_preset
from tests.app.commands.conftest import Program
from tests.app.store.packs import forge

NAMED = ("--id", "orcs", "--name", "Orcs", "--author", "Ann", "--licence", "CC0-1.0", "--consent", "My own voice.")


def test_make_a_key_pack_verify_install_list_undo_and_remove(stridor: Program, tmp_path: Path) -> None:
    save_preset(forge.preset("mine"))
    key = json.loads(stridor("presets", "keys", "--make", "--json").out)["own"]
    pack = str(tmp_path / "orcs.stridorpack")
    made = stridor("presets", "pack", "mine", "growl", "-o", pack, *NAMED)
    assert "2 presets, 0 adapters" in made.out
    assert ", signed" in made.out
    verified = stridor("presets", "verify", pack).out
    assert "The pack is whole." in verified
    assert key in verified
    refused = stridor("presets", "install", pack)
    assert refused.status == 2
    assert "mine (would be mine-orcs)" in refused.err
    assert "--rename" in refused.err
    installed = json.loads(stridor("presets", "install", pack, "--rename", "--json").out)
    assert installed["installed"] == ["mine-orcs", "growl-orcs"]
    assert "mine-orcs" in stridor("presets", "list").out
    assert json.loads(stridor("presets", "list", "--packs", "--json").out)["packs"][0]["id"] == "orcs"
    assert key in stridor("presets", "keys").out
    shown = stridor("presets", "show", "orcs").out
    for words in ("Orcs 1.0 (orcs), by Ann", key, "My own voice.", "presets/mine.json"):
        assert words in shown
    assert stridor("presets", "show", "elves").status == 2
    assert stridor("presets", "remove", "orcs").status == 0
    assert "mine-orcs" not in stridor("presets", "list").out
    assert "Remove Orcs" in stridor("presets", "undo").out
    assert "mine-orcs" in stridor("presets", "list").out
    assert stridor("presets", "keys", "--forget", key).status == 0


def test_a_hostile_pack_is_one_line_and_changes_nothing(stridor: Program, tmp_path: Path) -> None:
    path = tmp_path / "evil.stridorpack"
    path.write_bytes(forge.good_pack()[:-3])
    ran = stridor("presets", "install", str(path))
    assert ran.status == 2
    assert len(ran.err.strip().splitlines()) == 1
    assert "cut short" in ran.err


def test_gallery_and_installing_from_its_index(stridor: Program, tmp_path: Path) -> None:
    (tmp_path / "packs").mkdir()
    (tmp_path / "packs" / "a.stridorpack").write_bytes(forge.good_pack())
    out = tmp_path / "out"
    assert "1 packs" in stridor("presets", "gallery", str(tmp_path / "packs"), "-o", str(out)).out
    index = str(out / "registry.json")
    assert "Orcs 1.0 by Ann Singer" in stridor("presets", "registry", index).out
    done = json.loads(stridor("presets", "install", "orcs", "--from", index, "--json").out)
    assert done["installed"] == ["orc_growl", "orc_sigh"]


def test_the_summary_says_who_what_under_which_terms_and_what_will_differ(tmp_path: Path) -> None:
    path = tmp_path / "a.stridorpack"
    path.write_bytes(forge.good_pack(description="Deep ones."))
    plan = plan_installation(read_pack(path))
    text = "\n".join(summary_lines(plan))
    for words in (
        "Orcs 1.0, by Ann Singer",
        "Deep ones.",
        "CC0-1.0",
        "everybody may sing",
        "not seen before",
        "1 adapter",
    ):
        assert words in text


def heard(preset_id: str, **lanes: float) -> Heard:
    features = {(lane_id, part): lanes.get(lane_id, 0.5) for lane_id in AUDIBLE for part in (0, 1)}
    return Heard(preset_id, -20.0, -6.0, features, dict.fromkeys(features, 0.0))


def test_distance_counts_in_audible_steps_beyond_the_takes_own_differences() -> None:
    one, other = heard("a"), heard("b", roughness=0.8)
    assert distance(one, other) == (pytest.approx(2.0), "roughness")
    unsteady = Heard("c", -20.0, -6.0, other.features, dict.fromkeys(other.features, 0.3))
    assert distance(one, unsteady)[0] == pytest.approx(0.0, abs=1e-6)


def test_faults_of_level_and_of_sounding_alike_are_told() -> None:
    rows, faults = presets_check._judged([heard("a"), heard("b", fry=0.55), heard("c", fry=0.9)])
    assert [row["nearest"] for row in rows] == ["b", "a", "b"]
    assert faults == ["a and b sound alike (0.3 times the audible, in fry)"]
    loud = Heard("x", -3.0, 0.0, {}, {})
    assert loud.faults() == ["level -3.0 dB is not within -45 to -8", "peaks at 0.0 dB"]
    assert Heard("x", np.nan, -99.0, {}, {}).faults() == ["silent"]


def test_a_take_is_measured_in_its_beginning_and_its_course() -> None:
    t_s = np.arange(96_000) / 48_000
    tone = sum(np.sin(2 * np.pi * 220 * k * t_s) / k for k in range(1, 12)) * np.where(t_s < 0.85, 0.02, 0.2)
    found = presets_check.hear(Preset("p", "P"), [tone.astype(np.float32)])
    assert found.features["loudness", 1] - found.features["loudness", 0] == pytest.approx(20.0, abs=1.5)
    assert found.features["breathiness", 0] < 0.3
    assert found.features["pitch", 0] == 57.0


def test_bench_tells_how_soon_the_browser_answers(stridor: Program) -> None:
    told = json.loads(stridor("bench", "presets", "--presets", "12", "--json").out)
    assert told["presets"] == 12
    assert told["again"]["cpu_ms"] > 0.0
    assert all(times["clock_ms"] > 0.0 for times in told["searches"].values())
