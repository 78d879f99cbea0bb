"""Where the guide's sound comes from: an input of PortAudio, or a file read as if it were sung now.

Listening process only. Nothing that is heard is kept.
"""

from __future__ import annotations

import contextlib
import logging
import queue
import time
from pathlib import Path
from typing import Any, Final, Protocol

import numpy as np
import soundfile

from app.live.voice_in.messages import InputDevice
from synth.errors import UserError
from synth.spec.audio import SAMPLE_RATE_HZ
from synth.spec.controls import Float32Array

_log = logging.getLogger(__name__)

BLOCK_FRAMES: Final = 128
_MOST_WAITING: Final = 256  # blocks: half a second
_SILENT_FOR_S: Final = 1.5  # a driver that gives nothing for so long has gone


class Source(Protocol):
    """An open input. `read` gives what has come, waiting for `wait_s` at most; None: it has ended or gone."""

    @property
    def rate_hz(self) -> float: ...
    @property
    def latency_s(self) -> float: ...
    def read(self, wait_s: float) -> Float32Array | None: ...
    def take_dropped(self) -> int: ...
    def close(self) -> None: ...


class FileSource:
    """A recording, block by block as time passes. Any rate and number of channels; these are averaged."""

    def __init__(self, path: Path) -> None:
        """Raises UserError for a file that cannot be read."""
        try:
            self._file: Any = soundfile.SoundFile(path)
        except (soundfile.LibsndfileError, OSError) as fault:
            raise UserError(f"{path} cannot be read as sound.", remedy="Use a WAV, FLAC or OGG file.") from fault
        self.rate_hz = float(self._file.samplerate)
        self.latency_s = BLOCK_FRAMES / self.rate_hz
        self._begin_s = time.monotonic()
        self._n_read = 0

    def read(self, wait_s: float) -> Float32Array | None:
        due_s = self._begin_s + (self._n_read + BLOCK_FRAMES) / self.rate_hz
        now_s = time.monotonic()
        if due_s > now_s:
            time.sleep(min(due_s - now_s, wait_s))
            if due_s > now_s + wait_s:
                return np.zeros(0, dtype=np.float32)
        try:
            block = self._file.read(BLOCK_FRAMES, dtype="float32", always_2d=True)
        except (soundfile.LibsndfileError, OSError) as fault:
            _log.warning("the file ends before its end: %s", fault)
            return None
        self._n_read += len(block)
        return block.mean(axis=1, dtype=np.float32) if len(block) else None

    def take_dropped(self) -> int:
        return 0

    def close(self) -> None:
        self._file.close()


class DeviceSource:
    """The first channel of an input device, at 48 kHz where it does that, else at its own rate."""

    def __init__(self, device_id: str) -> None:
        """Raises UserError where there is no such input, or where it cannot be opened."""
        import sounddevice as sd  # loads PortAudio and its drivers

        index = next((index for index, device in _found() if device.id == device_id), None)
        if index is None:
            raise UserError(f"There is no input {device_id!r} now.", remedy="Plug it in; it is used once it is there.")
        self._blocks: queue.Queue[Float32Array] = queue.Queue(_MOST_WAITING)
        self._dropped = 0
        self._heard_at_s = time.monotonic()
        try:
            self.rate_hz = float(_rate_hz(index))
            self._stream: Any = sd.InputStream(
                samplerate=self.rate_hz, blocksize=BLOCK_FRAMES, device=index, channels=1, dtype="float32",
                latency="low", callback=self._take,
            )  # fmt: skip
            self._stream.start()
        except (sd.PortAudioError, ValueError) as fault:
            raise UserError(f"{device_id} cannot be opened: {fault}.", remedy="Close what else uses it.") from fault
        self.latency_s = float(self._stream.latency) + BLOCK_FRAMES / self.rate_hz

    def read(self, wait_s: float) -> Float32Array | None:
        try:
            block = self._blocks.get(timeout=wait_s)
        except queue.Empty:
            is_gone = not self._stream.active or time.monotonic() - self._heard_at_s > _SILENT_FOR_S
            return None if is_gone else np.zeros(0, dtype=np.float32)
        self._heard_at_s = time.monotonic()
        return block

    def take_dropped(self) -> int:
        dropped, self._dropped = self._dropped, 0
        return dropped

    def close(self) -> None:
        import sounddevice as sd

        with contextlib.suppress(sd.PortAudioError):  # it has gone already
            self._stream.close()

    def _take(self, block: Float32Array, _n_frames: int, _time: object, status: object) -> None:
        """PortAudio's thread."""
        if status:
            self._dropped += 1
        try:
            self._blocks.put_nowait(block[:, 0].copy())
        except queue.Full:
            self._dropped += 1


def find_inputs() -> list[InputDevice]:
    """Every input device, the system's default first; none where PortAudio cannot be loaded."""
    try:
        return sorted((device for _, device in _found()), key=lambda device: not device.is_default)
    except OSError as fault:
        _log.info("no PortAudio: %s", fault)
        return []


def look_again() -> None:
    """Let PortAudio look for devices anew. No stream may be open."""
    with contextlib.suppress(OSError):
        from app.audio.devices import rescan  # loads PortAudio

        rescan()


def _found() -> list[tuple[int, InputDevice]]:
    """Raises OSError where PortAudio cannot be loaded."""
    import sounddevice as sd

    host_apis = sd.query_hostapis()
    default = int(sd.default.device[0])
    found: list[tuple[int, InputDevice]] = []
    for index, device in enumerate(sd.query_devices()):
        if device["max_input_channels"] >= 1:
            name = str(device["name"])
            device_id = f"{host_apis[device['hostapi']]['name']}: {name}"
            found.append((index, InputDevice(device_id, name, index == default)))
    return found


def _rate_hz(index: int) -> float:
    import sounddevice as sd

    try:
        sd.check_input_settings(index, channels=1, dtype="float32", samplerate=SAMPLE_RATE_HZ)
    except sd.PortAudioError:
        return float(sd.query_devices(index)["default_samplerate"])
    return float(SAMPLE_RATE_HZ)
