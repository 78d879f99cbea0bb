"""`stridor bench presets --sound`: what counts as heard, and what is made of it."""

from __future__ import annotations

from typing import cast

import pytest
from PySide6.QtWidgets import QApplication

from app.commands.bench_presets_sound import AT_MOST_MS, MeterEar, _figures, sound_lines
from app.services.instrument import Instrument
from synth.errors import UserError


class Meter:
    """The one thing that is looked at."""

    level_db = (-100.0, -100.0)


def test_what_is_heard_after_the_click_counts_and_what_sounded_before_does_not(qapp: QApplication) -> None:
    meter = Meter()
    ear = MeterEar(cast(Instrument, meter))

    def choose() -> None:
        meter.level_db = (-30.0, -100.0)

    latency_ms = ear.latency_ms(choose)
    assert latency_ms is not None
    assert 0.0 <= latency_ms < 1_000.0
    assert ear.latency_ms(choose) is None, "it sounds already"


def test_figures_leave_out_what_was_not_heard() -> None:
    figures = _figures([(10.0, 1.0), (None, 9.0), (30.0, 2.0)])
    assert (figures["n_heard"], figures["p50_ms"], figures["worst_ms"], figures["window_ms"]) == (2, 20.0, 30.0, 2.0)
    with pytest.raises(UserError, match="Nothing was heard"):
        _figures([(None, 1.0)])


@pytest.mark.parametrize(("slow_ms", "word"), [(AT_MOST_MS - 1.0, "met"), (AT_MOST_MS + 1.0, "MISSED")])
def test_the_bound_is_held_against_what_was_made_ahead(slow_ms: float, word: str) -> None:
    result = {"presets": 2, "clock": "JACK", "cached": _figures([(slow_ms, 1.0)] * 2), "not_cached": None}
    lines = sound_lines(result)
    assert lines[-1].endswith(word)
    assert not any("not cached" in line for line in lines)
