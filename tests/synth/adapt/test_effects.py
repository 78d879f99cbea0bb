"""What an adapter does beside what it is for: paired, by region, and told with intervals."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from synth.adapt.adaptation import load_base
from synth.adapt.compare import Arm, harm_table, methods_table, regions_table, summarise
from synth.adapt.effects import FAMILIES, Heard, control_error, harm, judged_hypothesis, measured, region_effects
from synth.adapt.memory import peak_of, random_batch
from synth.adapt.training import MASKED, AdaptRecipe
from synth.adapters.layout import REGIONS
from synth.diffusion.sampler import SamplingPlan
from synth.engine import Engine
from tests.synth.adapters.tiny_adapters import random_adapter
from tests.synth.corpus.recordings import voice
from tests.tiny_weights import save_tiny_weights

PLAN = SamplingPlan(1)


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Engine:
    engine = Engine.load(save_tiny_weights(tmp_path_factory.mktemp("weights")), "cpu", 1)
    engine.adapters.base_hash = "0" * 32
    return engine


def sizes(**by_region: float) -> dict[str, dict[str, Any]]:
    """A matrix in which every measure of a family has the size of its region, +- 0.1."""
    interval = {
        region: {"value": size, "low": size - 0.1, "high": size + 0.1, "n": 9} for region, size in by_region.items()
    }
    names = [name for family in FAMILIES.values() for name in family]
    return {region: {name: {"size_in_deviations": interval[region]} for name in names} for region in REGIONS}


def test_a_hypothesis_is_confirmed_refuted_or_open() -> None:
    verdicts = judged_hypothesis(sizes(early=1.0, middle=0.5, late=0.45))
    assert {family: found["verdict"] for family, found in verdicts.items()} == {
        "noise": "confirmed", "irregularity": "refuted", "pitch": "refuted",
    }  # fmt: skip
    close = judged_hypothesis(sizes(early=0.55, middle=0.5, late=0.45))
    assert {found["verdict"] for found in close.values()} == {"open"}


def test_a_known_voice_is_measured_as_it_is() -> None:
    audio = voice(1.6, 220.0, rate_hz=48_000)
    heard = measured(audio, 57.0)  # 220 Hz
    assert heard.measures["pitch_wander_cents"] > 20.0  # it glides by a tenth, up and down
    assert heard.measures["hnr_db"] > 5.0
    known = {name: value if math.isfinite(value) else 0.5 for name, value in heard.lanes.items()}
    assert control_error(Heard(known, {}), known) == 0.0
    assert control_error(Heard(known, {}), known | {"roughness": known["roughness"] + 0.8}) == pytest.approx(0.1)


def test_regions_move_what_they_move_and_only_when_they_do(engine: Engine) -> None:
    adapter = random_adapter("lora", ("late",))
    engine.adapters.add(adapter)
    found = region_effects(engine, adapter.id, "growl", PLAN, n=3)
    assert found["segments"] == 3
    for region in ("early", "middle"):  # where the adapter has nothing
        changes = [found["matrix"][region][name]["change"]["value"] for name in found["matrix"][region]]
        assert all(change == 0.0 or math.isnan(change) for change in changes)
    moved = [found["matrix"]["late"][name]["change"]["value"] for name in found["matrix"]["late"]]
    assert any(change != 0.0 and math.isfinite(change) for change in moved)
    assert regions_table(found).count("\n") >= 8
    json.dumps(found)


def test_harm_is_paired(engine: Engine) -> None:
    silent = random_adapter("lora", ("early",), seed=3)
    nothing = {name: {s: v * 0.0 for s, v in parts.items()} for name, parts in silent.layers.items()}
    adapter = type(silent).of(silent.info, nothing)
    engine.adapters.add(adapter)
    found = harm(engine, adapter.id, "growl", PLAN, n=7)
    assert set(found["techniques"]) == {"modal", "breathy", "whisper", "sigh", "fry", "scream", "shout"}
    # The same weights packed anew sing the same.
    assert found["all"]["relative"]["value"] == pytest.approx(0.0, abs=1e-6)
    assert harm_table(found).startswith("| technique")


def report(control: float, seconds: float) -> dict[str, Any]:
    change = {name: {"value": control} for name in ("control_error", "log_mel_db", "mr_stft", "roughness")}
    return {
        "held_out": {"change": change, "gap_closed": {"closed": 0.5}}, "seconds": {"training": seconds},
        "training": {"stage 1": {"steps": 10}}, "parameters": 7, "share": 0.01, "file": {"bytes": 1_000},
    }  # fmt: skip


def test_methods_are_summed_up_over_seeds() -> None:
    arms = [Arm("lora", 0, report(-0.1, 60.0)), Arm("lora", 1, report(-0.3, 120.0)), Arm("full", 0, report(0.0, 60.0))]
    found = summarise(arms)
    assert found["lora"]["seeds"] == 2
    assert found["lora"]["change"]["control_error"]["value"] == pytest.approx(-0.2)
    assert found["lora"]["minutes"]["value"] == pytest.approx(1.5)
    memory = {"methods": {name: {"peak_mb": 12.0} for name in ("lora", "full")}}
    assert "| lora | 7 | 1.00 % | 1 | 1.5 | 12 |" in methods_table(found, memory)
    assert "not measured" in methods_table(found, None)


@pytest.mark.skipif(sys.platform != "linux", reason="peak memory is read from /proc")
def test_sparse_training_keeps_less_than_masked(tmp_path: Path) -> None:
    base, _ = load_base(save_tiny_weights(tmp_path), torch.device("cpu"))
    found = {}
    for method in ("sara", MASKED):
        recipe = AdaptRecipe(method, share=0.02, reselect=1.0, nuclear=0.0, use_bf16=False)
        found[method] = peak_of(method, base, random_batch(base, 2), recipe, 2)
    assert found["sara"]["gradient_mb"] < 0.1 * found[MASKED]["gradient_mb"]
    assert found["sara"]["optimizer_mb"] < 0.1 * found[MASKED]["optimizer_mb"]
    assert all(np.isfinite(list(figures.values())).all() for figures in found.values())


def test_the_command_says_what_it_can_do() -> None:
    done = subprocess.run([sys.executable, "-m", "synth.adapt.compare", "--help"], capture_output=True, text=True,
                          check=False)  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "regions" in done.stdout
