"""Where MIDI comes from: RtMidi through mido, and JACK. Used by the MIDI process only.

JACK's own events carry the frame they belong to; RtMidi's JACK input drops it, so JACK is read with the JACK-Client
package, and through RtMidi only where that package or libjack cannot be loaded.
"""

from __future__ import annotations

import importlib
import logging
import re
import time
from collections.abc import Callable
from typing import Any, Final, Protocol

import mido

_log = logging.getLogger(__name__)

JACK_PREFIX: Final = "JACK: "
_ALSA_ADDRESS: Final = re.compile(r" \d+:\d+$")  # changes whenever the controller is plugged in again

OnBytes = Callable[[bytes, float], None]


class Source(Protocol):
    """One system's MIDI inputs. Nothing here raises for a system or a controller that is absent."""

    def names(self) -> list[str]:
        """Inputs that can be opened now, as shown to people."""
        ...

    def open(self, name: str, on_bytes: OnBytes) -> bool:
        """Hand every message of this input, with its time.monotonic() time, to `on_bytes` -> whether it is open."""
        ...

    def close(self) -> None:
        """Stop listening. Idempotent."""
        ...


class RtMidiSource:
    """The inputs of one RtMidi API. Messages are stamped when they arrive."""

    def __init__(self, api: str, prefix: str = "") -> None:
        """api   RtMidi's name, such as LINUX_ALSA"""
        self._backend: Any = mido.Backend(f"mido.backends.rtmidi/{api}")
        self._prefix = prefix
        self._ports: dict[str, str] = {}
        self._open_port: Any = None

    def names(self) -> list[str]:
        try:
            ports = self._backend.get_input_names()
        except (OSError, ValueError) as fault:  # no ALSA sequencer, no JACK server
            _log.debug("no MIDI inputs: %s", fault)
            ports = []
        self._ports = {self._prefix + _ALSA_ADDRESS.sub("", port): port for port in reversed(ports)}
        return list(reversed(self._ports))

    def open(self, name: str, on_bytes: OnBytes) -> bool:
        self.close()
        port = self._ports.get(name)
        if port is None:
            return False
        try:
            self._open_port = self._backend.open_input(
                port, callback=lambda message: on_bytes(bytes(message.bytes()), time.monotonic())
            )
        except (OSError, ValueError) as fault:
            _log.info("cannot open %s: %s", port, fault)
            return False
        return True

    def close(self) -> None:
        port, self._open_port = self._open_port, None
        if port is not None:
            try:
                port.close()
            except OSError as fault:  # it went while it was open
                _log.info("closing %s: %s", port, fault)


class JackSource:
    """JACK's MIDI outputs, read with frame-accurate time stamps. Survives a server that goes and comes."""

    def __init__(self) -> None:
        """Raises OSError or ImportError where libjack or the package is missing."""
        import jack  # loads libjack

        self._jack: Any = jack
        self._client: Any = None
        self._input: Any = None
        self._on_bytes: OnBytes | None = None
        self._source = ""
        self._has_shut_down = False
        jack.set_error_function(lambda text: _log.debug("libjack: %s", text))
        jack.set_info_function(lambda text: _log.debug("libjack: %s", text))

    def names(self) -> list[str]:
        if not self._is_connected():
            return []
        try:
            ports = self._client.get_ports(is_midi=True, is_output=True)
        except self._jack.JackError as fault:
            _log.debug("no JACK MIDI ports: %s", fault)
            return []
        own = self._client.name + ":"
        return [JACK_PREFIX + port.name for port in ports if not port.name.startswith(own)]

    def open(self, name: str, on_bytes: OnBytes) -> bool:
        self.close()
        if not name.startswith(JACK_PREFIX) or not self._is_connected():
            return False
        self._source = name.removeprefix(JACK_PREFIX)
        self._on_bytes = on_bytes
        try:
            self._client.connect(self._source, self._input.name)
        except self._jack.JackError as fault:
            _log.info("cannot connect to %s: %s", self._source, fault)
            self._on_bytes = None
            return False
        return True

    def close(self) -> None:
        self._on_bytes = None
        if self._client is not None and self._source and not self._has_shut_down:
            try:
                self._client.disconnect(self._source, self._input.name)
            except self._jack.JackError as fault:  # its port has gone
                _log.debug("disconnecting: %s", fault)
        self._source = ""

    def _is_connected(self) -> bool:
        """Whether we are a client of a server, becoming one where there is one."""
        if self._has_shut_down:
            # Closing a client whose server was killed may hang; libjack has given up its resources anyway.
            self._client = self._input = None
            self._has_shut_down = False
            self._source = ""
        if self._client is None:
            try:
                client = self._jack.Client("Stridor MIDI", no_start_server=True)
            except self._jack.JackOpenError:
                return False
            client.set_shutdown_callback(self._on_shutdown)
            client.set_process_callback(self._process)
            self._input = client.midi_inports.register("in")
            client.activate()
            self._client = client
        return True

    def _on_shutdown(self, _status: Any, reason: str) -> None:
        _log.info("JACK has gone: %s", reason)
        self._has_shut_down = True

    def _process(self, _n_frames: int) -> None:
        """JACK's thread: stamp and pass on."""
        on_bytes, client = self._on_bytes, self._client
        if on_bytes is None or client is None:
            return
        now_s, now_frame = time.monotonic(), client.frame_time
        for offset, data in self._input.incoming_midi_events():
            ago_frames = now_frame - (client.last_frame_time + offset)
            on_bytes(bytes(data), now_s - ago_frames / client.samplerate)


def sources() -> list[Source]:
    """Every system this machine may have MIDI inputs in."""
    rtmidi: Any = importlib.import_module("rtmidi")  # here, so that the window process need not load it; no stubs
    names = {
        rtmidi.API_LINUX_ALSA: "LINUX_ALSA",
        rtmidi.API_MACOSX_CORE: "MACOSX_CORE",
        rtmidi.API_WINDOWS_MM: "WINDOWS_MM",
    }
    compiled = rtmidi.get_compiled_api()
    found: list[Source] = [RtMidiSource(name) for api, name in names.items() if api in compiled]
    try:
        found.append(JackSource())
    except (ImportError, OSError) as fault:
        _log.info("JACK MIDI through RtMidi: %s", fault)
        if rtmidi.API_UNIX_JACK in compiled:
            found.append(RtMidiSource("UNIX_JACK", prefix=JACK_PREFIX))
    return found
