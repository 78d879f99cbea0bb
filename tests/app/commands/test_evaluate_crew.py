"""An evaluation shared by processes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from app.commands.evaluate import crew
from app.commands.evaluate.crew import groups
from app.commands.evaluate.options import EngineChoice
from app.commands.evaluate.rendering import render_elsewhere
from synth.evaluate.kept import load
from tests.app.commands.conftest import Program
from tests.tiny_weights import save_tiny_weights


def test_parts_that_share_their_singing_stay_together_and_the_longest_come_first() -> None:
    found = groups(["pitch", "kernel", "lanes", "fidelity", "silence"])
    assert found[0] == ["lanes"]
    assert ["kernel", "fidelity"] in found
    assert sorted(name for group in found for name in group) == ["fidelity", "kernel", "lanes", "pitch", "silence"]


def test_a_group_gets_its_share_of_what_those_running_leave(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(crew.time, "monotonic", lambda: 1_000.0)
    lanes, pitch, cross = ["lanes"], ["pitch"], ["crosstalk"]  # 8, 1 and 0.4 minutes
    first_s = crew._own_s([lanes, pitch, cross], [], 2, 1_600.0)
    assert first_s == 600.0, "no more than is left on the clock"
    running = [crew._Running(None, lanes, 1_000.0 + first_s)]
    assert crew._own_s([pitch, cross], running, 2, 1_600.0) == pytest.approx(600.0 / 1.4)


@pytest.mark.slow
def test_two_processes_leave_one_page(stridor: Program, tmp_path: Path) -> None:
    weights, out = save_tiny_weights(tmp_path / "weights"), tmp_path / "out"
    words = (
        "--quick",
        "--parts",
        "silence,kernel",
        "--jobs",
        "2",
        "--weights",
        weights,
        "--quality",
        "live",
        "-o",
        out,
    )
    ran = stridor("evaluate", *words)
    assert ran.status == 0, ran.err
    stored = json.loads((out / "evaluation.json").read_text())
    assert [(part["name"], part["outcome"]) for part in stored["parts"]] == [("kernel", "not run"), ("silence", "done")]
    assert set(load(out, ["kernel", "silence"])) == {"kernel", "silence"}


@pytest.mark.slow
def test_memory_is_measured_in_a_process_that_only_renders(tmp_path: Path) -> None:
    weights = save_tiny_weights(tmp_path / "weights")
    found = render_elsewhere(EngineChoice("draft", weights, "cpu", 1))(1.6, "live")
    assert found.passage_s == 1.6
    assert (found.threads, found.quality) == (1, "live")
    assert found.processor_s > 0.0
    assert 50.0 < found.peak_memory_mb < 1_200.0
