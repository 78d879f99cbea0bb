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
from synth.evaluate.kept import keep, load, usable
from synth.evaluate.lanes import LanesPlan, evaluate_ears, evaluate_lanes
from synth.evaluate.markdown import as_markdown
from synth.evaluate.page import as_html, as_json, as_lines
from synth.evaluate.parts import PARTS, Part
from synth.evaluate.report import CUT, DONE, NOT_RUN, PartResult, Report, blank_report, run_parts
from synth.evaluate.report_form import plain
from synth.evaluate.singing import Singer
from synth.evaluate.sizes import QUICK
from synth.evaluate.statistics import Interval
from synth.evaluate.targets import verdicts_of
from synth.evaluate.verdict import AIMED, MISSED, TOO_FEW, UNKNOWN
from synth.evaluate.workbench import Rendering, Workbench
from tests.synth.evaluate.known_engines import KnownEngine
from tests.tiny_weights import tiny_engine

TINY = replace(QUICK, segments=3, pairs=0, notes=1, clips=1, cost_s=1.6, render_s=(1.6,))


def _bench(**settings: Any) -> Workbench:
    engine: Any = KnownEngine()
    return Workbench(Singer(engine, "draft"), **{"sizes": TINY, **settings})


def _run(bench: Workbench, *names: str) -> Report:
    return replace(blank_report(bench, "stridor evaluate"), parts=tuple(run_parts(bench, names)))


def test_parts_without_a_corpus_are_not_run_and_say_why() -> None:
    report = _run(_bench(), "kernel", "silence")
    kernel, silence = report.parts
    assert (kernel.outcome, silence.outcome) == (NOT_RUN, DONE)
    assert "--corpus" in kernel.reason
    assert report.part("kernel") is None
    assert report.part("silence")["lowest_db"] > 50.0
    (missing,) = report.verdicts
    assert missing.outcome == UNKNOWN, "what has not run stands in the table all the same"
    page = as_html(report)
    assert "--corpus" in page
    assert "dB under the voice" in page


@pytest.mark.expects_log("part silence failed")
def test_a_mistake_of_ours_in_one_part_does_not_end_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise ZeroDivisionError("in a part")

    late = Part("Late", "", 1.0, lambda *_: _Told())
    monkeypatch.setattr(report_module, "PARTS", {**PARTS, "silence": Part("Silence", "", 1.0, fail), "late": late})
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


def _count_runs(monkeypatch: pytest.MonkeyPatch, *names: str, minutes: float = 1.0) -> list[tuple[str, float]]:
    """Parts that note when they ran, and in how many seconds they were to."""
    ran: list[tuple[str, float]] = []

    def part(name: str) -> Part:
        def run(_bench: object, box: Any, _progress: object) -> _Told:
            ran.append((name, box.limit_s))
            return _Told()

        return Part(name, "", minutes, run)

    monkeypatch.setattr(report_module, "PARTS", {name: part(name) for name in names})
    return ran


