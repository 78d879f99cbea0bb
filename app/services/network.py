"""Open Sound Control for the live engine: requests become gestures and choices, and subscribers hear what is played."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from queue import Empty, SimpleQueue
from typing import Final

from app.live.performance.gestures import (
    KeyBent,
    KeyLane,
    KeyLifted,
    KeyPressed,
    LaneMoved,
    PanicAsked,
    ReleaseAsked,
)
from app.live.stage.messages import Played, Tell
from app.osc.addresses import DEFAULT_PORT, LevelAsked, PresetAsked, Request, TransportAsked, meter, spoken
from app.osc.endpoint import OscEndpoint
from app.services.events import Event, Notice
from app.services.stage import StageSession
from app.state.preset import Preset

_METER_S: Final = 0.25
_GESTURES: Final = (KeyPressed, KeyLifted, KeyBent, KeyLane, LaneMoved, PanicAsked, ReleaseAsked)

OnTransport = Callable[[str, float | None], None]


class Network:
    """One OSC port for one session. Main thread, but for gestures, which go to the engine from the receiver's."""

    def __init__(
        self,
        session: StageSession,
        presets: Mapping[str, Preset],
        *,
        host: str = "127.0.0.1",
        port: int = DEFAULT_PORT,
        on_transport: OnTransport | None = None,
    ) -> None:
        """
        presets        by id: what /stridor/preset chooses from
        on_transport   (start, stop or continue; beat) of the passage; None: there is no passage to start
        """
        self._session, self._presets, self._on_transport = session, presets, on_transport
        self._waiting: SimpleQueue[Request] = SimpleQueue()
        self._endpoint = OscEndpoint(self._take, host=host, port=port)
        self._meter_at_s = 0.0

    def start(self) -> int:
        """Open the port -> its number. Raises UserError where it cannot be had."""
        port = self._endpoint.start()
        self._session.listen(self._tell)
        self._session.engine.play(Tell(is_wanted=True))
        return port

    def close(self) -> None:
        """Close the port. Idempotent."""
        self._endpoint.close()

    def poll(self) -> list[Event]:
        """Do what was asked for, tell the meter -> what a person should know. Call it after the session's poll()."""
        events: list[Event] = []
        try:
            while True:
                events += self._do(self._waiting.get_nowait())
        except Empty:
            pass
        now_s = time.monotonic()
        if now_s >= self._meter_at_s:
            self._meter_at_s = now_s + _METER_S
            shown = self._session.meter()
            p95_ms = shown.latency_p95_ms if shown.latency_p95_ms == shown.latency_p95_ms else 0.0
            self._endpoint.send(meter(shown.peak_db, p95_ms, shown.voices))
        return events

    def _take(self, request: Request) -> None:
        """On the receiver's thread: notes and lanes go straight to the engine."""
        if isinstance(request, _GESTURES):
            self._session.engine.play(request)
        else:
            self._waiting.put(request)

    def _do(self, request: Request) -> list[Event]:
        match request:
            case PresetAsked(preset_id=preset_id):
                preset = self._presets.get(preset_id)
                if preset is None:
                    return [Notice(f"OSC asks for a preset {preset_id!r} that is not there: the old one stays.")]
                self._session.set_preset(preset)
            case LevelAsked(gain_db=gain_db):
                self._session.set_gain(gain_db)
            case TransportAsked(action=action, beat=beat):
                if self._on_transport is not None:
                    self._on_transport(action, beat)
            case _:
                pass
        return []

    def _tell(self, played: Played) -> None:
        for command in played.commands:
            message = spoken(command)
            if message is not None:
                self._endpoint.send(message)
