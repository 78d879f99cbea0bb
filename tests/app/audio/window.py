"""A process that stands for the window: it owns a SoundClient, plays, and is busy or gets killed.

Run as `python -m tests.app.audio.window CLIP N_SAMPLES SECONDS`. It writes the server's pid once a device plays, and
after SECONDS of Python that never rests, the under-runs of that time. SECONDS 0: it plays until it is killed.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

from app.audio.client import SoundClient


def main() -> None:
    clip, n_samples, seconds = Path(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])
    client = SoundClient()
    client.start()
    client.set_clip(clip, n_samples)
    client.play(0.0, loop=(0.0, n_samples / 48_000))
    while not client.available:
        client.poll()
        time.sleep(0.01)
    _say(client._supervisor.server_pid)
    if seconds == 0:
        time.sleep(60.0)
    time.sleep(0.5)
    before = client.under_runs
    busy_until_s = time.monotonic() + seconds
    total = 0
    while time.monotonic() < busy_until_s:
        total += sum(range(1_000))
    _say(client.under_runs - before)
    client.close()


def _say(number: int | None) -> None:
    sys.stdout.write(f"{number}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