def test_an_evaluation_that_was_ended_goes_on(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    ran = _count_runs(monkeypatch, "first", "second")
    bench = _bench()
    for result in run_parts(bench, ["first"]):
        keep(tmp_path, result)
    wanted_s: dict[str, float] = {"first": 1.0, "second": 1.0}
    kept = usable(tmp_path, ["first", "second"], bench, wanted_s)
    results = run_parts(bench, ["first", "second"], kept=kept)
    assert [name for name, _ in ran] == ["first", "second"]
    assert results[0] == load(tmp_path, ["first"])["first"]
    other = _bench(sizes=replace(TINY, segments=4))
    assert usable(tmp_path, ["first"], other, wanted_s) == {}, "other sizes are another evaluation"


def test_a_part_that_was_cut_is_kept_only_for_as_little_time(tmp_path: Path) -> None:
    bench = _bench()
    (done,) = run_parts(bench, ["silence"])
    keep(tmp_path, replace(done, outcome=CUT, limit_s=10.0))
    assert "silence" in usable(tmp_path, ["silence"], bench, {"silence": 10.0})
    assert usable(tmp_path, ["silence"], bench, {"silence": 60.0}) == {}
    keep(tmp_path, replace(done, outcome=NOT_RUN))
    assert usable(tmp_path, ["silence"], bench, {"silence": 10.0}) == {}


@pytest.mark.expects_log("cannot be read")
def test_a_damaged_result_is_measured_again(tmp_path: Path) -> None:
    (tmp_path / "parts").mkdir()
    (tmp_path / "parts" / "silence.json").write_text('{"name": "silence"')
    assert load(tmp_path, ["silence"]) == {}


def test_what_a_part_leaves_of_the_time_the_others_share(monkeypatch: pytest.MonkeyPatch) -> None:
    ran = _count_runs(monkeypatch, "first", "second", "third")
    run_parts(_bench(), ["first", "second", "third"], limit_s=60.0)
    assert [limit_s for _, limit_s in ran] == pytest.approx([20.0, 30.0, 60.0], abs=2.0)


def test_an_unknown_part_is_a_line() -> None:
    with pytest.raises(UserError, match="no part called tempo"):
        _run(_bench(), "tempo")


@pytest.mark.evaluation
def test_the_page_stands_alone_and_the_numbers_are_json(tmp_path: Path) -> None:
    bench = Workbench(
        Singer(tiny_engine(tmp_path / "weights"), "live"),
        weights=tmp_path / "weights",
        sizes=TINY,
        render=lambda passage_s, quality: Rendering(passage_s, quality, 1, 0.1, 0.1, 300.0),
    )
    report = _run(bench, "cost", "lanes", "crosstalk")
    assert [part.outcome in (DONE, CUT) for part in report.parts] == [True] * 3, [p.reason for p in report.parts]
    page = as_html(report, report)
    # A namespace is a name; nothing else may name a host or another file.
    addresses = set(re.findall(r"https?://[^\s\"'<]+", page))
    assert all(address.startswith("http://www.w3.org/") for address in addresses), addresses
    assert not re.search(r"(?:src|href)=\"(?!#|data:)", page.replace("xlink:href", "href"))
    assert page.count("<svg") >= 2
    assert "currentColor" in page
    assert "prefers-color-scheme: dark" in page
    assert "300 MB for 1.6 s" in page
    stored = json.loads(json.dumps(as_json(report, report), allow_nan=False))
    assert stored["weights_hash"] == stored["baseline"]["weights_hash"] == bench.singer.engine.weights_hash
    lanes = next(part for part in stored["parts"] if part["name"] == "lanes")["report"]
    assert len(lanes["lanes"]) == 9
    assert set(lanes["lanes"][0]["rho"]) == {"value", "low", "high", "n"}
    assert any("lane loudness" in line for line in as_lines(report))
    table = as_markdown(report, report)
    rows = [line for line in table.splitlines() if line.startswith("| lane loudness")]
    assert len(rows) == 2
    assert rows[0].count("|") == 7
    assert bench.singer.engine.weights_hash in table
    (again,) = (PartResult.from_json(json.loads(json.dumps(p.to_json()))) for p in report.parts[:1])
    assert again == report.parts[0]


@pytest.mark.evaluation
def test_verdicts_follow_the_lower_bound_and_the_slope(monkeypatch: pytest.MonkeyPatch) -> None:
    engine: Any = KnownEngine()
    plan = LanesPlan(lanes=("loudness", "fry"), n_segments=12, n_pairs=0)
    lanes = evaluate_lanes(Singer(engine, "draft"), plan)
    found = {verdict.what: verdict.outcome for verdict in verdicts_of("lanes", lanes)}
    assert found["lane loudness"] == TOO_FEW
    monkeypatch.setattr(targets, "_FEWEST_SEGMENTS", 12)
    found = {verdict.what: verdict.outcome for verdict in verdicts_of("lanes", lanes)}
    assert found["lane loudness"] == AIMED
    assert found["lane fry"] in (MISSED, UNKNOWN, TOO_FEW)


@pytest.mark.evaluation
def test_a_lane_stands_beside_what_the_ears_make_of_known_lanes() -> None:
    engine: Any = KnownEngine()
    plan = LanesPlan(lanes=("loudness",), n_segments=6, n_pairs=0)
    lanes, ears = evaluate_lanes(Singer(engine, "draft"), plan), evaluate_ears(plan)
    parts = [
        PartResult(name, name, DONE, "", 1.0, 1.0, "", "", plain(found), verdicts_of(name, found), "")
        for name, found in (("lanes", lanes), ("ears", ears))
    ]
    report = Report("", "", "", "known", "draft", "cpu", {}, tuple(parts))
    (loudness,) = (verdict for verdict in report.verdicts if verdict.what == "lane loudness")
    assert "on the simulator, n 6" in loudness.judges
    assert loudness.judges in as_html(report)


def test_words_are_escaped_and_what_is_not_defined_is_a_dash() -> None:
    assert Text("a < b").html() == "<p>a &lt; b</p>"
    assert "<td>&lt;b&gt;</td>" in Table(["x"], [["<b>"]]).html()
    nan = float("nan")
    assert between(Interval(nan, nan, nan, 0)) == number(nan) == "–"
    assert between(Interval(1.0, nan, nan, 4)) == "1"
    assert between(Interval(1.0, 0.5, 1.5, 4)) == "1 [0.5, 1.5]"
