"""What the host and the listening process say to each other over their pipe: choices and news, never sound."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class InputDevice:
    """An input as people choose it."""

    id: str  # "ALSA: USB Microphone"
    name: str
    is_default: bool


@dataclass(frozen=True, slots=True)
class ListenTo:
    """From now on; a device as soon as it is there. Both None: to nothing."""

    device_id: str | None = None
    path: Path | None = None


@dataclass(frozen=True, slots=True)
class UseSensitivity:
    """Hear so much more quietly, and take it for so much louder."""

    gain_db: float


@dataclass(frozen=True, slots=True)
class LookForInputs:
    pass


ToListener = ListenTo | UseSensitivity | LookForInputs


@dataclass(frozen=True, slots=True)
class InputsFound:
    devices: tuple[InputDevice, ...]


@dataclass(frozen=True, slots=True)
class ListeningBegan:
    """name: what is listened to; input_ms: what its driver and its block add."""

    name: str
    rate_hz: float
    input_ms: float


@dataclass(frozen=True, slots=True)
class ListeningEnded:
    """The file is over, or the device has gone and is waited for."""

    name: str
    is_waiting: bool


@dataclass(frozen=True, slots=True)
class ListeningNotice:
    """Something a person can mend."""

    message: str
    remedy: str = ""


FromListener = InputsFound | ListeningBegan | ListeningEnded | ListeningNotice
