"""A JACK server of a test's own, on the dummy driver, and sample-accurate capture of what is played into it.

    with JackSession() as jack:
        ...start something that plays...
        with jack.capture("PortAudio:out_0", "PortAudio:out_1") as capture:
            capture.wait_for(48_000)
        audio = capture.audio()     # [n_samples, n_ports] without a gap

Each session has a server name of its own, so sessions, and a user's own JACK, do not meet.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import IO, Self

import jack
import numpy as np
import numpy.typing as npt

from tests.dependants import dependent

RATE_HZ = 48_000
_PATIENCE_S = 10.0
_serial = itertools.count(1)


class JackSession:
    """jackd on its dummy driver with JACK_DEFAULT_SERVER pointing at it, until the context, or its process, ends.

    rate_hz, period_frames   of the dummy driver
    """

    def __init__(self, *, rate_hz: int = RATE_HZ, period_frames: int = 128) -> None:
        self.rate_hz = rate_hz
        self.period_frames = period_frames
        self.name = f"stridor-test-{os.getpid()}-{next(_serial)}"
        self._process: subprocess.Popen[bytes] | None = None
        self._log: IO[bytes] | None = None
        # libjack keeps a machine-wide table of eight servers; only an orderly end of the same name frees a place in it.
        self._must_reclaim = False
        self._environment_before: dict[str, str | None] = {}

    def __enter__(self) -> Self:
        for key, value in {"JACK_DEFAULT_SERVER": self.name, "JACK_NO_START_SERVER": "1"}.items():
            self._environment_before[key] = os.environ.get(key)
            os.environ[key] = value
        try:
            self.start()
        except BaseException:
            self._restore_environment()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
        self._restore_environment()

    def start(self) -> None:
        """Start the server and wait until clients can connect. Raises RuntimeError, with its log, when it does not."""
        self._must_reclaim = False
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 - kill() closes it
        urgency = "-R" if _may_be_realtime() else "-r"
        driver = ["-d", "dummy", "-r", str(self.rate_hz), "-p", str(self.period_frames)]
        command = dependent(["jackd", "-n", self.name, urgency, *driver])
        self._process = subprocess.Popen(command, stdout=self._log, stderr=subprocess.STDOUT)
        deadline_s = time.monotonic() + _PATIENCE_S
        # The last semaphore of its start. libjack would wait five seconds for a server that is only half there.
        is_up = Path(f"/dev/shm/jack_sem.{os.getuid()}_{self.name}_freewheel")
        while True:
            if is_up.exists():
                with contextlib.suppress(jack.JackOpenError), quiet_libraries():
                    self.client("probe").close()
                    return
            if self._process.poll() is not None or time.monotonic() > deadline_s:
                self._log.seek(0)
                words = self._log.read().decode(errors="replace")
                self.stop()
                raise RuntimeError(f"jackd does not start:\n{words}")
            time.sleep(0.05)

    def stop(self) -> None:
        """End the server in good order. Idempotent."""
        if self._must_reclaim:
            self.start()
        process, self._process = self._process, None
        if process is not None:
            process.terminate()
            try:
                process.wait(_PATIENCE_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self._close_log()

    def kill(self) -> None:
        """End the server without ceremony, as when it crashes."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait()
            self._must_reclaim = True
        self._close_log()

    def _close_log(self) -> None:
        if self._log is not None:
            self._log.close()
            self._log = None

    def client(self, name: str) -> jack.Client:
        """A client of this server, not activated."""
        return jack.Client(name, no_start_server=True, servername=self.name)

    def wait_for_port(self, name: str) -> None:
        """Until a port with exactly this name exists. Raises TimeoutError."""
        deadline_s = time.monotonic() + _PATIENCE_S
        client = self.client("port-watch")
        try:
            while name not in (port.name for port in client.get_ports()):
                if time.monotonic() > deadline_s:
                    raise TimeoutError(f"no port {name} among {[port.name for port in client.get_ports()]}")
                time.sleep(0.02)
        finally:
            client.close()

    @contextlib.contextmanager
    def capture(self, *ports: str, max_s: float = 20.0) -> Iterator[Capture]:
        """Record these output ports from now until the context ends."""
        for port in ports:
            self.wait_for_port(port)
        capture = Capture(self.client("capture"), ports, int(max_s * self.rate_hz))
        try:
            yield capture
        finally:
            capture.close()

    def _restore_environment(self) -> None:
        for key, value in self._environment_before.items():
            if value is None:
                os.environ.pop(key, None)
            else:
                os.environ[key] = value


class Capture:
    """Every sample of some ports, in order. A late period of the capturing client itself is counted in `gaps`."""

    def __init__(self, client: jack.Client, ports: tuple[str, ...], max_samples: int) -> None:
        self._client = client
        self._buffer = np.zeros((max_samples, len(ports)), dtype=np.float32)
        self._n_samples = 0
        self._next_frame = -1
        self.gaps = 0
        self._inputs = [client.inports.register(f"in_{index}") for index in range(len(ports))]
        client.set_process_callback(self._process)
        client.activate()
        for port, own in zip(ports, self._inputs):
            client.connect(port, own)

    def _process(self, n_frames: int) -> None:
        start = self._n_samples
        end = min(start + n_frames, len(self._buffer))
        frame = self._client.last_frame_time
        if self._next_frame not in (-1, frame):
            self.gaps += 1
        self._next_frame = frame + n_frames
        for index, port in enumerate(self._inputs):
            self._buffer[start:end, index] = port.get_array()[: end - start]  # pyright: ignore[reportAttributeAccessIssue]
        self._n_samples = end

    def wait_for(self, n_samples: int) -> None:
        """Until so many samples have been recorded since the start. Raises TimeoutError."""
        deadline_s = time.monotonic() + _PATIENCE_S + n_samples / RATE_HZ
        while self._n_samples < min(n_samples, len(self._buffer)):
            if time.monotonic() > deadline_s:
                raise TimeoutError(f"captured {self._n_samples} of {n_samples} samples")
            time.sleep(0.005)

    @property
    def n_samples(self) -> int:
        """How much has been recorded."""
        return self._n_samples

    def audio(self) -> npt.NDArray[np.float32]:
        """[n_samples, n_ports] as recorded so far."""
        return self._buffer[: self._n_samples].copy()

    def close(self) -> None:
        """Stop recording."""
        with quiet_libraries():
            self._client.deactivate()
            self._client.close()


def _may_be_realtime() -> bool:
    """Whether the driver's clock and its clients may run before other work, as with a real sound card."""
    try:
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
    except PermissionError:
        return False
    os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))
    return True


@contextlib.contextmanager
def quiet_libraries() -> Iterator[None]:
    """Keep libjack's complaints about absent servers off the terminal."""
    jack.set_error_function(lambda _message: None)
    try:
        yield
    finally:
        jack.set_error_function(None)
