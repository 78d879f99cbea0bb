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
import time
from collections.abc import Iterator

import jack
import numpy as np
import numpy.typing as npt

from app.commands.stage_bench.rig import JackServer
from synth.spec import SAMPLE_RATE_HZ
from tests.dependants import dependent

_PATIENCE_S = 10.0


class JackSession(JackServer):
    """The bench's server, ended with this process however that ends, and with clients in this process."""

    def __init__(self, *, rate_hz: int = SAMPLE_RATE_HZ, period_frames: int = 128) -> None:
        super().__init__(period_frames, rate_hz=rate_hz)

    def command(self) -> list[str]:
        return dependent(super().command())

    def is_up(self) -> bool:
        if super().is_up():
            with contextlib.suppress(jack.JackOpenError), quiet_libraries():
                self.client("probe").close()
                return True
        return False

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
        deadline_s = time.monotonic() + _PATIENCE_S + n_samples / SAMPLE_RATE_HZ
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


@contextlib.contextmanager
def quiet_libraries() -> Iterator[None]:
    """Keep libjack's complaints about absent servers off the terminal."""
    jack.set_error_function(lambda _message: None)
    try:
        yield
    finally:
        jack.set_error_function(None)
