"""What the addresses under /stridor mean: messages become gestures and requests, commands become messages."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from app.live.performance.commands import (
    ALL_VOICES,
    Command,
    Kill,
    LoadPreset,
    OffsetLane,
    Release,
    SetLane,
    Silence,
    StartVoice,
)
from app.live.performance.gestures import (
    NETWORK,
    Gesture,
    KeyBent,
    KeyLane,
    KeyLifted,
    KeyPressed,
    LaneMoved,
    PanicAsked,
    ReleaseAsked,
)
from app.midi.clock import TempoChanged, TransportChanged
from app.osc.packet import OscMessage, OscValue
from app.state.passage import lane_range
from app.state.places import PlacedError
from synth.spec.lanes import LANE_IDS

ROOT: Final = "/stridor"
DEFAULT_PORT: Final = 9127
MAX_GAIN_DB: Final = 12.0
MIN_GAIN_DB: Final = -60.0
_LANE: Final = f"{ROOT}/lane/"
_PATTERN_SIGNS: Final = re.compile(r"[?*\[\]{}]")
_MAX_PATTERN: Final = 100
_MAX_STARS: Final = 3  # more would let a short pattern take long to match


@dataclass(frozen=True, slots=True)
class PresetAsked:
    t_s: float
    preset_id: str


@dataclass(frozen=True, slots=True)
class TransportAsked:
    t_s: float
    action: str  # start, stop, continue
    beat: float | None = None


@dataclass(frozen=True, slots=True)
class LevelAsked:
    t_s: float
    gain_db: float  # -60..12


@dataclass(frozen=True, slots=True)
class AnswerAsked:
    """The sender wants /stridor/pong."""

    t_s: float


@dataclass(frozen=True, slots=True)
class SubscriptionAsked:
    """The sender wants to hear what is played, at this port of its own; 0 ends it."""

    t_s: float
    port: int


Request = Gesture | PresetAsked | TransportAsked | LevelAsked | AnswerAsked | SubscriptionAsked


class _Refused(Exception):
    """The arguments do not fit the address."""


@dataclass(frozen=True, slots=True)
class Understood:
    """What a message asks for, and why nothing where it asks for nothing."""

    requests: tuple[Request, ...]
    fault: str = ""


def understand(message: OscMessage, t_s: float) -> Understood:
    """What an OSC message asks for at `t_s`. Never raises; address patterns speak to every address they match."""
    addresses = [message.address]
    if _PATTERN_SIGNS.search(message.address):
        addresses = _matching(message.address)
    requests: list[Request] = []
    fault = "" if addresses else f"{message.address}: no such address"
    for address in addresses:
        try:
            requests.append(_understand(address, message.arguments, t_s))
        except _Refused as refused:
            fault = f"{address}: {refused}"
    return Understood(tuple(requests), fault)


def spoken(command: Command) -> OscMessage | None:
    """What subscribers are told of a command; None for what is only between us and the engine."""
    match command:
        case StartVoice(voice=voice, note=note, velocity=velocity):
            return OscMessage(f"{ROOT}/voice/on", (voice, note, velocity))
        case Release(voice=voice) | Kill(voice=voice):
            return OscMessage(f"{ROOT}/voice/off", (voice,))
        case SetLane(voice=voice, lane=lane, value=value) if voice == ALL_VOICES:
            return OscMessage(f"{_LANE}{lane}", (value,))
        case OffsetLane(voice=voice, lane=lane, offset=offset) if voice == ALL_VOICES:
            return OscMessage(f"{ROOT}/offset/{lane}", (offset,))
        case Silence():
            return OscMessage(f"{ROOT}/panic")
        case LoadPreset(preset_id=str(preset_id)):
            return OscMessage(f"{ROOT}/preset", (preset_id,))
        case TempoChanged(bpm=bpm):
            return OscMessage(f"{ROOT}/tempo", (bpm,))
        case TransportChanged(is_running=is_running, beat=beat):
            return OscMessage(f"{ROOT}/transport", ("start" if is_running else "stop", beat))
        case _:
            return None


def meter(peak_db: float, latency_p95_ms: float, n_voices: int) -> OscMessage:
    """What subscribers are told of the output, a few times a second."""
    return OscMessage(f"{ROOT}/meter", (peak_db, latency_p95_ms, n_voices))


def _understand(address: str, arguments: tuple[OscValue, ...], t_s: float) -> Request:
    if address.startswith(_LANE):
        lane = _lane(address.removeprefix(_LANE))
        return LaneMoved(t_s, lane, _value(arguments, 0))
    method = _METHODS.get(address)
    if method is None:
        raise _Refused("no such address")
    return method(arguments, t_s)


def _note(arguments: tuple[OscValue, ...], t_s: float) -> Request:
    key, note, velocity = _integer(arguments, 0), _number(arguments, 1, 0, 127), _number(arguments, 2, 0, 127)
    if velocity == 0:
        return KeyLifted(t_s, NETWORK, key)
    return KeyPressed(t_s, NETWORK, key, note, velocity)


def _note_lane(arguments: tuple[OscValue, ...], t_s: float) -> Request:
    return KeyLane(t_s, NETWORK, _integer(arguments, 0), _lane(_text(arguments, 1)), _value(arguments, 2))


def _transport(arguments: tuple[OscValue, ...], t_s: float) -> Request:
    action = _text(arguments, 0)
    if action not in ("start", "stop", "continue"):
        raise _Refused(f"{action!r} where start, stop or continue belongs")
    return TransportAsked(t_s, action, _number(arguments, 1, 0, 1e9) if len(arguments) > 1 else None)


def _lane(lane: str) -> str:
    try:
        lane_range(lane)
    except PlacedError as fault:
        raise _Refused(f"{lane}: {fault.problem}") from fault
    if lane == "bend":
        raise _Refused(f"bend belongs to notes: use {ROOT}/note/bend")
    return lane


def _argument(arguments: tuple[OscValue, ...], index: int) -> OscValue:
    if index >= len(arguments):
        raise _Refused(f"argument {index + 1} is missing")
    return arguments[index]


def _number(arguments: tuple[OscValue, ...], index: int, low: float, high: float) -> float:
    value = _argument(arguments, index)
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
        raise _Refused(f"{value!r} where a number from {low:g} to {high:g} belongs")
    return float(value)


def _value(arguments: tuple[OscValue, ...], index: int) -> float | None:
    return None if _argument(arguments, index) is None else _number(arguments, index, -1e6, 1e6)


def _integer(arguments: tuple[OscValue, ...], index: int) -> int:
    value = _number(arguments, index, -(2.0**31), 2.0**31)
    if value != int(value):
        raise _Refused(f"{value:g} where a whole number belongs")
    return int(value)


def _text(arguments: tuple[OscValue, ...], index: int) -> str:
    value = _argument(arguments, index)
    if not isinstance(value, str) or len(value) > 200:
        raise _Refused(f"argument {index + 1} is not a short text")
    return value


_METHODS: Final[dict[str, Callable[[tuple[OscValue, ...], float], Request]]] = {
    f"{ROOT}/note": _note,
    f"{ROOT}/note/off": lambda arguments, t_s: KeyLifted(t_s, NETWORK, _integer(arguments, 0)),
    f"{ROOT}/note/bend": lambda arguments, t_s: KeyBent(
        t_s, NETWORK, _integer(arguments, 0), _number(arguments, 1, -12_000, 12_000)
    ),
    f"{ROOT}/note/lane": _note_lane,
    f"{ROOT}/preset": lambda arguments, t_s: PresetAsked(t_s, _text(arguments, 0)),
    f"{ROOT}/panic": lambda _, t_s: PanicAsked(t_s),
    f"{ROOT}/release": lambda _, t_s: ReleaseAsked(t_s),
    f"{ROOT}/transport": _transport,
    f"{ROOT}/level": lambda arguments, t_s: LevelAsked(t_s, _number(arguments, 0, MIN_GAIN_DB, MAX_GAIN_DB)),
    f"{ROOT}/ping": lambda _, t_s: AnswerAsked(t_s),
    f"{ROOT}/subscribe": lambda arguments, t_s: SubscriptionAsked(t_s, int(_number(arguments, 0, 0, 65_535))),
}
_ADDRESSES: Final = (*_METHODS, *(f"{_LANE}{lane}" for lane in LANE_IDS if lane != "bend"))


def _matching(pattern: str) -> list[str]:
    """The known addresses an OSC address pattern matches; signs do not reach beyond a slash."""
    if len(pattern) > _MAX_PATTERN or pattern.count("*") > _MAX_STARS:
        return []
    form, place = "", 0
    while place < len(pattern):
        sign = pattern[place]
        closing = {"[": "]", "{": "}"}.get(sign)
        end = pattern.find(closing, place) if closing else -1
        inner = pattern[place + 1 : end] if end > 0 else ""
        if sign == "[" and inner.strip("!"):
            negation = "^" if inner[0] == "!" else ""
            form += f"[{negation}{re.escape(inner.lstrip('!')).replace(chr(92) + '-', '-')}]"
            place = end
        elif sign == "{" and end > 0:
            form += "(?:" + "|".join(re.escape(choice) for choice in inner.split(",")) + ")"
            place = end
        else:
            form += {"?": "[^/]", "*": "[^/]*"}.get(sign, re.escape(sign))
        place += 1
    try:
        matcher = re.compile(form)
    except re.error:  # a range that runs backwards
        return []
    return [address for address in _ADDRESSES if matcher.fullmatch(address)]
