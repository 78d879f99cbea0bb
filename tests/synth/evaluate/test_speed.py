"""Speed beside others: who is busy is told, and what is not installed is a reason, not a figure."""

from __future__ import annotations

from typing import Any

import pytest

from synth.errors import UserError
from synth.evaluate import speed
from synth.evaluate.peer import PeerFigures
from synth.evaluate.singing import Singer
from synth.evaluate.speed import Beside, SpeedReport, evaluate_speed
from synth.evaluate.targets import verdicts_of
from synth.evaluate.verdict import AIMED, MET, MISSED, NOTED, UNKNOWN
from synth.evaluate.workbench import Rendering
from tests.tiny_weights import tiny_engine


def _peer(name: str, realtime: float) -> PeerFigures:
    return PeerFigures(name, 217_000_000, 2, 2, 1.0, 50.0, 100.0, 50.0 * realtime, realtime)


def _report(*, total_s: float, processor_s: float) -> SpeedReport:
    others = (
        Beside("audio-diffusion-pytorch", _peer("audio-diffusion-pytorch", 0.1), 400.0, 700.0, ""),
        Beside("waveform baseline", None, float("nan"), float("nan"), "not installed"),
    )
    busy = 2 * total_s / processor_s
    return SpeedReport(2, 4, 24.0, total_s, processor_s, 24.0 / total_s, busy, others, "none", None)


def test_on_a_free_machine_the_clock_on_the_wall_decides() -> None:
    found = {verdict.what: verdict for verdict in verdicts_of("speed", _report(total_s=0.6, processor_s=1.2))}
    assert found["speed, 4 steps"].outcome == MET
    assert found["speed against audio-diffusion-pytorch"].outcome == MET
    assert found["speed against waveform baseline"].outcome == UNKNOWN
    assert found["two minutes of voice on a GPU"].outcome == UNKNOWN


def test_on_a_busy_one_processor_time_does_and_the_words_say_so() -> None:
    found = {verdict.what: verdict for verdict in verdicts_of("speed", _report(total_s=6.0, processor_s=0.6))}
    assert found["speed, 4 steps"].outcome == AIMED
    assert "busy" in found["speed, 4 steps"].measured
    assert "80x" in found["speed, 4 steps"].measured
    assert found["speed against audio-diffusion-pytorch"].outcome == AIMED
    slow = {verdict.what: verdict for verdict in verdicts_of("speed", _report(total_s=6.0, processor_s=12.0))}
    assert slow["speed, 4 steps"].outcome == MISSED


def _render(passage_s: float, quality: str) -> Rendering:
    assert quality == "draft", "whatever quality is evaluated, speed is of the steps that are asked"
    return Rendering(passage_s, quality, 1, 0.1, 0.2, 300.0)


def test_ours_is_timed_and_others_are_put_beside(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(*_: object) -> PeerFigures:
        raise UserError("It is not installed.", remedy="Install it.")

    monkeypatch.setattr(speed, "time_peer", lambda _steps: _peer("audio-diffusion-pytorch", 0.5))
    monkeypatch.setattr(speed, "time_waveform_baseline", missing)
    found = evaluate_speed(Singer(tiny_engine(tmp_path), "draft"), passage_s=1.6, render=_render)
    ours, theirs = found.others
    assert ours.times_faster == pytest.approx(found.times_realtime / 0.5)
    assert ours.by_processor == pytest.approx(100.0 / 25.0 / (0.2 / 1.6))
    assert found.times_realtime == pytest.approx(16.0)
    assert theirs.peer is None
    assert "not installed" in theirs.missing
    assert NOTED not in {verdict.outcome for verdict in verdicts_of("speed", found)}
