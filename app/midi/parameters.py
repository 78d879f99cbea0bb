"""Control changes that belong together: 14-bit pairs, registered and non-registered parameters.

After MIDI 1.0 Detailed Specification 4.2 (controllers 0-31 are the coarse half of 32-63; 98-101 choose the parameter
that 6, 38, 96 and 97 then set; 127/127 chooses none).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from app.midi.messages import ControlChange

BEND_SENSITIVITY: Final = 0  # registered parameters
MPE_CONFIGURATION: Final = 6

_DATA_COARSE: Final = 6
_DATA_FINE: Final = 38
_INCREMENT: Final = 96
_DECREMENT: Final = 97
_NRPN_FINE: Final = 98
_NRPN_COARSE: Final = 99
_RPN_FINE: Final = 100
_RPN_COARSE: Final = 101
_NONE: Final = 0x3FFF
_MAX_7: Final = 127
_MAX_14: Final = 0x3FFF
_CENTRE_7: Final = 64 / _MAX_7
_CENTRE_14: Final = 0x2000 / _MAX_14


@dataclass(frozen=True, slots=True)
class ControlValue:
    """Where a control stands."""

    t_s: float
    channel: int
    number: int  # 0..127; of a 14-bit pair the coarse one
    amount: float  # 0..1
    centre: float = _CENTRE_7  # the amount a control with a detent rests at


@dataclass(frozen=True, slots=True)
class ParameterValue:
    """A registered or non-registered parameter was set."""

    t_s: float
    channel: int
    is_registered: bool
    number: int  # 0..16382
    coarse: int  # 0..127
    fine: int  # 0..127

    @property
    def amount(self) -> float:
        """0..1; a controller that only sends the coarse half reaches 1 as well."""
        if self.fine == 0:
            return self.coarse / _MAX_7
        return (self.coarse << 7 | self.fine) / _MAX_14


@dataclass(slots=True)
class _Channel:
    coarse: bytearray
    is_fine: bytearray  # 1 where a fine half has been seen
    selected_coarse: int = _MAX_7
    selected_fine: int = _MAX_7
    is_registered: bool = True
    data_coarse: int = 0
    data_fine: int = 0


class ChannelParameters:
    """Follows the control changes of 16 channels. Never raises for any message; constant memory.

    A control counts as 7-bit, 127 being its end, until its fine half is seen once. A number of 32-63 that stands in
    `single` is a control of its own, as on many knob boxes.
    """

    def __init__(self, single: frozenset[int] = frozenset()) -> None:
        self.single = single
        self._channels = [_Channel(bytearray(32), bytearray(32)) for _ in range(16)]

    def take(self, message: ControlChange) -> ControlValue | ParameterValue | None:
        """What the message says once its partners are counted in; None where it only prepares what follows."""
        number, value = message.number, message.value
        state = self._channels[message.channel & 0x0F]
        if number in (_NRPN_FINE, _NRPN_COARSE, _RPN_FINE, _RPN_COARSE):
            state.is_registered = number >= _RPN_FINE
            if number in (_NRPN_FINE, _RPN_FINE):
                state.selected_fine = value
            else:
                state.selected_coarse = value
            state.data_coarse = state.data_fine = 0
            return None
        if number in (_DATA_COARSE, _DATA_FINE, _INCREMENT, _DECREMENT):
            selected = state.selected_coarse << 7 | state.selected_fine
            if selected != _NONE:
                return self._parameter(state, message, selected)
        return self._control(state, message)

    def reset(self, channel: int) -> None:
        """What reset-all-controllers does here: no parameter is chosen."""
        state = self._channels[channel]
        state.selected_coarse = state.selected_fine = _MAX_7

    def _parameter(self, state: _Channel, message: ControlChange, selected: int) -> ParameterValue:
        match message.number:
            case 6:
                state.data_coarse, state.data_fine = message.value, 0
            case 38:
                state.data_fine = message.value
            case number:
                step = 1 if number == _INCREMENT else -1
                whole = min(max((state.data_coarse << 7 | state.data_fine) + step, 0), _MAX_14)
                state.data_coarse, state.data_fine = whole >> 7, whole & 0x7F
        return ParameterValue(
            message.t_s, message.channel, state.is_registered, selected, state.data_coarse, state.data_fine
        )

    def _control(self, state: _Channel, message: ControlChange) -> ControlValue:
        t_s, channel, number, value = message.t_s, message.channel, message.number, message.value
        if 32 <= number < 64 and number not in self.single:
            number -= 32
            state.is_fine[number] = 1
            whole = state.coarse[number] << 7 | value
            return ControlValue(t_s, channel, number, whole / _MAX_14, _CENTRE_14)
        if number < 32:
            state.coarse[number] = value
            if state.is_fine[number]:  # the specification: a coarse half alone means fine = 0
                return ControlValue(t_s, channel, number, (value << 7) / _MAX_14, _CENTRE_14)
        return ControlValue(t_s, channel, number, value / _MAX_7)
