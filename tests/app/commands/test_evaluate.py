"""`stridor evaluate` as a person calls it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.app.commands.conftest import Program
from tests.tiny_weights import save_tiny_weights


def test_without_a_sub_command_it_is_the_report(stridor: Program, tmp_path: Path) -> None:
    weights, out = save_tiny_weights(tmp_path / "weights"), tmp_path / "out"
    words = ("--quick", "--parts", "silence,kernel", "--weights", weights, "--quality", "live", "-o", out)
    ran = stridor("evaluate", *words)
    assert ran.status == 0, ran.err
    assert "not run" in ran.out  # the kernel distance needs a corpus
    stored = json.loads((out / "evaluation.json").read_text())
    assert [part["name"] for part in stored["parts"]] == ["kernel", "silence"]
    assert stored["parts"][0]["report"] is None
    assert (out / "evaluation.html").read_text().startswith("<!doctype html>")


def test_the_parts_can_be_listed_and_a_wrong_one_is_a_line(stridor: Program, tmp_path: Path) -> None:
    listed = stridor("evaluate", "--parts", "list", "--json")
    assert listed.status == 0
    assert "lanes" in json.loads(listed.out)
    weights = save_tiny_weights(tmp_path / "weights")
    wrong = stridor("evaluate", "--parts", "tempo", "--weights", weights, "-o", tmp_path / "out")
    assert wrong.status == 2
    assert "no part called tempo" in wrong.err


def test_none_left_is_a_line(stridor: Program, tmp_path: Path) -> None:
    ran = stridor("evaluate", "--parts", "cost", "--without", "cost", "-o", tmp_path / "out")
    assert ran.status == 2
    assert "No part is left" in ran.err


@pytest.mark.parametrize("words", [("--help",), ("listen", "--help"), ("--listen", "--help"), ("steps", "--help")])
def test_help_is_there(stridor: Program, words: tuple[str, ...]) -> None:
    ran = stridor("evaluate", *words)
    assert ran.status == 0
    expected = "--corpus" if len(words) > 1 else "sustained"
    assert expected in ran.out


def test_an_encoder_or_other_without_a_folder_is_a_line(stridor: Program, tmp_path: Path) -> None:
    ran = stridor("evaluate", "--listen", "--corpus", tmp_path, "--other", "nameless")
    assert ran.status == 2
    assert "NAME=FOLDER" in ran.err


def test_a_point_of_a_curve_names_minutes_and_a_folder(stridor: Program, tmp_path: Path) -> None:
    ran = stridor("evaluate", "curve", "soon=here", "--corpus", tmp_path)
    assert ran.status == 2
    assert "MINUTES=FOLDER" in ran.err


def test_run_again_it_goes_on(stridor: Program, tmp_path: Path) -> None:
    weights, out = save_tiny_weights(tmp_path / "weights"), tmp_path / "out"
    words = ("--quick", "--weights", weights, "--quality", "live", "-o", out)
    assert stridor("evaluate", "--parts", "silence", *words).status == 0
    first = json.loads((out / "evaluation.json").read_text())["parts"]
    assert stridor("evaluate", "--parts", "silence,kernel", *words).status == 0
    parts = json.loads((out / "evaluation.json").read_text())["parts"]
    assert [part["name"] for part in parts] == ["kernel", "silence"], "both, in the order of the parts"
    assert parts[1] == first[0], "what was measured is not measured again"
    assert stridor("evaluate", "--parts", "silence", "--afresh", *words).status == 0
    assert json.loads((out / "evaluation.json").read_text())["parts"][1]["seconds"] != first[0]["seconds"]
