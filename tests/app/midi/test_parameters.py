"""14-bit pairs and parameters, in whatever order their halves come."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.midi.messages import ControlChange
from app.midi.parameters import ChannelParameters, ControlValue, ParameterValue


def take_all(*pairs: tuple[int, int], single: frozenset[int] = frozenset()) -> list[ControlValue | ParameterValue]:
    parameters = ChannelParameters(single)
    taken = [parameters.take(ControlChange(0.0, 2, number, value)) for number, value in pairs]
    return [value for value in taken if value is not None]


def controls(*pairs: tuple[int, int], single: frozenset[int] = frozenset()) -> list[tuple[int, float]]:
    return [(v.number, v.amount) for v in take_all(*pairs, single=single) if isinstance(v, ControlValue)]


def test_seven_bits_reach_both_ends() -> None:
    assert controls((1, 0), (1, 127), (74, 127), (33, 0)) == [(1, 0.0), (1, 1.0), (74, 1.0), (1, 127 * 128 / 16383)]


def test_fourteen_bits_reach_both_ends_and_rest_in_the_middle() -> None:
    assert controls((1, 0), (33, 0), (1, 127), (33, 127))[-1] == (1, 1.0)
    (_, middle) = take_all((1, 64), (33, 0))
    assert isinstance(middle, ControlValue)
    assert middle.amount == middle.centre
    (coarse,) = take_all((10, 64))
    assert isinstance(coarse, ControlValue)
    assert coarse.amount == coarse.centre


def test_a_fine_half_of_its_own_is_a_control() -> None:
    assert controls((40, 127), single=frozenset({40})) == [(40, 1.0)]


@pytest.mark.parametrize(
    ("pairs", "expected"),
    [
        ([(101, 0), (100, 0), (6, 12)], [(True, 0, 12, 0)]),
        ([(100, 6), (101, 0), (6, 15)], [(True, 6, 15, 0)]),
        ([(101, 0), (100, 0), (6, 2), (38, 50)], [(True, 0, 2, 0), (True, 0, 2, 50)]),
        ([(99, 3), (98, 1), (6, 1), (96, 0), (97, 0), (97, 0)],
         [(False, 385, 1, 0), (False, 385, 1, 1), (False, 385, 1, 0), (False, 385, 0, 127)]),
        ([(101, 127), (100, 127), (6, 12), (38, 1)], []),
        ([(101, 0), (100, 0), (101, 127), (100, 127), (6, 1)], []),
    ],
)  # fmt: skip
def test_parameters(pairs: list[tuple[int, int]], expected: list[tuple[bool, int, int, int]]) -> None:
    found = [value for value in take_all(*pairs) if isinstance(value, ParameterValue)]
    assert [(v.is_registered, v.number, v.coarse, v.fine) for v in found] == expected


@given(st.lists(st.tuples(st.integers(0, 127), st.integers(0, 127))))
def test_any_changes_stay_in_range(pairs: list[tuple[int, int]]) -> None:
    for value in take_all(*pairs):
        assert 0.0 <= value.amount <= 1.0
        if isinstance(value, ParameterValue):
            assert 0 <= value.number < 0x3FFF
            assert 0 <= value.coarse <= 127
            assert 0 <= value.fine <= 127
