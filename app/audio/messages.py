"""What the window's sound client and the sound server say to each other, and the events that come out of it.

Everything here is a frozen value without behaviour; positions are frames at 48 kHz.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class DeviceInfo:
    """An output device. `id` is made of names, so it still means the same device after a restart."""

    id: str
    name: str
    host_api: str  # ALSA, JACK, Core Audio, WASAPI ...
    n_channels: int
    default_rate_hz: float
    latency_s: float  # as the driver estimates it, for interactive use
    is_default: bool = False


# ---- events, as SoundClient.poll() hands them out


@dataclass(frozen=True, slots=True)
class DeviceOpened:
    """Sound comes out of `device` from now on, `latency_s` after it was mixed."""

    device: DeviceInfo
    latency_s: float
    rate_hz: float


@dataclass(frozen=True, slots=True)
class DeviceLost:
    """The output has gone. The playhead goes on, silently, and the server keeps looking for a device."""

    message: str


@dataclass(frozen=True, slots=True)
class DevicesChanged:
    """`SoundClient.devices()` differs from before."""

    devices: tuple[DeviceInfo, ...]


@dataclass(frozen=True, slots=True)
class SoundNotice:
    """Something the user should know, such as that there is no sound card; nothing is lost."""

    message: str
    remedy: str = ""


SoundEvent = DeviceOpened | DeviceLost | DevicesChanged | SoundNotice


@dataclass(frozen=True, slots=True)
class Serving:
    """The server has come up. For the supervisor; poll() does not hand it out."""


# ---- commands to the server


@dataclass(frozen=True, slots=True)
class SetClip:
    """Map this raw float32 stereo file of `n_frames` and cross-fade to it; None = no clip."""

    path: str | None
    n_frames: int


@dataclass(frozen=True, slots=True)
class PlayPreview:
    """Sound this raw float32 stereo file of `n_frames` once, beside everything else; None ends the one that sounds."""

    path: str | None
    n_frames: int


@dataclass(frozen=True, slots=True)
class SetTransport:
    """Play or pause, from `start_frame` (None = where it is), looping [loop_start, loop_end) when end > start.

    `serial` grows with each command; the server publishes the serial it has carried out.
    """

    serial: int
    playing: bool
    start_frame: int | None = None
    loop_start: int = 0
    loop_end: int = 0


@dataclass(frozen=True, slots=True)
class SelectDevice:
    """Open this device, or the system's default when None. `may_stand_in`: the default will do for an absent one."""

    device_id: str | None
    may_stand_in: bool = True


@dataclass(frozen=True, slots=True)
class Close:
    """Fade out, give the device back, end the process."""


Command = SetClip | PlayPreview | SetTransport | SelectDevice | Close
