"""The report of the stage-adaptive study: tables and sentences say no more than the figures do."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from synth.errors import UserError
from synth.evaluate.stage_plots import PICTURES
from synth.evaluate.stage_report import marks, write_into, write_report
from synth.evaluate.stage_tables import (
    BASE,
    MEASURES,
    difference,
    discrepancy_correlations,
    encoder_agreement,
    markdown,
    mean_interval,
    observer_turns,
    read_results,
    regime_correlations,
)
from synth.evaluate.stage_words import summary


def made_up(effect: float, spread: float) -> list[dict[str, Any]]:
    """Static runs and others whose loss is `effect` percent higher, give or take `spread`, over five seeds."""
    rng = np.random.default_rng(0)
    found = []
    for seed, sway in enumerate(rng.standard_normal(5)):
        for arm, factor in ((BASE, 1.0), ("guidance", 1.0 + (effect + spread * sway) / 100.0)):
            level = factor * (1.0 + 0.1 * seed)
            curve = [
                {"step": step, "regime": step / 100, "v_loss": level / step, "bands": [level / step] * 8}
                | {f"{name}_{n}": level / step for name in ("log_mel_db", "kernel") for n in (4, 16)}
                | {"regimes": {"ours": step / 100, "log-mel": step / 200}}
                for step in (10, 30, 100)
            ]
            curve[-1]["pathways"] = {"everything": level}
            columns = ["step", "log_d", "slope", "regime", "regime_used", "tilt", "structure"]
            columns += [f"{what} by {name}" for name in ("ours", "log-mel") for what in ("regime", "log_d", "slope")]
            track = [
                [step, log_d, 0, regime, regime, 0, 0, regime, log_d, 0.1, 0.2, -log_d, 0.1]
                for step, log_d, regime in ((10, -0.1, 0.0), (30, -0.5, 0.0), (50, -0.4, 0.9), (100, -0.6, 0.9))
            ]
            found.append(
                {
                    "arm": arm,
                    "seed": seed,
                    "curve": curve,
                    "track_columns": columns,
                    "track": track,
                    "groups": [0, 0, 2],
                }
                | {"encoder": "ours", "injection": "both", "parameters": 7, "thresholds": "adaptive"}
                | {"stack_seconds": 4.0, "stacked": 2, "real_to_real": 0.5}
            )
    return found


@pytest.mark.parametrize(
    ("effect", "spread", "verdict"), [(-5.0, 1.0, "better"), (5.0, 1.0, "worse"), (0.5, 5.0, "undecided")]
)
def test_a_difference_is_decided_only_when_its_interval_leaves_out_zero(
    effect: float, spread: float, verdict: str
) -> None:
    found = difference(made_up(effect, spread), "guidance", "v_loss")
    assert found.verdict == verdict
    assert found.percent.n == 5
    if spread == 1.0:
        assert found.percent.value == pytest.approx(effect, abs=2.0)


def test_one_seed_decides_nothing() -> None:
    alone = [run for run in made_up(-50.0, 0.0) if run["seed"] == 0]
    assert difference(alone, "guidance", "v_loss").verdict == "undecided"


def test_a_regime_that_only_follows_time_explains_nothing_beyond_it() -> None:
    found = regime_correlations(made_up(0.0, 0.0))
    assert found["v_loss"].value == pytest.approx(-1.0)
    assert found["v_loss, step taken out"].n == 0  # not defined: both are functions of the step
    assert observer_turns(made_up(0.0, 0.0))["ours"] == [50.0] * 5


def test_sentences_say_what_is_decided_and_what_is_missing() -> None:
    text = summary(stored(made_up(-5.0, 1.0)))
    assert "**guidance** against the static recipe: better in error of v (-" in text
    assert "undecided" not in text and "Not complete" not in text  # noqa: PT018 (one sentence)
    assert "passed one half in 10 of 10 runs" in text
    assert "undecided in all measures" in summary(stored(made_up(0.5, 5.0)))
    fewer = [run for run in made_up(-5.0, 1.0) if run["arm"] == BASE or run["seed"] < 2]
    assert "so far there are: guidance 2." in summary(stored(fewer))


def test_the_discrepancy_is_compared_over_runs_and_between_encoders() -> None:
    runs = made_up(-5.0, 1.0)
    assert encoder_agreement(runs)["log-mel"].value == pytest.approx(-1.0)  # made up as each other's opposite
    for run in runs:
        run["track"] = [[*row[:1], row[1] + run["curve"][-1]["v_loss"], *row[2:]] for row in run["track"]]
    ends = discrepancy_correlations(runs)["v_loss, over the runs' ends"]
    assert (ends.n, ends.low > 0.5) == (10, True)


def stored(runs: list[dict[str, Any]]) -> dict[str, Any]:
    plan = {"steps": 100, "batch": 4}
    encoders = {"ours": {"steps": 3, "technique_by_neighbours": {"real": 0.5}}}
    material = {"train_windows": 5, "train_minutes": 1.0, "asked_windows": 2}
    return {"runs": runs, "seeds": 5, "device": "a machine", "plan": plan, "material": material, "encoders": encoders}


def test_the_page_holds_every_table_and_the_plots_are_drawn(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.ERROR, "matplotlib.font_manager")  # its first use on a machine takes a while and says so
    text = markdown(stored(made_up(-5.0, 1.0)))
    for part in ("better", "| guidance |", "2+1", "not run", "50.0 %", "10 runs of 2 recipes and 5 seeds on a machine"):
        assert part in text
    path = tmp_path / "ablation.json"
    path.write_text(json.dumps(stored(made_up(-5.0, 1.0))))
    write_report(path, tmp_path / "report")
    pictures = sorted(file.name for file in (tmp_path / "report").glob("*.png"))
    assert pictures == [f"stages-{name}.png" for name in ("curves", "differences", "injection", "regime")]
    assert all(file.read_bytes().startswith(b"\x89PNG") for file in (tmp_path / "report").glob("*.png"))


@pytest.mark.parametrize("text", ["", "{}", '{"runs": []}', '{"runs": [{"arm": "guidance"}]}'])
def test_results_that_are_none_are_one_clear_line(text: str, tmp_path: Path) -> None:
    path = tmp_path / "ablation.json"
    if text:
        path.write_text(text)
    with pytest.raises(UserError):
        read_results(path)


def test_chance_decides_one_null_in_twenty() -> None:
    rng = np.random.default_rng(0)
    found = [mean_interval(rng.standard_normal(5)) for _ in range(1_500)]
    assert 0.035 < np.mean([interval.low > 0.0 or interval.high < 0.0 for interval in found]) < 0.065


def test_a_mechanism_is_compared_with_itself_at_random_times() -> None:
    runs = made_up(-5.0, 1.0)
    runs += [run | {"arm": "guidance, random thresholds"} for run in made_up(0.0, 0.0) if run["arm"] == BASE]
    text = markdown(stored(runs))
    block = text.split("random thresholds:", 1)[1].split("\n\n")[1]
    assert block.count("better") == len(MEASURES)
    assert "7 are better, 0 worse, 7 undecided" in text


def test_tables_go_into_a_page_between_its_marks(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.ERROR, "matplotlib.font_manager")
    results, page = tmp_path / "ablation.json", tmp_path / "page.md"
    results.write_text(json.dumps(stored(made_up(-5.0, 1.0))))
    page.write_text("before\n")
    with pytest.raises(UserError, match="no place"):
        write_into(results, page)
    begin, end = marks("longer")
    page.write_text(f"before\n{begin}\nformer\n{end}\nafter\n")
    write_into(results, page, "longer")
    text = page.read_text()
    assert text.startswith("before\n")
    assert text.endswith("after\n")
    assert "former" not in text
    names = [f"longer-{name}.png" for name in PICTURES]
    assert all(name in text and (tmp_path / name).is_file() for name in names)
