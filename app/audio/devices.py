"""Output devices as PortAudio sees them. Only the sound server and the probe, in processes of their own, import this.

PortAudio looks for devices once, when it is initialised; `rescan` initialises it again and must not run while a
stream is open. Any call may take seconds where a driver hangs.
"""

from __future__ import annotations

import contextlib
import os
import sys
from dataclasses import dataclass

import sounddevice as sd

from app.audio.messages import DeviceInfo
from synth.spec.audio import SAMPLE_RATE_HZ


@dataclass(frozen=True, slots=True)
class FoundDevice:
    """A device and PortAudio's index of it, which holds until the next rescan()."""

    info: DeviceInfo
    index: int


def rescan() -> None:
    """Let PortAudio look again."""
    # The only way: sounddevice has no public call for it, and its documentation names these two.
    with contextlib.suppress(sd.PortAudioError):
        sd._terminate()
    sd._initialize()


def find_outputs() -> list[FoundDevice]:
    """Every output device, the system's default first."""
    host_apis = sd.query_hostapis()
    default = _default_index()
    found: list[FoundDevice] = []
    for index, device in enumerate(sd.query_devices()):
        if device["max_output_channels"] < 1:
            continue
        host_api = str(host_apis[device["hostapi"]]["name"])
        info = DeviceInfo(
            id=f"{host_api}: {device['name']}",
            name=str(device["name"]),
            host_api=host_api,
            n_channels=int(device["max_output_channels"]),
            default_rate_hz=float(device["default_samplerate"]),
            latency_s=float(device["default_low_output_latency"]),
            is_default=index == default,
        )
        found.append(FoundDevice(info, index))
    return sorted(found, key=lambda device: not device.info.is_default)


def stream_rate_hz(device: FoundDevice) -> int:
    """48 kHz where the device does it, else its own default."""
    try:
        sd.check_output_settings(
            device.index, channels=min(device.info.n_channels, 2), dtype="float32", samplerate=SAMPLE_RATE_HZ
        )
    except sd.PortAudioError:
        return round(device.info.default_rate_hz)
    return SAMPLE_RATE_HZ


def silence_libraries() -> None:
    """Send what C libraries write on stderr nowhere: ALSA and JACK complain about every device that is not there.

    Python's own stderr stays. For a process that looks for devices again and again; call it once.
    """
    sys.stderr.flush()
    kept = os.dup(2)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    os.close(nowhere)
    # It stays open as long as the process lives, and stands for no path.
    sys.stderr = open(kept, "w", buffering=1, encoding="utf-8", errors="backslashreplace")  # noqa: SIM115, PTH123


def _default_index() -> int:
    """The default host API's default output, else the first host API's that has one; -1 = there is none."""
    default = int(sd.default.device[1])
    if default >= 0:
        return default
    host_api = sd.default.hostapi
    apis = sd.query_hostapis()
    ordered = [apis[host_api], *apis] if 0 <= host_api < len(apis) else list(apis)
    return next((i for i in (int(api["default_output_device"]) for api in ordered) if i >= 0), -1)
