"""What the machine can play on, found out in a process of its own so that a driver that hangs cannot hang us."""

from __future__ import annotations

import multiprocessing
import os
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Final

from app.audio.messages import DeviceInfo

PROBE_LIMIT_S: Final = 10.0


@dataclass(frozen=True, slots=True)
class HostApi:
    """One way PortAudio reaches devices: ALSA, JACK, Core Audio, WASAPI ..."""

    name: str
    n_devices: int
    default_output: str  # device name, "" where there is none


@dataclass(frozen=True, slots=True)
class AudioReport:
    """What was found. `problem` is empty when PortAudio loaded and answered; then the rest says how things stand."""

    problem: str = ""
    remedy: str = ""
    portaudio_version: str = ""
    sounddevice_version: str = ""
    host_apis: tuple[HostApi, ...] = ()
    outputs: tuple[DeviceInfo, ...] = ()

    @property
    def default_output(self) -> DeviceInfo | None:
        """The device that plays when none is chosen."""
        return next((device for device in self.outputs if device.is_default), None)


def probe_devices(limit_s: float = PROBE_LIMIT_S) -> AudioReport:
    """List host APIs, output devices, versions and latencies. Never raises, never takes longer than the limit."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=_probe, args=(theirs,), name="stridor-probe", daemon=True)
    try:
        process.start()
    except OSError as fault:
        return AudioReport(problem=f"The probe cannot be started ({fault}).", remedy="Close other programs.")
    theirs.close()
    try:
        if not ours.poll(limit_s):
            return AudioReport(
                problem=f"The audio drivers did not answer within {limit_s:g} s.",
                remedy="Unplug audio devices one by one, or restart the sound service.",
            )
        return ours.recv()
    except EOFError:
        process.join()
        return AudioReport(
            problem=f"An audio driver crashed while devices were listed (exit status {process.exitcode}).",
            remedy="Update or remove the driver; `stridor render` works without it.",
        )
    finally:
        ours.close()
        process.kill()
        process.join()
        process.close()


def _probe(connection: Connection) -> None:
    """The child's work."""
    connection.send(_report())
    connection.close()
    os._exit(0)  # PortAudio's own tear-down may hang


def _report() -> AudioReport:
    try:
        import sounddevice as sd  # loads PortAudio and its drivers: in the child only

        from app.audio.devices import find_outputs
    except OSError as fault:
        return AudioReport(
            problem=f"PortAudio cannot be loaded ({fault}).",
            remedy="Install it; on Debian and Ubuntu: apt install libportaudio2.",
        )
    names = [str(device["name"]) for device in sd.query_devices()]
    host_apis = tuple(
        HostApi(
            name=str(api["name"]),
            n_devices=len(api["devices"]),
            default_output=names[api["default_output_device"]] if api["default_output_device"] >= 0 else "",
        )
        for api in sd.query_hostapis()
    )
    return AudioReport(
        portaudio_version=sd.get_portaudio_version()[1],
        sounddevice_version=sd.__version__,
        host_apis=host_apis,
        outputs=tuple(found.info for found in find_outputs()),
    )
