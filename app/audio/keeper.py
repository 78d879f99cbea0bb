"""Keeps a device open for the mixer, and looks for one when there is none. Control thread only."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Final

import sounddevice as sd

from app.audio import devices, shared
from app.audio.devices import FoundDevice
from app.audio.messages import DeviceInfo, DeviceLost, DeviceOpened, DevicesChanged, SoundEvent, SoundNotice
from app.audio.mixer import Mixer
from app.audio.output import DeviceStream
from app.audio.shared import SharedState
from app.audio.silence import SilentClock

_log = logging.getLogger(__name__)

_RETRY_S: Final = 1.0
_SLOW_RETRY_S: Final = 5.0
_RETRIES_BEFORE_SLOW: Final = 30


class DeviceKeeper:
    """Hands the mixer to a device's callback while there is one, else to the silent clock."""

    def __init__(
        self, mixer: Mixer, state: SharedState, clock: SilentClock, *, tell: Callable[[SoundEvent], None]
    ) -> None:
        """The clock must be running; select() opens the first device."""
        self._mixer = mixer
        self._state = state
        self._clock = clock
        self._tell = tell
        self._wanted: str | None = None
        self._stream: DeviceStream | None = None
        self._known: tuple[DeviceInfo, ...] | None = None
        self._is_stuck = False
        self._last_notice = ""
        self._must_rescan = False  # importing sounddevice has looked already
        self._may_stand_in = True  # whether the default may replace an absent device
        self._n_retries = 0
        self._retry_at_s = 0.0

    @property
    def is_stuck(self) -> bool:
        """Whether a driver hangs: only a new process can play again."""
        return self._is_stuck

    def select(self, device_id: str | None, *, may_stand_in: bool) -> None:
        """Play on this device from now on; where allowed, the default stands in for one that is absent."""
        if self._stream is not None and self._wanted == device_id:
            return
        self._wanted = device_id
        self._may_stand_in = may_stand_in or device_id is None
        self._last_notice = ""
        self._let_go()
        if not self._is_stuck:
            self._look()

    def check(self) -> None:
        """Notice a device that has gone, look for one where there is none. Call it at 20 Hz."""
        if self._stream is not None:
            if not self._stream.is_alive():
                self._lose(self._stream)
        elif self._known is not None and not self._is_stuck and time.monotonic() >= self._retry_at_s:
            self._look()

    def close(self) -> None:
        """Give the device back."""
        self._let_go()

    def _lose(self, stream: DeviceStream) -> None:
        name = stream.device.info.name
        _log.info("lost %s", stream.device.info.id)
        self._tell(DeviceLost(f"The audio device {name} has gone. Playing goes on silently until it is back."))
        # Playing suddenly on a laptop's own loudspeaker is not what a performer wants.
        self._may_stand_in = self._wanted is None
        self._let_go()
        self._n_retries = 0
        self._retry_at_s = time.monotonic() + _RETRY_S / 2

    def _let_go(self) -> None:
        stream, self._stream = self._stream, None
        if stream is None:
            return
        self._state.ints[shared.SOUNDING] = 0
        stream.cut()
        self._clock.resume()
        self._is_stuck = not stream.close()
        self._must_rescan = True

    def _look(self) -> None:
        """Find the wanted device and open it, or come back later."""
        self._n_retries += 1
        pause_s = _RETRY_S if self._n_retries < _RETRIES_BEFORE_SLOW else _SLOW_RETRY_S
        try:
            if self._must_rescan:
                devices.rescan()
            self._must_rescan = True
            found = devices.find_outputs()
        except sd.PortAudioError as fault:
            _log.info("PortAudio does not start: %s", fault)
            found = []
        self._announce(found)
        device = self._choose(found)
        if device is not None:
            self._open(device)
        self._retry_at_s = time.monotonic() + pause_s

    def _announce(self, found: list[FoundDevice]) -> None:
        known = tuple(device.info for device in found)
        if known != self._known:
            self._known = known
            self._tell(DevicesChanged(known))

    def _choose(self, found: list[FoundDevice]) -> FoundDevice | None:
        if not found:
            self._say(
                "There is no sound card that can be played on: nothing can be heard.",
                remedy="Connect one, or export the sound; everything else works.",
            )
            return None
        device = next((device for device in found if device.info.id == self._wanted), None)
        if device is None and self._may_stand_in:
            device = found[0]
            if self._wanted is not None:
                self._say(
                    f"The audio device {self._wanted} is not there; playing on {device.info.name}.",
                    remedy="Connect it and choose it again.",
                )
        return device

    def _open(self, device: FoundDevice) -> None:
        self._clock.suspend()
        try:
            stream = DeviceStream(device, self._mixer, self._state)
        except (sd.PortAudioError, ValueError) as fault:
            self._clock.resume()
            _log.info("cannot open %s: %s", device.info.id, fault)
            self._say(
                f"The audio device {device.info.name} cannot be opened ({fault.args[0]}).",
                remedy="Close other programs that use it, or choose another device.",
            )
            return
        self._stream = stream
        self._last_notice = ""
        self._n_retries = 0
        self._state.floats[shared.LATENCY_S] = stream.latency_s
        self._state.ints[shared.SOUNDING] = 1
        _log.info("playing on %s at %d Hz, latency %.1f ms", device.info.id, stream.rate_hz, 1e3 * stream.latency_s)
        self._tell(DeviceOpened(device.info, stream.latency_s, stream.rate_hz))

    def _say(self, message: str, *, remedy: str) -> None:
        """Tell it once, not at every attempt."""
        if message != self._last_notice:
            self._last_notice = message
            self._tell(SoundNotice(message, remedy))
