"""A voice that is listened to, as window and command line choose it and see how it goes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol

from app.live.voice_in.messages import (
    FromListener,
    InputDevice,
    InputsFound,
    ListeningBegan,
    ListeningEnded,
    ListeningNotice,
)
from app.services.events import DevicesChanged, Event, Notice
from synth.errors import UserError

if TYPE_CHECKING:
    from app.live.voice_in.host import VoiceIn
    from app.live.voice_in.ring import VoiceInState

LEAST_SENSITIVITY_DB: Final = -40.0
MOST_SENSITIVITY_DB: Final = 40.0


class VoiceInLike(Protocol):
    """What a window needs of it; every method returns at once."""

    def look(self) -> None:
        """Look for inputs; `DevicesChanged` follows from the instrument's poll(). Opens no microphone."""
        ...

    def inputs(self) -> tuple[InputDevice, ...]:
        """Those there were when last looked for, the system's default first."""
        ...

    def choose(self, device_id: str | None) -> None:
        """Listen to this input, now or as soon as it is there; None: to none."""
        ...

    def listen_to_file(self, path: Path) -> None:
        """Once, as if it were sung now."""
        ...

    def set_sensitivity(self, gain_db: float) -> None: ...

    @property
    def sensitivity_db(self) -> float: ...

    @property
    def chosen(self) -> str | None:
        """The input that was chosen, there or not; a file's name."""
        ...

    def state(self) -> VoiceInState:
        """How it goes. Cheap: call it at 60 Hz."""
        ...


class VoiceInControl:
    """Fulfils `VoiceInLike` over a live engine. Main thread."""

    def __init__(self, voice_in: VoiceIn) -> None:
        self._voice_in = voice_in
        self._sensitivity_db = 0.0

    def look(self) -> None:
        self._voice_in.look_for_inputs()

    def inputs(self) -> tuple[InputDevice, ...]:
        return self._voice_in.devices

    def choose(self, device_id: str | None) -> None:
        self._voice_in.listen(device_id=device_id)

    def listen_to_file(self, path: Path) -> None:
        self._voice_in.listen(path=path)

    def set_sensitivity(self, gain_db: float) -> None:
        self._sensitivity_db = min(max(gain_db, LEAST_SENSITIVITY_DB), MOST_SENSITIVITY_DB)
        self._voice_in.set_sensitivity(self._sensitivity_db)

    @property
    def sensitivity_db(self) -> float:
        return self._sensitivity_db

    @property
    def chosen(self) -> str | None:
        wanted = self._voice_in.wanted
        return wanted.device_id if wanted.path is None else wanted.path.name

    def state(self) -> VoiceInState:
        return self._voice_in.state()

    def poll(self) -> list[Event]:
        """What happened, in words."""
        return [event for news in self._voice_in.poll() for event in _events(news)]


def chosen_input(inputs: tuple[InputDevice, ...], wanted: str) -> InputDevice:
    """The input whose id or name contains `wanted`, an exact one first. Raises UserError with those there are."""
    for device in inputs:
        if wanted in (device.id, device.name):
            return device
    for device in inputs:
        if wanted.lower() in device.id.lower():
            return device
    if not inputs:
        raise UserError("There is no sound input here.", remedy="Connect a microphone, or give a file.")
    raise UserError(
        f"No sound input is called {wanted!r}.", remedy=f"There are: {', '.join(each.id for each in inputs)}."
    )


def _events(news: FromListener) -> list[Event]:
    match news:
        case InputsFound():
            return [DevicesChanged()]
        case ListeningBegan(name, rate_hz, input_ms):
            return [Notice(f"Listening to {name} at {rate_hz / 1000.0:g} kHz, {input_ms:.1f} ms late.")]
        case ListeningEnded(name, is_waiting):
            if is_waiting:
                return [Notice(f"The voice input {name} has gone.", "It is used again once it is back.")]
            return [Notice(f"{name} is over.")]
        case ListeningNotice(message, remedy):
            return [Notice(message, remedy)]
