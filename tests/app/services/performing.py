"""A window or a performance as a process of its own, for tests that kill it.

    python -m tests.app.services.performing alone WEIGHTS      a window that plays with an engine of its own
    python -m tests.app.services.performing live WEIGHTS       `stridor live` without its command line
    python -m tests.app.services.performing joined             a window that plays in that performance

Each holds a note and then writes a line of JSON: the process ids that must end with it. It goes on until it is killed.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path

from app.audio.client import SoundClient
from app.live.stage.host import StageOptions
from app.services.attached import AttachedSession
from app.services.stage import StageSession
from app.services.stage_door import StageDoor
from app.state.preset import Preset

NOTE = 57.0
_TURN_S = 0.01
_PATIENCE_S = 150.0


def _until(wanted: Callable[[], bool], turn: Callable[[], object]) -> None:
    deadline_s = time.monotonic() + _PATIENCE_S
    while not wanted():
        if time.monotonic() > deadline_s:
            raise TimeoutError
        turn()
        time.sleep(_TURN_S)


def _say(pids: list[int]) -> None:
    sys.stdout.write(json.dumps(pids) + "\n")
    sys.stdout.flush()


def play(weights: Path, *, has_door: bool) -> None:
    """Play with an engine of its own, until killed."""
    sound = SoundClient()
    options = StageOptions(weights_folder=weights, device="cpu", cache_bytes=2**20, n_steps=1)
    session = StageSession(sound, options, [Preset("plain", "Plain", attack_s=0.0)])
    door = StageDoor(session) if has_door else None

    def turn() -> None:
        sound.poll()
        events = session.poll()
        if door is not None:
            door.poll(events)

    sound.start()
    session.start()
    _until(lambda: session.meter().state == "playing", turn)
    session.note_on(NOTE, 96)
    _until(lambda: session.meter().notes > 0, turn)
    if door is not None:
        door.start()
    pids = [*session.engine.pids.values(), sound.server_pid]
    _say([pid for pid in pids if pid is not None])
    while door is None or not door.is_stop_asked:
        turn()
        time.sleep(_TURN_S)
    door.close()
    session.close()
    sound.close()


def join() -> None:
    """Play in somebody else's performance, until killed."""
    session = AttachedSession()
    session.start()
    _until(lambda: session.meter() is not None, lambda: None)
    before = session.meter()
    session.note_on(NOTE + 7.0, 96)
    _until(
        lambda: (now := session.meter()) is not None and before is not None and now.notes > before.notes, session.poll
    )
    _say([])
    while True:
        session.poll()
        time.sleep(_TURN_S)


if __name__ == "__main__":
    if sys.argv[1] == "joined":
        join()
    else:
        play(Path(sys.argv[2]), has_door=sys.argv[1] == "live")
