"""The door of a performance: `stridor live` can be asked how it goes, told to stop, and played by a window.

JSON, a line each way, over a socket of this user's own (a UNIX socket in the runtime folder, which nobody else may
enter). Nothing that comes in is executed; what cannot be read is answered with a fault. So a window may be killed, or
come later: the performance does not notice.
"""

from __future__ import annotations

import base64
import contextlib
import json
import logging
import os
import socket
import threading
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any, Final

import numpy as np
import platformdirs

from app.services.attached_voice_in import voice_in_jobs
from app.services.events import ControlLearnt, Event, LivePresetChanged, MidiActivity, Notice, Recorded
from app.services.parts import LiveLike
from app.state.places import PlacedError
from app.store.controller_profiles import profile_from_document, profile_to_document
from app.store.presets import preset_from_document
from synth.errors import UserError
from synth.spec import Float32Array

_log = logging.getLogger(__name__)

MAX_LINE_BYTES: Final = 1 << 20
_BACKLOG: Final = 4
_WAKE_S: Final = 0.25
_MOST_EVENTS: Final = 256
_MOST_FRAMES: Final = 8192  # of sound, for the scope of a window that has joined
TOLD: Final = {cls.__name__: cls for cls in (Notice, LivePresetChanged, ControlLearnt, MidiActivity, Recorded)}


def door_path() -> Path:
    """Where the door of this user's performance is."""
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    folder = Path(runtime) / "stridor" if runtime else platformdirs.user_state_path("stridor", appauthor=False)
    return folder / "live.sock"


class StageDoor:
    """Answers at the door. start(), poll() and close() belong to the main thread."""

    def __init__(self, live: LiveLike, path: Path | None = None) -> None:
        self._live, self.path = live, path or door_path()
        self._jobs: SimpleQueue[tuple[Callable[[], Any], SimpleQueue[Any]]] = SimpleQueue()
        self._events: dict[int, list[Event]] = {}
        self._listener: socket.socket | None = None
        self._is_closing = threading.Event()
        self.is_stop_asked = False

    def start(self) -> None:
        """Open the door. Raises UserError where another performance stands there, or no door can be made."""
        if not hasattr(socket, "AF_UNIX"):
            raise UserError("This system has no UNIX sockets: a window cannot join.", remedy="Play in the window.")
        if is_answered(self.path):
            raise UserError("A performance is under way already.", remedy="`stridor live --stop` ends it.")
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            self.path.unlink(missing_ok=True)
            listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            listener.bind(str(self.path))
            self.path.chmod(0o600)
            listener.listen(_BACKLOG)
            listener.settimeout(_WAKE_S)
        except OSError as fault:
            raise UserError(f"{self.path} cannot be opened: {fault}.", remedy="Check its folder.") from fault
        self._listener = listener
        threading.Thread(target=self._accept, args=(listener,), name="stage-door", daemon=True).start()

    def poll(self, events: list[Event]) -> None:
        """Do what was asked for since the last call, and keep `events` for those who are there."""
        for kept in list(self._events.values()):  # visitors come and go meanwhile
            kept += [event for event in events if type(event).__name__ in TOLD]
            del kept[:-_MOST_EVENTS]
        with contextlib.suppress(Empty):
            while True:
                job, answer = self._jobs.get_nowait()
                try:
                    answer.put(job())
                except (UserError, PlacedError, ValueError, TypeError, KeyError) as fault:
                    answer.put(fault)

    def close(self) -> None:
        """Shut the door. Idempotent."""
        self._is_closing.set()
        listener, self._listener = self._listener, None
        if listener is not None:
            listener.close()
            self.path.unlink(missing_ok=True)

    # ---- threads of the door

    def _accept(self, listener: socket.socket) -> None:
        while not self._is_closing.is_set():
            try:
                visitor, _ = listener.accept()
            except TimeoutError:
                continue
            except OSError:
                return
            threading.Thread(target=self._serve, args=(visitor,), name="stage-visitor", daemon=True).start()

    def _serve(self, visitor: socket.socket) -> None:
        number = visitor.fileno()
        self._events[number] = []
        try:
            with visitor, visitor.makefile("rwb") as lines:
                while not self._is_closing.is_set() and (line := lines.readline(MAX_LINE_BYTES)):
                    lines.write(json.dumps(self._answer(line, number)).encode() + b"\n")
                    lines.flush()
        except (OSError, ValueError) as fault:
            _log.info("a visitor has gone: %s", fault)
        finally:
            self._events.pop(number, None)

    def _answer(self, line: bytes, number: int) -> dict[str, Any]:
        try:
            asked = json.loads(line)
            name, arguments = asked["do"], asked.get("with", {})
            if name == "note_on":  # at once: an event of the main loop would be late
                self._live.note_on(_number(arguments, "note"), int(_number(arguments, "velocity")))
                return {"done": None}
            if name == "note_off":
                self._live.note_off(_number(arguments, "note"))
                return {"done": None}
            if name == "panic":
                self._live.panic()
                return {"done": None}
            job = self._job(name, arguments, number)
        except (ValueError, KeyError, TypeError, AttributeError) as fault:
            return {"fault": f"not understood: {fault}"}
        answer: SimpleQueue[Any] = SimpleQueue()
        self._jobs.put((job, answer))
        while True:
            try:
                done = answer.get(timeout=_WAKE_S)
                break
            except Empty:
                if self._is_closing.is_set():
                    return {"fault": "the performance has ended"}
        return {"fault": str(done)} if isinstance(done, Exception) else {"done": done}

    def _job(self, name: str, arguments: Mapping[str, Any], number: int) -> Callable[[], Any]:
        """What the main thread shall do. Raises KeyError for what is not known."""
        live = self._live
        value = arguments.get("value")
        jobs: dict[str, Callable[[], Any]] = {
            "status": lambda: _plain(live.meter()),
            "events": lambda: self._taken(number),
            "stop": self._stop,
            "midi_inputs": live.midi_inputs,
            "set_midi_input": lambda: live.set_midi_input(None if value is None else str(value)),
            "set_preset": lambda: live.set_preset(preset_from_document(dict(arguments["value"]))),
            "set_lane": lambda: live.set_lane(str(arguments["lane"]), None if value is None else float(value)),
            "set_gain": lambda: live.set_gain(_number(arguments, "value")),
            "learn": lambda: live.learn(None if value is None else str(value)),
            "standing": lambda: _standing(live),
            "set_profile": lambda: live.set_profile(profile_from_document(dict(arguments["value"]))),
            "programs_changed": live.programs_changed,
            "lock_variation": lambda: live.lock_variation(None if value is None else int(_number(arguments, "value"))),
            "start_recording": lambda: live.start_recording(None if value is None else Path(str(value))),
            "stop_recording": live.stop_recording,
            "audio": lambda: spoken_audio(live.audio(min(max(int(_number(arguments, "value")), 0), _MOST_FRAMES))),
        }
        return (jobs | voice_in_jobs(live.voice_in, arguments))[name]

    def _taken(self, number: int) -> list[Any]:
        events = self._events.get(number, [])
        self._events[number] = []
        return [[type(event).__name__, asdict(event)] for event in events]

    def _stop(self) -> None:
        self.is_stop_asked = True


