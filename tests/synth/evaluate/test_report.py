"""The report: parts that fail leave the others alone, and the page needs nothing beside it."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from synth.errors import UserError
from synth.evaluate import report as report_module
from synth.evaluate import targets
from synth.evaluate.blocks import Table, Text, between, number
from synth.evaluate.lanes import LanesPlan, evaluate_lanes
from synth.evaluate.page import as_html, as_json, as_lines
from synth.evaluate.report import CUT, DONE, NOT_RUN, PARTS, QUICK, Part, Report, Workbench, run_report
from synth.evaluate.singing import Singer
from synth.evaluate.statistics import Interval
from synth.evaluate.targets import AIMED, MISSED, TOO_FEW, UNKNOWN, verdicts
from tests.synth.evaluate.known_engines import KnownEngine
from tests.tiny_weights import tiny_engine

TINY = replace(QUICK, segments=3, pairs=0, notes=1, clips=1, cost_s=1.6)


def _bench(**settings: Any) -> Workbench:
    engine: Any = KnownEngine()
    return Workbench(Singer(engine, "draft"), sizes=TINY, **settings)


def _run(bench: Workbench, *names: str) -> Report:
    return run_report(bench, names, command="stridor evaluate")


def test_parts_without_a_corpus_are_not_run_and_say_why() -> None:
    report = _run(_bench(), "kernel", "silence")
    kernel, silence = report.parts
    assert (kernel.outcome, silence.outcome) == (NOT_RUN, DONE)
    assert "--corpus" in kernel.reason
    assert report.part("kernel") is None
    assert report.part("silence").lowest_db > 50.0
    page = as_html(report)
    assert "--corpus" in page
    assert "dB under the voice" in page


@pytest.mark.expects_log("part silence failed")
def test_a_mistake_of_ours_in_one_part_does_not_end_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise ZeroDivisionError("in a part")

    broken = {**PARTS, "silence": Part("Silence", 1.0, fail), "late": Part("Late", 1.0, lambda *_: _Told())}
    monkeypatch.setattr(report_module, "PARTS", broken)
    report = _run(_bench(), "silence", "late")
    assert [part.outcome for part in report.parts] == [NOT_RUN, DONE]
    assert "ZeroDivisionError: in a part" in report.parts[0].reason
    assert "told by itself" in as_html(report)
    assert "<script>" not in as_html(report)
    assert as_json(report)["parts"][1]["report"] == {"told": True}


class _Told:
    def lines(self) -> list[str]:
        return ["told by itself", "<script>"]

    def to_json(self) -> dict[str, Any]:
        return {"told": True}


def test_what_is_done_is_told_after_every_part(monkeypatch: pytest.MonkeyPatch) -> None:
    quick = {name: Part(name, 1.0, lambda *_: _Told()) for name in ("first", "second")}
    monkeypatch.setattr(report_module, "PARTS", quick)
    seen: list[list[str]] = []
    run_report(
        _bench(), tuple(quick), command="", on_part=lambda so_far: seen.append([part.name for part in so_far.parts])
    )
    assert seen == [["first"], ["first", "second"]]


def test_an_unknown_part_is_a_line() -> None:
    with pytest.raises(UserError, match="no part called tempo"):
        _run(_bench(), "tempo")


@pytest.mark.evaluation
def test_the_page_stands_alone_and_the_numbers_are_json(tmp_path: Path) -> None:
    bench = Workbench(Singer(tiny_engine(tmp_path / "weights"), "live"), weights=tmp_path / "weights", sizes=TINY)
    report = _run(bench, "cost", "lanes", "crosstalk")
    assert [part.outcome in (DONE, CUT) for part in report.parts] == [True] * 3, [p.reason for p in report.parts]
    page = as_html(report)
    # A namespace is a name; nothing else may name a host or another file.
    addresses = set(re.findall(r"https?://[^\s\"'<]+", page))
    assert all(address.startswith("http://www.w3.org/") for address in addresses), addresses
    assert not re.search(r"(?:src|href)=\"(?!#|data:)", page.replace("xlink:href", "href"))
    assert page.count("<svg") >= 2
    assert "currentColor" in page
    assert "prefers-color-scheme: dark" in page
    stored = json.loads(json.dumps(as_json(report), allow_nan=False))
    assert stored["weights_hash"] == bench.singer.engine.weights_hash
    lanes = next(part for part in stored["parts"] if part["name"] == "lanes")["report"]
    assert len(lanes["lanes"]) == 9
    assert set(lanes["lanes"][0]["rho"]) == {"value", "low", "high", "n"}
    assert any("lane loudness" in line for line in as_lines(report))


@pytest.mark.evaluation
def test_verdicts_follow_the_lower_bound_and_the_slope(monkeypatch: pytest.MonkeyPatch) -> None:
    engine: Any = KnownEngine()
    lanes = evaluate_lanes(Singer(engine, "draft"), LanesPlan(lanes=("loudness", "fry"), n_segments=12, n_pairs=0))
    part = report_module.PartResult("lanes", "Lanes", DONE, "", 1.0, lanes)
    report = Report("", "", "", "known", "draft", "cpu", TINY, (part,))
    found = {verdict.what: verdict.outcome for verdict in verdicts(report)}
    assert found["lane loudness"] == TOO_FEW
    monkeypatch.setattr(targets, "_FEWEST_SEGMENTS", 12)
    found = {verdict.what: verdict.outcome for verdict in verdicts(report)}
    assert found["lane loudness"] == AIMED
    assert found["lane fry"] in (MISSED, UNKNOWN, TOO_FEW)
    assert "pitch followed, median" not in found


def test_words_are_escaped_and_what_is_not_defined_is_a_dash() -> None:
    assert Text("a < b").html() == "<p>a &lt; b</p>"
    assert "<td>&lt;b&gt;</td>" in Table(["x"], [["<b>"]]).html()
    nan = float("nan")
    assert between(Interval(nan, nan, nan, 0)) == number(nan) == "–"
    assert between(Interval(1.0, nan, nan, 4)) == "1"
    assert between(Interval(1.0, 0.5, 1.5, 4)) == "1 [0.5, 1.5]"
