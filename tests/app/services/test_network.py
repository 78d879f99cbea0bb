"""OSC reaches the engine, and subscribers hear what is played."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, cast

import pytest

from app.live.performance.commands import StartVoice
from app.live.performance.gestures import KeyPressed, PanicAsked
from app.live.stage.messages import Played, Tell
from app.osc.packet import OscMessage, decode_packet, encode_message
from app.services.network import Network
from app.services.stage import StageSession
from app.state.preset import Preset

PATIENCE_S = 10.0


class FakeSession:
    def __init__(self) -> None:
        self.played: list[Any] = []
        self.engine = SimpleNamespace(play=self.played.append)
        self.chosen: list[str] = []
        self.gains: list[float] = []
        self.hear: Callable[[Played], None] | None = None

    def listen(self, listener: Callable[[Played], None]) -> None:
        self.hear = listener

    def set_preset(self, preset: Preset) -> None:
        self.chosen.append(preset.id)

    def set_gain(self, gain_db: float) -> None:
        self.gains.append(gain_db)

    def meter(self) -> Any:
        return SimpleNamespace(latency_p95_ms=float("nan"), peak_db=-20.0, voices=2)


@pytest.fixture
def session() -> FakeSession:
    return FakeSession()


def wait_for(condition: Callable[[], bool]) -> None:
    deadline_s = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline_s
        time.sleep(0.01)


def test_requests_reach_the_engine_and_what_is_played_is_told(session: FakeSession) -> None:
    transports: list[str] = []
    network = Network(
        cast(StageSession, session), {"growl": Preset("growl", "Growl")}, port=0,
        on_transport=lambda action, _beat: transports.append(action),
    )  # fmt: skip
    port = network.start()
    listener = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    listener.bind(("127.0.0.1", 0))
    listener.settimeout(PATIENCE_S)
    try:
        assert session.played == [Tell(is_wanted=True)]
        for address, arguments in (
            ("/stridor/subscribe", (listener.getsockname()[1],)), ("/stridor/note", (7, 60.5, 90.0)),
            ("/stridor/preset", ("growl",)), ("/stridor/preset", ("nobody",)), ("/stridor/level", (-6.0,)),
            ("/stridor/transport", ("start",)), ("/stridor/panic", ()),
        ):  # fmt: skip
            listener.sendto(encode_message(OscMessage(address, arguments)), ("127.0.0.1", port))
        wait_for(lambda: len(session.played) == 3)
        assert [type(message) for message in session.played[1:]] == [KeyPressed, PanicAsked]
        notices: list[Any] = []
        wait_for(lambda: bool(notices.extend(network.poll()) or transports))
        assert session.chosen == ["growl"]
        assert session.gains == [-6.0]
        assert transports == ["start"]
        assert len(notices) == 1
        assert session.hear is not None
        session.hear(Played((StartVoice(0.0, 3, 60.5, 90.0, 0.0, {}, {}),)))
        heard: list[str] = []
        while "/stridor/voice/on" not in heard:
            heard += [timed.message.address for timed in decode_packet(listener.recv(4096)).messages]
        assert "/stridor/meter" in heard
    finally:
        listener.close()
        network.close()
