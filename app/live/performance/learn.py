"""MIDI learn: name a lane, move a control, and the two are bound.

    idle -> arm(lane) -> listening -> a control has moved far enough -> learnt, with a binding
                            |-> cancel(), or nothing came for TIMEOUT_S -> idle

The control that has moved most wins, so that a knob brushed on the way, a trembling potentiometer or the key that was
struck to hear something do not.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Final

from app.midi.messages import ControlChange, PitchBend, Pressure, StreamMessage
from app.midi.parameters import ChannelParameters, ControlValue, ParameterValue
from app.state.controller_profile import Binding, check_source
from app.state.passage import lane_range
from app.state.places import PlacedError
from app.state.response import LEVEL
from synth.errors import UserError

TIMEOUT_S: Final = 30.0
FAR: Final = 0.3  # of its travel, which a control must move to be meant
_FINE: Final = range(32, 64)
_PEDALS: Final = frozenset((64, 66))  # held while one reaches for a knob
_SLIDE: Final = 74


class LearnState(Enum):
    IDLE = "idle"
    LISTENING = "listening"
    LEARNT = "learnt"
    TIMED_OUT = "timed out"


@dataclass(slots=True)
class _Travel:
    low: float
    high: float
    n_messages: int = 1


class MidiLearn:
    """One learning at a time. One thread; messages still go to the performance as well."""

    def __init__(self) -> None:
        self.state = LearnState.IDLE
        self.lane: str | None = None
        self.binding: Binding | None = None
        self._armed_s = 0.0
        self._travels: dict[str, _Travel] = {}
        self._parameters = ChannelParameters()
        self._zone_channels: frozenset[int] = frozenset()
        self._last_coarse: dict[int, int] = {}  # channel -> the control 0-31 that moved last

    def arm(self, lane: str, t_s: float, *, zone_channels: frozenset[int] = frozenset()) -> None:
        """Listen for a control for `lane`. Raises UserError for an unknown lane.

        zone_channels   channels of the MPE zones in force: their pressure, slide and bend are those of notes
        """
        try:
            lane_range(lane)
        except PlacedError as fault:
            raise UserError(f"{lane!r} cannot be played: {fault.problem}", remedy=fault.remedy) from fault
        self.state, self.lane, self.binding = LearnState.LISTENING, lane, None
        self._armed_s = t_s
        self._travels.clear()
        self._last_coarse.clear()
        self._zone_channels = zone_channels

    def cancel(self) -> None:
        """Stop listening. Idempotent."""
        self.state, self.lane, self.binding = LearnState.IDLE, None, None

    def advance(self, t_s: float) -> LearnState:
        """Let time pass -> the state."""
        if self.state is LearnState.LISTENING and t_s - self._armed_s > TIMEOUT_S:
            self.state = LearnState.TIMED_OUT
        return self.state

    def take(self, message: StreamMessage) -> Binding | None:
        """Take up a message -> the binding, once it is learnt."""
        if self.state is not LearnState.LISTENING or self.advance(message.t_s) is not LearnState.LISTENING:
            return None
        moved = self._moved(message)
        if moved is None:
            return None
        source, amount = moved
        if not _can_be_bound(source) or (source == "pitch_bend" and self.lane == "bend"):
            return None
        travel = self._travels.setdefault(source, _Travel(amount, amount, 0))
        travel.low, travel.high = min(travel.low, amount), max(travel.high, amount)
        travel.n_messages += 1
        is_button = travel.n_messages == 1 and amount == 1.0 and source.startswith("cc")  # it sends its end, at once
        if travel.high - travel.low < FAR and not is_button:
            return None
        spans = {name: travel.high - travel.low for name, travel in self._travels.items()}
        furthest = source if is_button else max(spans, key=spans.__getitem__)
        self.binding = binding_for(furthest, self.lane or "")
        self.state = LearnState.LEARNT
        return self.binding

    def _moved(self, message: StreamMessage) -> tuple[str, float] | None:
        match message:
            case PitchBend(amount=amount):
                return "pitch_bend", (amount + 1.0) / 2.0
            case Pressure(channel=channel, value=value, note=note):
                if note is not None:
                    return "poly_pressure", value / 127.0
                return ("mpe_pressure" if channel in self._zone_channels else "channel_pressure"), value / 127.0
            case ControlChange(channel=channel, number=number, value=value):
                if number in _PEDALS:
                    return None
                if number == _SLIDE and channel in self._zone_channels:
                    return "mpe_slide", value / 127.0
                if number in _FINE and self._last_coarse.get(channel) != number - 32:
                    return f"cc{number}", value / 127.0  # a knob of its own, not the fine half of another
                match self._parameters.take(message):
                    case ControlValue() as control:
                        if number < 32:
                            self._last_coarse[channel] = number
                        return f"cc{control.number}", control.amount
                    case ParameterValue(is_registered=False) as parameter:
                        return f"nrpn{parameter.number}", parameter.amount
            case _:
                pass
        return None


def binding_for(source: str, lane: str) -> Binding:
    """A binding with the ranges that suit the lane: its whole range, or what is added to it."""
    low, high = lane_range(lane)
    if lane == "loudness":
        return Binding(source, lane, -60.0, 0.0, mode="offset", curve=LEVEL)
    if lane == "bend":
        return Binding(source, lane, -2.0, 2.0, mode="offset", polarity="bipolar")
    if source == "mpe_slide" or source == "pitch_bend":
        return Binding(source, lane, low - high, high - low, mode="offset", polarity="bipolar")
    if source in ("mpe_pressure", "poly_pressure", "channel_pressure"):
        return Binding(source, lane, 0.0, high - low, mode="offset")
    return Binding(source, lane, low, high, takeover="pickup")


def _can_be_bound(source: str) -> bool:
    try:
        check_source(source)
    except PlacedError:
        return False
    return True
