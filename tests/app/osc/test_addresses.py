"""The address space: what messages ask for, and what subscribers are told."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.live.performance.commands import ALL_VOICES, Kill, LoadPreset, Retune, SetLane, Silence, StartVoice
from app.live.performance.gestures import (
    NETWORK,
    KeyBent,
    KeyLane,
    KeyLifted,
    KeyPressed,
    LaneMoved,
    PanicAsked,
    ReleaseAsked,
)
from app.live.performance.performance import Performance
from app.midi.clock import TempoChanged, TransportChanged
from app.osc.addresses import (
    _METHODS,
    AnswerAsked,
    LevelAsked,
    PresetAsked,
    Request,
    SubscriptionAsked,
    TransportAsked,
    meter,
    spoken,
    understand,
)
from app.osc.packet import OscMessage, OscValue, encode_message
from app.state.controller_profile import default_profile
from app.state.preset import NEUTRAL_PRESET
from synth.spec.lanes import LANE_IDS


@pytest.mark.parametrize(
    ("address", "arguments", "request_"),
    [
        ("note", (5, 60.5, 100), KeyPressed(2.0, NETWORK, 5, 60.5, 100.0)),
        ("note", (5, 60.5, 0), KeyLifted(2.0, NETWORK, 5)),
        ("note/off", (5,), KeyLifted(2.0, NETWORK, 5)),
        ("note/bend", (5, -50.0), KeyBent(2.0, NETWORK, 5, -50.0)),
        ("note/lane", (5, "fry", 0.5), KeyLane(2.0, NETWORK, 5, "fry", 0.5)),
        ("lane/technique.growl", (0.5,), LaneMoved(2.0, "technique.growl", 0.5)),
        ("lane/adapter.ab12.late", (1.5,), LaneMoved(2.0, "adapter.ab12.late", 1.5)),
        ("lane/fry", (None,), LaneMoved(2.0, "fry", None)),
        ("preset", ("scream",), PresetAsked(2.0, "scream")),
        ("panic", (), PanicAsked(2.0)),
        ("release", (), ReleaseAsked(2.0)),
        ("transport", ("start",), TransportAsked(2.0, "start")),
        ("transport", ("continue", 8.0), TransportAsked(2.0, "continue", 8.0)),
        ("level", (-6.0,), LevelAsked(2.0, -6.0)),
        ("ping", (), AnswerAsked(2.0)),
        ("subscribe", (9000,), SubscriptionAsked(2.0, 9000)),
    ],
)
def test_every_address(address: str, arguments: tuple[OscValue, ...], request_: Request) -> None:
    understood = understand(OscMessage(f"/stridor/{address}", arguments), 2.0)
    assert understood.requests == (request_,)
    assert understood.fault == ""


@pytest.mark.parametrize(
    ("address", "arguments"),
    [
        ("/nothing", ()),
        ("/stridor/lane/nothing", (0.5,)),
        ("/stridor/lane/bend", (0.5,)),
        ("/stridor/lane/fry", ()),
        ("/stridor/lane/fry", ("loud",)),
        ("/stridor/lane/fry", (float("nan"),)),
        ("/stridor/note", (1.5, 60, 100)),
        ("/stridor/note", (1, 600, 100)),
        ("/stridor/note", (1, True, 100)),
        ("/stridor/transport", ("jump",)),
        ("/stridor/level", (60.0,)),
        ("/stridor/preset", ("x" * 1000,)),
        ("/stridor/[z-a]", ()),
        ("/stridor/****************************", ()),
    ],
)
def test_what_does_not_fit_is_a_line(address: str, arguments: tuple[OscValue, ...]) -> None:
    understood = understand(OscMessage(address, arguments), 0.0)
    assert understood.requests == ()
    assert understood.fault


@pytest.mark.parametrize(
    ("pattern", "lanes"),
    [
        ("/stridor/lane/fr?", {"fry"}),
        ("/stridor/lane/{fry,tension}", {"fry", "tension"}),
        ("/stridor/lane/technique.s*", {"technique.sigh", "technique.scream", "technique.shout"}),
        ("/stridor/lane/[e-g]ry", {"fry"}),
        ("/stridor/lane/[!a-z]*", set()),
        ("/stridor/lane/*", set(LANE_IDS) - {"bend"}),
        ("/*", set()),
        ("/stridor/lane/[", set()),
    ],
)
def test_patterns(pattern: str, lanes: set[str]) -> None:
    requests = understand(OscMessage(pattern, (0.5,)), 0.0).requests
    assert {request.lane for request in requests if isinstance(request, LaneMoved)} == lanes
    assert len(requests) == len(lanes)


values = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5), st.binary(max_size=4))
starts = st.sampled_from(["", "/stridor/", "/stridor/lane/", "/stridor/note", "/stridor/[", "/stridor/{"])


@given(st.text(max_size=30), st.lists(values), starts)
def test_no_message_raises_here_or_in_a_performance(text: str, arguments: list[OscValue], start: str) -> None:
    performance = Performance(default_profile("osc"), NEUTRAL_PRESET)
    for request in understand(OscMessage(start + text, tuple(arguments)), 0.0).requests:
        if isinstance(request, KeyPressed | KeyLifted | KeyBent | KeyLane | LaneMoved | PanicAsked | ReleaseAsked):
            performance.feed(request)


def test_what_subscribers_are_told() -> None:
    told = [
        spoken(StartVoice(0.0, 3, 60.5, 100.0, 0.0, {}, {})),
        spoken(Kill(0.0, 3, 0.01)),
        spoken(SetLane(0.0, ALL_VOICES, "fry", 0.5, 0.0)),
        spoken(SetLane(0.0, 3, "fry", 0.5, 0.0)),
        spoken(Retune(0.0, 3, 5.0, 0.0)),
        spoken(Silence(0.0)),
        spoken(LoadPreset(0.0, 0, 1, "growl")),
        spoken(LoadPreset(0.0, 0, 1, None)),
        spoken(TempoChanged(0.0, 120.0)),
        spoken(TransportChanged(0.0, False, 4.0)),
        meter(-12.0, 6.5, 3),
    ]
    addresses = [None if message is None else message.address.removeprefix("/stridor/") for message in told]
    assert addresses == [
        "voice/on", "voice/off", "lane/fry", None, None, "panic", "preset", None, "tempo", "transport", "meter",
    ]  # fmt: skip
    for message in told:
        assert message is None or encode_message(message)


def test_the_document_names_every_address() -> None:
    document = (Path(__file__).parents[3] / "docs" / "osc.md").read_text(encoding="utf-8")
    for address in _METHODS:
        assert f"`{address}`" in document, address
    for address in ("voice/on", "voice/off", "lane/<id>", "offset/<id>", "tempo", "meter"):
        assert f"`/stridor/{address}`" in document, address
