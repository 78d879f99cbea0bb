"""What disturbs playing in the bench, and the client it is compared with."""

from __future__ import annotations

import gc
import subprocess
import sys
import threading
import time
from typing import Any

from app.store.presets import DEMO_FOLDER


class Noise:
    """What a window may do at the worst: a busy loop and full collections, in the host's own process."""

    def __init__(self) -> None:
        self._is_ending = False
        self._thread = threading.Thread(target=self._run, name="bench-noise", daemon=True)
        self._thread.start()

    def end(self) -> None:
        self._is_ending = True
        self._thread.join()

    def _run(self) -> None:
        collect_at_s = 0.0
        while not self._is_ending:
            sum(index * index for index in range(20_000))
            if time.monotonic() > collect_at_s:
                gc.collect()
                collect_at_s = time.monotonic() + 0.5


def busy_process() -> subprocess.Popen[bytes]:
    """Renders in the background, again and again."""
    demo = DEMO_FOLDER / "first_breath.stridor"
    again = "import subprocess, sys\nwhile True: subprocess.run(sys.argv[1:], capture_output=True)"
    command = [sys.executable, "-m", "app.main", "bench", "render", "--passage", str(demo), "--repeats", "3", "--json"]
    return subprocess.Popen([sys.executable, "-c", again, *command], start_new_session=True)


def end(process: subprocess.Popen[bytes]) -> None:
    import psutil

    for child in psutil.Process(process.pid).children(recursive=True):
        child.kill()
    process.kill()
    process.wait()


def silent_client(seconds: float) -> dict[str, Any]:
    """A PortAudio stream whose callback is C and plays silence, for as long -> periods it was late for."""
    code = (
        "import sys, time, rtmixer\n"
        "mixer = rtmixer.Mixer(channels=2, samplerate=48000, latency='low')\n"
        "mixer.start(); time.sleep(1.0)\n"
        "before = mixer.stats.output_underflows\n"
        "time.sleep(float(sys.argv[1]))\n"
        "print(mixer.stats.output_underflows - before, mixer.stats.blocks)\n"
    )
    done = subprocess.run([sys.executable, "-c", code, str(seconds)], capture_output=True, text=True, check=False)
    words = done.stdout.split()
    if len(words) != 2:
        return {"late_periods": 0, "failed": done.stderr.strip()[-200:]}
    return {"late_periods": int(words[0]), "periods": int(words[1])}
