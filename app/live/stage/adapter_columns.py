"""Which adapter's strengths lie in which columns of a row of lanes. Performer's side.

A preset, a fader or a control that names an adapter wants it; the live sampler loads it beside what it sings, and says
so in shared memory. Nothing waits: a strength that stands in a column before its adapter is there is sung as 0.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from typing import Final

from app.live.stage.memory import N_ADAPTERS, N_LANES, StageMemory
from app.state.preset_parts import REGIONS
from synth.spec.controls import Float32Array
from synth.spec.lanes import is_adapter_lane

FREE: Final = 0
_BY_CONTENT: Final = re.compile(r"[0-9a-f]{16}")
_SIGN: Final = 1 << 63


class AdapterColumns:
    """Hands out columns; who wants more than there are takes those of adapters that nobody sings with. One thread."""

    def __init__(self, memory: StageMemory) -> None:
        self._memory = memory
        self._ids = [""] * N_ADAPTERS
        self._wanted_at = [0] * N_ADAPTERS
        self._wishes = 0
        self.version = 0  # grows when columns change hands

    def want(self, adapter_ids: Iterable[str], spared: Collection[str] = ()) -> None:
        """Have these loaded, as far as there is room; ask again for those that failed.

        spared   adapters that must keep their columns though no voice sings with them now
        """
        wanted = [adapter_id for adapter_id in adapter_ids if _BY_CONTENT.fullmatch(adapter_id)]
        kept = {*wanted[:N_ADAPTERS], *spared}
        for adapter_id in wanted[:N_ADAPTERS]:
            place = self._place(adapter_id)
            if place is None:
                place = self._free_place(kept)
                if place is None:
                    return
                self._give(place, adapter_id)
            elif self._memory.adapter_failed[place] == self._memory.adapter_asked[place]:
                self._memory.adapter_asked[place] += 1
            self._wishes += 1
            self._wanted_at[place] = self._wishes

    def is_loaded(self, adapter_id: str) -> bool:
        """Whether the sampler sings with it."""
        place = self._place(adapter_id)
        return place is not None and self._memory.adapter_loaded[place] == self._memory.adapter_asked[place]

    def has_failed(self, adapter_id: str) -> bool:
        """Whether it cannot be had: the sampler has said why, or there is no room or no such name."""
        place = self._place(adapter_id)
        return place is None or self._memory.adapter_failed[place] == self._memory.adapter_asked[place]

    def index(self, lane_id: str) -> int | None:
        """Place of an adapter's lane in a row, None where its adapter has no column."""
        _, adapter_id, region = lane_id.split(".")
        place = self._place(adapter_id)
        return None if place is None else N_LANES + len(REGIONS) * place + REGIONS.index(region)

    def fill(self, strengths: Mapping[str, float], row: Float32Array) -> None:
        """Put lane -> strength into the columns of `row` [N_ROW, ...]; all others are 0."""
        row[N_LANES:] = 0.0
        for lane_id, strength in strengths.items():
            index = self.index(lane_id)
            if index is not None:
                row[index] = strength

    def has_place(self, adapter_id: str) -> bool:
        """Whether it is wanted already."""
        return self._place(adapter_id) is not None

    def _place(self, adapter_id: str) -> int | None:
        return self._ids.index(adapter_id) if adapter_id and adapter_id in self._ids else None

    def _free_place(self, kept: Collection[str]) -> int | None:
        """A column without an owner, else the one whose adapter was wanted least recently and is not sung with."""
        memory = self._memory
        sounding = memory.lanes[memory.serial > 0]
        for place in sorted(range(N_ADAPTERS), key=lambda at: (self._ids[at] != "", self._wanted_at[at])):
            first = N_LANES + len(REGIONS) * place
            if self._ids[place] not in kept and not sounding[:, first : first + len(REGIONS)].any():
                return place
        return None

    def _give(self, place: int, adapter_id: str) -> None:
        memory = self._memory
        memory.adapter_id[place] = FREE  # a sampler that looks now finds nothing to do
        memory.adapter_asked[place] += 1
        memory.adapter_id[place] = stored_id(adapter_id)
        self._ids[place] = adapter_id
        self.version += 1


def adapters_of(lane_ids: Iterable[str]) -> list[str]:
    """The adapters that some of these lanes belong to, each once."""
    return list(dict.fromkeys(lane_id.split(".")[1] for lane_id in lane_ids if is_adapter_lane(lane_id)))


def stored_id(adapter_id: str) -> int:
    """An adapter's name, 16 digits, as the signed number that stands for it in shared memory."""
    number = int(adapter_id, 16)
    return number - 2 * _SIGN if number >= _SIGN else number


def named_id(stored: int) -> str:
    """The name of an adapter from shared memory."""
    return f"{stored % (2 * _SIGN):016x}"
