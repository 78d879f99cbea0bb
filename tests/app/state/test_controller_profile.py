"""Curves, bindings and profiles say what is wrong with them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.state.controller_profile import Binding, ControllerProfile, default_profile
from app.state.places import PlacedError
from app.state.response import CURVE_KINDS, ResponseCurve

POINTS = ((0.0, 0.0), (0.25, 0.75), (1.0, 1.0))


@given(st.sampled_from(CURVE_KINDS), st.floats(-10, 10), st.floats(-1, 2), st.floats(0, 1))
def test_curves_rise_from_0_to_1(kind: str, steepness: float, x: float, further: float) -> None:
    curve = ResponseCurve(kind, steepness, POINTS if kind == "points" else ())
    assert curve.at(0.0) == pytest.approx(0.0)
    assert curve.at(1.0) == pytest.approx(1.0)
    assert 0.0 <= curve.at(x) <= 1.0 + 1e-12
    assert curve.at(x + further) >= curve.at(x) - 1e-12


def test_known_points_of_curves() -> None:
    assert ResponseCurve("s_curve").at(0.5) == pytest.approx(0.5)
    assert ResponseCurve("exponential", 3.0).at(0.5) < 0.2 < 0.8 < ResponseCurve("exponential", -3.0).at(0.5)
    assert ResponseCurve("level").at(64 / 127) * 60 - 60 == pytest.approx(-11.9, abs=0.01)
    assert ResponseCurve("points", points=POINTS).at(0.5) == pytest.approx(0.75 + 0.25 / 3)
    assert ResponseCurve("points", points=((0.0, 0.5), (1.0, 1.0))).at(0.0) == 0.5


@pytest.mark.parametrize(
    "points", [(), ((0, 0),), ((0, 0), (0, 1)), ((0.1, 0), (1, 1)), ((0, 0), (0.9, 1)), ((0, 0), (1, float("nan")))]
)
def test_bad_points(points: tuple[tuple[float, float], ...]) -> None:
    with pytest.raises(PlacedError):
        ResponseCurve("points", points=points)


def test_bipolar_keeps_its_centre_and_ends() -> None:
    binding = Binding("cc10", "tract", 0.0, 1.0, polarity="bipolar", curve=ResponseCurve("exponential"))
    assert [binding.place(x, 64 / 127) for x in (0.0, 64 / 127, 1.0)] == [0.0, 0.5, 1.0]
    assert Binding("key", "tract", 1.0, 0.0).value(0.25) == 0.75  # turned round


@pytest.mark.parametrize(
    ("changes", "place"),
    [
        ({"source": "cc128"}, "source"),
        ({"source": "cc01"}, "source"),
        ({"source": "cc6"}, "source"),
        ({"source": "cc123"}, "source"),
        ({"source": "nrpn16383"}, "source"),
        ({"source": "knob"}, "source"),
        ({"lane": "nothing"}, "lane"),
        ({"high": 1.5}, "high"),
        ({"low": float("nan")}, "low"),
        ({"mode": "add"}, "mode"),
        ({"takeover": "pickup", "mode": "offset"}, "takeover"),
        ({"takeover": "scale", "source": "velocity"}, "takeover"),
        ({"lane": "bend", "low": -1.0}, "mode"),
        ({"lane": "bend", "source": "pitch_bend", "mode": "offset"}, "source"),
        ({"smoothing_s": 6.0}, "smoothing_s"),
    ],
)
def test_bad_bindings(changes: dict[str, Any], place: str) -> None:
    with pytest.raises(PlacedError) as fault:
        replace(Binding("cc20", "fry", 0.0, 1.0), **changes)
    assert fault.value.place == place


@pytest.mark.parametrize(
    ("changes", "place"),
    [
        ({"name": " "}, "name"),
        ({"polyphony": 0}, "polyphony"),
        ({"bend_semitones": 97.0}, "bend_semitones"),
        ({"mpe_lower_members": 8, "mpe_upper_members": 7}, "mpe_upper_members"),
        ({"fixed_velocity": 0}, "fixed_velocity"),
        ({"playing": "duo"}, "playing"),
        ({"panic_cc": 1}, "panic_cc"),
        ({"panic_cc": 100}, "panic_cc"),
        ({"bindings": (Binding("cc20", "fry", 0.0, 1.0), Binding("cc20", "fry", 0.0, 0.5))}, "bindings[1]"),
    ],
)
def test_bad_profiles(changes: dict[str, Any], place: str) -> None:
    with pytest.raises(PlacedError) as fault:
        replace(default_profile("x"), **changes)
    assert fault.value.place == place


def test_bindings_come_and_go() -> None:
    profile = ControllerProfile("x").with_binding(Binding("cc20", "fry", 0.0, 1.0))
    profile = profile.with_binding(Binding("cc20", "fry", 0.0, 0.5)).with_binding(Binding("cc40", "fry", 0.0, 0.5))
    assert [binding.high for binding in profile.bindings] == [0.5, 0.5]
    assert profile.single_controls == {40}
    assert [b.source for b in profile.without_binding("cc20", "fry").bindings] == ["cc40"]
