"""A voice that another process listens to, chosen by a window that has joined its performance.

The microphone is the performance's: it is opened, kept open and closed by `stridor live`, whatever becomes of the
window. Only choices and how it goes pass the door, no sound.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any, Final

from app.live.voice_in.messages import InputDevice
from app.live.voice_in.ring import VoiceInState
from app.services.voice_in import VoiceInLike
from synth.errors import UserError

_WATCHED_S: Final = 1.0  # nobody has looked for so long: it is not asked for
_OFF: Final = VoiceInState("off", -100.0, math.nan, False, "", 0.0, 0.0, 0, 0, 0, 0)


def voice_in_jobs(
    voice_in: VoiceInLike | None, arguments: Mapping[str, Any]
) -> dict[str, Callable[[], dict[str, Any] | None]]:
    """What can be asked of it at the door. Whoever asks where there is none gets a UserError."""
    if voice_in is None:
        return dict.fromkeys(("voice_in", "look", "listen", "listen_to_file", "set_sensitivity"), _say_nobody)
    value = arguments.get("value")
    return {
        "voice_in": lambda: _spoken(voice_in),
        "look": lambda: voice_in.look(),  # not looked up before it is asked for
        "listen": lambda: voice_in.choose(None if value is None else str(value)),
        "listen_to_file": lambda: voice_in.listen_to_file(Path(str(value))),
        "set_sensitivity": lambda: voice_in.set_sensitivity(float(arguments["value"])),
    }


class AttachedVoiceIn:
    """Fulfils `VoiceInLike`. Main thread, but for take() and is_watched, which belong to the visit's."""

    def __init__(self, ask: Callable[..., None]) -> None:
        """ask   takes the name of a question and its arguments to the door"""
        self._ask = ask
        self._watched_at_s = -math.inf
        self._inputs: tuple[InputDevice, ...] = ()
        self._chosen: str | None = None
        self._sensitivity_db = 0.0
        self._state = _OFF

    def look(self) -> None:
        self._watched_at_s = time.monotonic()
        self._ask("look")

    def inputs(self) -> tuple[InputDevice, ...]:
        return self._inputs

    def choose(self, device_id: str | None) -> None:
        self._chosen = device_id
        self._ask("listen", value=device_id)

    def listen_to_file(self, path: Path) -> None:
        self._chosen = path.name
        self._ask("listen_to_file", value=str(path.absolute()))

    def set_sensitivity(self, gain_db: float) -> None:
        self._sensitivity_db = gain_db
        self._ask("set_sensitivity", value=gain_db)

    @property
    def sensitivity_db(self) -> float:
        return self._sensitivity_db

    @property
    def chosen(self) -> str | None:
        return self._chosen

    def state(self) -> VoiceInState:
        self._watched_at_s = time.monotonic()
        return self._state

    @property
    def is_watched(self) -> bool:
        """Whether somebody looks at it."""
        return time.monotonic() - self._watched_at_s < _WATCHED_S

    def take(self, told: Mapping[str, Any]) -> bool:
        """What the door says -> whether there are other inputs than before. Raises ValueError for what is none."""
        try:
            inputs = tuple(InputDevice(**device) for device in told["inputs"])
            known = {field.name: told["state"][field.name] for field in fields(VoiceInState)}
            state = VoiceInState(**{**known, "note": math.nan if known["note"] is None else known["note"]})
            chosen, sensitivity_db = told["chosen"], float(told["sensitivity_db"])
        except (KeyError, TypeError) as fault:
            raise ValueError(f"not how a voice input is described: {fault}") from fault
        has_changed, self._inputs = inputs != self._inputs, inputs
        self._state, self._chosen, self._sensitivity_db = state, chosen, sensitivity_db
        return has_changed

    def forget(self) -> None:
        """The performance has ended."""
        self._state, self._chosen = _OFF, None


def _spoken(voice_in: VoiceInLike) -> dict[str, Any]:
    state = asdict(voice_in.state())
    return {
        "inputs": [asdict(device) for device in voice_in.inputs()],
        "chosen": voice_in.chosen,
        "sensitivity_db": voice_in.sensitivity_db,
        "state": {**state, "note": None if math.isnan(state["note"]) else state["note"]},
    }


def _say_nobody() -> None:
    raise UserError("Nobody can be listened to here.", remedy="Play in the window that plays.")
