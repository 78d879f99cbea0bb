"""A JACK server of the bench's own on the dummy driver, and a client process that plays scores and records.

The client places MIDI events at exact frames and records every sample, so latency is measured from frame to frame. A
period its own Python was late for is counted: what it recorded then is no evidence.
"""

from __future__ import annotations

import contextlib
import gc
import itertools
import multiprocessing
import os
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Final, Self

import numpy as np

from synth.errors import UserError
from synth.spec.audio import SAMPLE_RATE_HZ
from synth.spec.controls import Float32Array

CLIENT: Final = "stridor-bench"
MIDI_PORT: Final = f"JACK: {CLIENT}:keys"  # as app.midi.sources names it
_OUTPUT: Final = "PortAudio:out_0"
_PATIENCE_S: Final = 30.0
_ATTEMPTS: Final = 3
_SETTLE_S: Final = 0.2
_serial = itertools.count(1)
_LOOK_S: Final = 0.02

Score = list[tuple[int, bytes]]  # (frame from the start of the recording, MIDI message), in order


@dataclass(frozen=True, slots=True)
class Take:
    """What was recorded. `gap_frames`: where the recorder itself was late and lost a period or more.

    start_frame    of JACK's clock, at the first sample
    """

    audio: Float32Array
    gap_frames: tuple[int, ...]
    start_frame: int = 0

    @property
    def gaps(self) -> int:
        """How often it was late."""
        return len(self.gap_frames)

    def is_whole(self, start: int, end: int) -> bool:
        """Whether nothing is missing between two frames."""
        return not any(start <= frame <= end for frame in self.gap_frames)


