"""The open output stream of the sound server."""

from __future__ import annotations

import contextlib
import threading
import time
from typing import Final

import numpy as np
import sounddevice as sd

from app.audio import shared
from app.audio.devices import FoundDevice, stream_rate_hz
from app.audio.mixer import MAX_BLOCK, Mixer
from app.audio.rate import RateConverter
from app.audio.shared import SharedState
from synth.spec.audio import SAMPLE_RATE_HZ
from synth.spec.controls import Float32Array

STALL_S: Final = 0.5  # a device that has not called back for so long is gone
_CLOSE_LIMIT_S: Final = 0.7
_CALLBACK_DECAY: Final = 0.999  # a block: at 128 frames the slowest callback is halved in about 2 s


class DeviceStream:
    """One open PortAudio stream that plays the mixer. Control thread, but for _callback and _ended."""

    def __init__(self, device: FoundDevice, mixer: Mixer, state: SharedState) -> None:
        """Open and start. Raises sd.PortAudioError when the device does not let us."""
        self.device = device
        self._mixer = mixer
        self._state = state
        self._n_callbacks = 0  # audio thread
        self._seen_callbacks = 0
        self._seen_at_s = time.monotonic()
        self._has_ended = False  # by PortAudio, whoever wanted it
        self._is_cut = False
        self._n_channels = min(device.info.n_channels, 2)
        self._stereo = np.zeros((MAX_BLOCK, 2), dtype=np.float32)
        self.rate_hz = stream_rate_hz(device)
        self._converter = RateConverter(mixer, self.rate_hz) if self.rate_hz != SAMPLE_RATE_HZ else None
        try:
            self._stream = sd.OutputStream(
                samplerate=self.rate_hz,
                device=device.index,
                channels=self._n_channels,
                dtype="float32",
                latency="low",
                callback=self._callback,
                finished_callback=self._ended,
            )
            self._stream.start()
        except BaseException:
            if self._converter is not None:
                self._converter.close()
            raise
        self.latency_s = float(self._stream.latency)  # pyright: ignore[reportArgumentType] - a pair only for duplex
        if self._converter is not None:
            self.latency_s += self._converter.latency_s

    def is_alive(self) -> bool:
        """Whether the device still asks for sound. Call it several times a second."""
        now_s = time.monotonic()
        if self._n_callbacks != self._seen_callbacks:
            self._seen_callbacks = self._n_callbacks
            self._seen_at_s = now_s
        return not self._has_ended and now_s - self._seen_at_s < STALL_S

    def cut(self) -> None:
        """Leave the mixer alone from now on; the device gets silence until close()."""
        self._is_cut = True

    def close(self) -> bool:
        """Give the device back -> whether the driver let go; where it did not, PortAudio is of no more use here.

        PortAudio's JACK side, for one, waits for ever for a server that was killed.
        """
        self.cut()
        closing = threading.Thread(target=self._close_stream, name="close-stream", daemon=True)
        closing.start()
        closing.join(_CLOSE_LIMIT_S)
        if self._converter is not None:
            self._converter.close()
        return not closing.is_alive()

    def _close_stream(self) -> None:
        for step in (self._stream.abort, self._stream.close):
            with contextlib.suppress(sd.PortAudioError):
                step(ignore_errors=True)

    def _callback(self, out: Float32Array, n_frames: int, _time: object, status: sd.CallbackFlags) -> None:
        """Audio thread. Never raises: PortAudio would drop us without a word."""
        try:
            self._n_callbacks += 1
            if self._is_cut:
                out.fill(0.0)
                return
            if status.output_underflow and self._n_callbacks > 1:  # the first block has nothing before it
                self._state.ints[shared.UNDER_RUNS] += 1
            if self._n_channels == 2:
                self._fill(out)
                return
            done = 0
            while done < n_frames:
                count = min(MAX_BLOCK, n_frames - done)
                stereo = self._stereo[:count]
                self._fill(stereo)
                np.add.reduce(stereo, axis=1, out=out[done : done + count, 0])
                np.multiply(out[done : done + count], 0.5, out=out[done : done + count])
                done += count
        except BaseException as fault:
            out.fill(0.0)
            self._mixer.fault = fault
            self._state.ints[shared.FAULTS] += 1

    def _fill(self, out: Float32Array) -> None:
        """Audio thread."""
        began_s = time.perf_counter()
        if self._converter is None:
            self._mixer.mix(out)
        elif not self._converter.read(out):
            self._state.ints[shared.UNDER_RUNS] += 1
        floats = self._state.floats
        floats[shared.CALLBACK_S] = max(time.perf_counter() - began_s, floats[shared.CALLBACK_S] * _CALLBACK_DECAY)

    def _ended(self) -> None:
        self._has_ended = True
