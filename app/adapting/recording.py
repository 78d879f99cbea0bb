"""Recording a take through the microphone, in a process of its own: a driver that hangs cannot hang the window.

The file is written as the sound comes in, so what was sung before a crash is on disk.
"""

from __future__ import annotations

import math
import os
import queue
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Final

import numpy as np
import soundfile

from app.adapting.messages import Failed, InputsFound, Level, News, Recorded
from synth.errors import UserError
from synth.spec import SAMPLE_RATE_HZ, Float32Array

CLIPPED_AT: Final = 0.985
LONGEST_S: Final = 1800.0
_BLOCK: Final = 1024
_LEVEL_EVERY_S: Final = 0.05
_QUIET_PEAK_DB: Final = -24.0
_SHORT_S: Final = 1.0
_SUBTYPE: Final = "PCM_24"
_FLOOR_DB: Final = -100.0

Tell = Callable[[News], None]


class Take:
    """Blocks of sound into a WAV file, with what a singer must know of them."""

    def __init__(self, path: Path, rate_hz: int = SAMPLE_RATE_HZ) -> None:
        """Raises UserError where the file cannot be made."""
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file: Any = soundfile.SoundFile(path, "w", rate_hz, 1, subtype=_SUBTYPE)
        except (soundfile.LibsndfileError, OSError) as fault:
            raise UserError(
                f"{path} cannot be written: {fault}.", remedy="Free some space, or check its folder."
            ) from fault
        self.path, self.rate_hz = path, rate_hz
        self.n_samples = self.n_clipped = 0
        self.peak = 0.0

    def add(self, block: Float32Array) -> Level:
        """Write mono samples [n]. Raises UserError on a full disk; what was written stays."""
        try:
            self._file.write(block)
        except (soundfile.LibsndfileError, OSError) as fault:
            raise UserError(
                f"{self.path} cannot be written any more: {fault}.",
                remedy="Free some space; the take until here is kept.",
            ) from fault
        self.n_samples += len(block)
        peak = float(np.abs(block).max(initial=0.0))
        self.peak = max(self.peak, peak)
        clipped = int(np.count_nonzero(np.abs(block) >= CLIPPED_AT))
        self.n_clipped += clipped
        return level_of(block, self.seconds)

    @property
    def seconds(self) -> float:
        """Recorded so far."""
        return self.n_samples / self.rate_hz

    def flush(self) -> None:
        """What was sung is on disk from now on."""
        self._file.flush()

    def close(self) -> Recorded:
        """The take as it lies in its file; an empty one is removed."""
        self._file.close()
        if self.n_samples == 0:
            self.path.unlink(missing_ok=True)
        return Recorded(self.path, self.seconds, advice_on(self.seconds, self.peak, self.n_clipped))


def level_of(block: Float32Array, seconds: float) -> Level:
    """Peak and RMS of mono samples, dB re full scale."""
    peak = float(np.abs(block).max(initial=0.0))
    rms = math.sqrt(float(np.mean(block.astype(np.float64) ** 2))) if len(block) else 0.0
    return Level(_db(peak), _db(rms), peak >= CLIPPED_AT, seconds)


def advice_on(seconds: float, peak: float, n_clipped: int) -> str:
    """What to do better in the next take; "" where there is nothing."""
    if seconds < _SHORT_S:
        return "That was too short: sing for a few seconds."
    if n_clipped > 0:
        return "It clipped: step back from the microphone or turn it down, and sing it again."
    if _db(peak) < _QUIET_PEAK_DB:
        return "That was very quiet: come closer, or turn the microphone up."
    return ""


def serve_recorder(connection: Connection, path: Path | None, device: str | None) -> None:
    """Record into `path` until anything arrives through `connection`, or it closes; None: only list the inputs.

    device   a microphone's name; None: the system's default
    """
    tell = connection.send
    try:
        import sounddevice as sd  # loads PortAudio and its drivers: in this process only
    except OSError as fault:
        remedy = "Install it; on Debian and Ubuntu: apt install libportaudio2."
        tell(Failed(f"PortAudio cannot be loaded ({fault}).", remedy))
        os._exit(0)
    try:
        if path is None:
            tell(InputsFound(_inputs(sd)))
        else:
            _record(connection, Take(path), sd, device)
    except UserError as fault:
        tell(Failed(fault.message, fault.remedy))
    except (OSError, EOFError):  # the window has gone; the take is closed
        pass
    connection.close()
    os._exit(0)  # PortAudio's own tear-down may hang


def _record(connection: Connection, take: Take, sd: Any, device: str | None) -> None:
    blocks: queue.SimpleQueue[Float32Array] = queue.SimpleQueue()

    def arrived(block: Float32Array, _frames: int, _time: object, _status: object) -> None:
        blocks.put(block[:, 0].copy())

    try:
        stream = sd.InputStream(
            samplerate=SAMPLE_RATE_HZ, channels=1, dtype="float32", blocksize=_BLOCK, device=device, callback=arrived
        )
        stream.start()
    except (sd.PortAudioError, ValueError) as fault:
        take.close()
        raise UserError(f"The microphone cannot be used: {fault}.", remedy="Plug one in, or choose another.") from fault
    try:
        follow(connection, take, blocks, is_alive=lambda: bool(stream.active))
    finally:
        stream.abort()
        connection.send(take.close())


def follow(
    connection: Connection, take: Take, blocks: queue.SimpleQueue[Float32Array], *, is_alive: Callable[[], bool]
) -> None:
    """Write blocks and tell levels until something arrives, the microphone has gone, or the take is very long."""
    told_s = flushed_s = time.monotonic()
    while take.seconds < LONGEST_S:
        if connection.poll(0):
            break
        try:
            block = blocks.get(timeout=_LEVEL_EVERY_S)
        except queue.Empty:
            if not is_alive():
                raise UserError("The microphone has gone.", remedy="Plug it in; the take until here is kept.") from None
            continue
        level = take.add(block)
        now_s = time.monotonic()
        if now_s - told_s >= _LEVEL_EVERY_S or level.clipped:
            told_s = now_s
            connection.send(level)
        if now_s - flushed_s >= 1.0:
            flushed_s = now_s
            take.flush()
    while not blocks.empty():
        take.add(blocks.get())


def _inputs(sd: Any) -> tuple[str, ...]:
    """Names of what can be recorded from, the system's default first."""
    default = sd.default.device[0]
    found = [
        (index != default, str(device["name"]))
        for index, device in enumerate(sd.query_devices())
        if device["max_input_channels"] > 0
    ]
    return tuple(dict.fromkeys(name for _, name in sorted(found)))


def _db(linear: float) -> float:
    return max(20.0 * math.log10(linear), _FLOOR_DB) if linear > 0.0 else _FLOOR_DB