class JackServer:
    """jackd on its dummy driver, found by everything started from here on, until the context ends.

    Each has a name of its own, so servers, and a user's own, do not meet.
    """

    def __init__(self, period_frames: int = 128, *, rate_hz: int = SAMPLE_RATE_HZ) -> None:
        self.period_frames, self.rate_hz = period_frames, rate_hz
        self.name = f"stridor-{os.getpid()}-{next(_serial)}"
        self._process: subprocess.Popen[bytes] | None = None
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

    def __exit__(self, *_: object) -> None:
        self.stop()
        self._restore_environment()

    def command(self) -> list[str]:
        """What is started."""
        driver = ["-d", "dummy", "-r", str(self.rate_hz), "-p", str(self.period_frames)]
        return ["jackd", "-n", self.name, "-R" if _may_hurry() else "-r", *driver]

    def is_up(self) -> bool:
        """Whether clients can connect: the last semaphore of its start is there, and has been for a moment."""
        # libjack would wait five seconds for a server that is only half there.
        if not Path(f"/dev/shm/jack_sem.{os.getuid()}_{self.name}_freewheel").exists():
            return False
        time.sleep(_SETTLE_S)
        return True

    def start(self) -> None:
        """Start, and wait until clients can connect. Raises UserError with what jackd says where it does not start."""
        self._must_reclaim = False
        with tempfile.TemporaryFile() as log:
            try:
                self._process = subprocess.Popen(self.command(), stdout=log, stderr=subprocess.STDOUT)
            except OSError as fault:
                raise UserError("jackd cannot be started.", remedy="Install it (apt install jackd2).") from fault
            deadline_s = time.monotonic() + _PATIENCE_S
            while not self.is_up():
                if self._process.poll() is not None or time.monotonic() > deadline_s:
                    self.stop()
                    log.seek(0)
                    words = log.read().decode(errors="replace").strip()
                    raise UserError(f"jackd does not start: {words}", remedy="Try `jackd -d dummy` by hand.")
                time.sleep(0.05)

    def stop(self) -> None:
        """End it in good order. Idempotent."""
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

    def kill(self) -> None:
        """As when a device is pulled out, or the server crashes."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait()
            self._must_reclaim = True

    def _restore_environment(self) -> None:
        for key, value in self._environment_before.items():
            if value is None:
                os.environ.pop(key, None)
            else:
                os.environ[key] = value


_CONNECTED_S: Final = 0.5


class Recorder:
    """The client process. Methods wait for it.

    meanwhile   called again and again while they do
    """

    meanwhile: Callable[[], object] | None = None

    def __init__(self) -> None:
        context = multiprocessing.get_context("spawn")
        for left in reversed(range(_ATTEMPTS)):
            self._connection, theirs = context.Pipe()
            self._process = context.Process(target=_record_forever, args=(theirs,), name=CLIENT, daemon=True)
            self._process.start()
            theirs.close()
            try:
                self._expect()
                return
            except EOFError as fault:  # libjack could not start a thread, as where locked memory is short
                if not left:
                    raise UserError("The recorder does not start.", remedy="Run the bench again.") from fault

    def play(self, score: Score, seconds: float) -> Take:
        """Play `score` from now on and record for `seconds`."""
        self._connection.send((score, seconds))
        path, gap_frames, start_frame = self._expect(seconds)
        audio = np.load(path, allow_pickle=False)
        Path(path).unlink()
        return Take(audio, tuple(gap_frames), start_frame)

    def settle(self) -> None:
        """Connect, and let the server get over it: a graph that changes loses some periods for everybody in it."""
        self.play([], _CONNECTED_S)

    def close(self) -> None:
        """End the process. Idempotent."""
        with contextlib.suppress(OSError):
            self._connection.send(None)
        self._process.join(2.0)
        self._process.kill()

    def _expect(self, seconds: float = 0.0) -> Any:
        deadline_s = time.monotonic() + seconds + 2 * _PATIENCE_S
        while not self._connection.poll(_LOOK_S):
            if self.meanwhile is not None:
                self.meanwhile()
            if time.monotonic() < deadline_s:
                continue
            raise UserError("The recorder does not answer.", remedy="Run the bench again.")
        said = self._connection.recv()
        if isinstance(said, str):
            raise UserError(f"The recorder failed: {said}.", remedy="Run the bench again.")
        return said


@contextlib.contextmanager
def recorder() -> Iterator[Recorder]:
    made = Recorder()
    try:
        yield made
    finally:
        made.close()


def _record_forever(connection: Connection) -> None:
    """The process: a client that lives until it is told to end."""
    try:
        client = _Client()
        gc.collect()
        gc.freeze()
        gc.disable()  # a collection would be a period lost
        connection.send(())
        while (task := connection.recv()) is not None:
            score, seconds = task
            connection.send(client.record(score, seconds))
    except (EOFError, OSError):
        pass
    except Exception as fault:
        connection.send(repr(fault))
    os._exit(0)


class _Client:
    """JACK's callback reads and writes what record() has laid out; they meet in `_is_on` only."""

    def __init__(self) -> None:
        import jack  # loads libjack: in this process alone

        self._client: Any = jack.Client(CLIENT, no_start_server=True)
        self._fault: type[Exception] = jack.JackError
        self._keys: Any = self._client.midi_outports.register("keys")
        self._input: Any = self._client.inports.register("in")
        self._buffer = np.zeros(0, dtype=np.float32)
        self._score: Score = []
        self._at = self._next = 0
        self._last_frame = self._start_frame = -1
        self._gap_frames: list[int] = []
        self._is_on = False
        self._client.set_process_callback(self._process)
        self._client.activate()

    def record(self, score: Score, seconds: float) -> tuple[str, list[int], int]:
        self._connect()
        self._buffer = np.zeros(round(seconds * SAMPLE_RATE_HZ), dtype=np.float32)
        self._score, self._at, self._next, self._gap_frames = score, 0, 0, []
        self._last_frame, self._is_on = -1, True
        deadline_s = time.monotonic() + seconds + _PATIENCE_S
        while self._is_on and time.monotonic() < deadline_s:
            time.sleep(0.01)
        with tempfile.NamedTemporaryFile(suffix=".npy", delete=False) as file:
            np.save(file, self._buffer, allow_pickle=False)
        return file.name, self._gap_frames, self._start_frame

    def _connect(self) -> None:
        deadline_s = time.monotonic() + _PATIENCE_S
        while not self._input.connections:
            if any(port.name == _OUTPUT for port in self._client.get_ports(is_audio=True, is_output=True)):
                self._client.connect(_OUTPUT, self._input.name)
            elif time.monotonic() > deadline_s:
                raise TimeoutError("nothing plays")
            time.sleep(0.02)

    def _process(self, n_frames: int) -> None:
        self._keys.clear_buffer()
        if not self._is_on:
            return
        frame = self._client.last_frame_time
        if self._last_frame == -1:
            self._start_frame = frame
        elif self._last_frame != frame:
            self._gap_frames.append(self._at)
        self._last_frame = frame + n_frames
        start, end = self._at, min(self._at + n_frames, len(self._buffer))
        self._buffer[start:end] = self._input.get_array()[: end - start]
        while self._next < len(self._score) and self._score[self._next][0] < start + n_frames:
            at, data = self._score[self._next]
            try:
                self._keys.write_midi_event(max(at - start, 0), data)
            except self._fault:  # this period's buffer is full: in the next one
                break
            self._next += 1
        self._at = end
        self._is_on = end < len(self._buffer)


def _may_hurry() -> bool:
    """Whether the driver's clock may run before other work, as with a real sound card."""
    try:
        usual = os.sched_getscheduler(0), os.sched_getparam(0)
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
    except (PermissionError, AttributeError):
        return False
    os.sched_setscheduler(0, *usual)
    return True