def is_answered(path: Path) -> bool:
    """Whether somebody plays behind this door."""
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as visitor:
            visitor.settimeout(_WAKE_S)
            visitor.connect(str(path))
    except (OSError, AttributeError):
        return False
    return True


def ask(
    name: str, arguments: Mapping[str, Any] | None = None, *, path: Path | None = None, limit_s: float = 2.0
) -> Any:
    """Ask the performance that is under way one thing -> its answer. Raises UserError when there is none."""
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as visitor:
            visitor.settimeout(limit_s)
            visitor.connect(str(path or door_path()))
            with visitor.makefile("rwb") as lines:
                return exchange(lines, name, {})
    except (OSError, AttributeError) as fault:
        raise UserError("No performance is under way.", remedy="Start one with `stridor live`.") from fault


def exchange(lines: Any, name: str, arguments: Mapping[str, Any]) -> Any:
    """One question and its answer over an open connection. Raises OSError when it is over, UserError for a fault."""
    lines.write(json.dumps({"do": name, "with": dict(arguments)}).encode() + b"\n")
    lines.flush()
    line = lines.readline(MAX_LINE_BYTES)
    if not line:
        raise ConnectionResetError("the performance has ended")
    answer = json.loads(line)
    if "fault" in answer:
        raise UserError(f"The performance says: {answer['fault']}", remedy="Try it in the window that plays.")
    return answer["done"]


def spoken_audio(audio: Float32Array) -> str:
    """Samples [n] as text: little-endian float32 in base64."""
    return base64.b64encode(np.ascontiguousarray(audio, dtype="<f4").tobytes()).decode("ascii")


def heard_audio(text: str) -> Float32Array:
    """What `spoken_audio` said -> [n]."""
    return np.frombuffer(base64.b64decode(text, validate=True), dtype="<f4").astype(np.float32)


def _standing(live: LiveLike) -> dict[str, Any]:
    """What changes rarely: profile, processes, recording."""
    profile, recording = live.profile, live.recording()
    return {
        "profile": None if profile is None else profile_to_document(profile),
        "processes": dict(live.processes()),
        "recording": None if recording is None else asdict(recording),
        "hears": live.voice_in is not None,
    }


def _number(arguments: Mapping[str, Any], name: str) -> float:
    value = float(arguments[name])
    if value != value or abs(value) > 1e6:
        raise ValueError(f"{name} is {value}")
    return value


def _plain(meter: Any) -> dict[str, Any] | None:
    if meter is None:
        return None
    return {name: None if value != value else value for name, value in asdict(meter).items()}
