"""How often each clip is drawn in training, so that little material is heard beside much.

First the two kinds: recorded voice gets `real_fraction` of all draws however many hours are simulated. Within a kind
the draws are shared out level by level, between techniques, between the collections of a technique, between the labels
of a collection, and at last between clips by their length. At each level a part with T seconds gets T ** (1 - balance):
with `balance` 0 everything is drawn as often as there is of it, with 1 all techniques (and all collections, labels)
alike. Between lies what training uses, 0.5: a label with a quarter of the material is drawn half as often, so that 20 s
of consonants are not lost in 8 minutes of phrases, nor a small collection in a large one.

No clip is drawn more than MAX_BOOST times as often as its length alone would have it, for what is repeated endlessly
is learnt by heart. The augmented versions of recordings together are drawn as often as the recordings themselves.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from synth.corpus.manifest import ClipRecord, Kind
from synth.spec import TECHNIQUES

MAX_BOOST: Final = 12.0
_LEVELS: Final[tuple[Callable[[ClipRecord], str], ...]] = (
    lambda record: max(TECHNIQUES, key=lambda name: record.technique.get(name, 0.0)),
    lambda record: record.collection,
    lambda record: record.label,
)


def draw_chances(records: Sequence[ClipRecord], real_fraction: float, balance: float) -> NDArray[np.float64]:
    """The probability of each clip in one draw, [n_clips], sum 1. Where only one kind is there, it gets everything."""
    shares: dict[Kind, float] = {"real": real_fraction, "simulated": 1.0 - real_fraction}
    of_kind = {kind: [i for i, record in enumerate(records) if record.kind == kind] for kind in shares}
    chances = np.zeros(len(records))
    for kind, share in shares.items():
        members = of_kind[kind]
        if not members:
            continue
        others = sum(other for name, other in shares.items() if not of_kind[name])
        weights_s = _weights_s([records[i] for i in members])
        chances[members] = (share + others) * _within_kind([records[i] for i in members], weights_s, balance)
    return chances


def _weights_s(records: Sequence[ClipRecord]) -> NDArray[np.float64]:
    """Durations, those of augmented versions scaled so that together they weigh no more than the originals."""
    duration_s = np.array([record.duration_s for record in records])
    is_variant = np.array([bool(record.variant) for record in records])
    original_s, variant_s = duration_s[~is_variant].sum(), duration_s[is_variant].sum()
    if variant_s > original_s > 0.0:
        duration_s[is_variant] *= original_s / variant_s
    return duration_s


def _within_kind(records: Sequence[ClipRecord], weights_s: NDArray[np.float64], balance: float) -> NDArray[np.float64]:
    chances = np.zeros(len(records))
    _share_out(records, weights_s, np.arange(len(records)), 1.0, balance, _LEVELS, chances)
    return _capped(chances, MAX_BOOST * weights_s / weights_s.sum())


def _share_out(
    records: Sequence[ClipRecord],
    weights_s: NDArray[np.float64],
    members: NDArray[np.int64],
    share: float,
    balance: float,
    levels: Sequence[Callable[[ClipRecord], str]],
    chances: NDArray[np.float64],
) -> None:
    """Give `share` to `members`, writing to `chances`."""
    if not levels:
        chances[members] = share * weights_s[members] / weights_s[members].sum()
        return
    parts: dict[str, list[int]] = {}
    for index in members:
        parts.setdefault(levels[0](records[index]), []).append(int(index))
    tempered = {name: float(weights_s[part].sum()) ** (1.0 - balance) for name, part in parts.items()}
    total = sum(tempered.values())
    for name, part in parts.items():
        of_part = share * tempered[name] / total
        _share_out(records, weights_s, np.array(part), of_part, balance, levels[1:], chances)


def _capped(chances: NDArray[np.float64], limit: NDArray[np.float64]) -> NDArray[np.float64]:
    """Cut off what is above `limit` and give it to the others in proportion; limit.sum() is above 1."""
    capped = np.zeros(len(chances), dtype=np.bool_)
    while (over := (chances > limit * (1.0 + 1e-9)) & ~capped).any():
        capped |= over
        free = 1.0 - limit[capped].sum()
        chances = np.where(capped, limit, chances * free / chances[~capped].sum())
    return chances
