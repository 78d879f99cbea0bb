"""What a killed run of tests leaves behind: nothing."""

from __future__ import annotations

import signal
import subprocess
import sys
import time

import psutil
import pytest

from tests.conftest import REPOSITORY

_RUN = """
import time
from tests.jack_session import JackSession
with JackSession(period_frames=1024) as jack:
    print(jack._process.pid, flush=True)
    time.sleep(60.0)
"""


@pytest.mark.jack
@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGKILL])
def test_jackd_ends_with_the_run_that_started_it(end: signal.Signals) -> None:
    with subprocess.Popen([sys.executable, "-c", _RUN], cwd=REPOSITORY, stdout=subprocess.PIPE, text=True) as run:
        assert run.stdout is not None
        server = psutil.Process(int(run.stdout.readline()))
        assert server.name() == "jackd"
        run.send_signal(end)
        run.wait(10.0)
    deadline_s = time.monotonic() + 10.0
    while server.is_running() and server.status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < deadline_s, "jackd outlives the run"
        time.sleep(0.02)
