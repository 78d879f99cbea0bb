"""Hypothesis strategies for passages that are as odd as the format allows, and as short as tests need."""

from __future__ import annotations

from hypothesis import strategies as st

from app.state.passage import INTERPOLATIONS, Lane, Note, Passage, Tempo, Voice, lane_range
from app.state.preset import Preset
from synth.spec.lanes import LANE_IDS, TECHNIQUES

DURATION_S = 6.0


def times(end_s: float = DURATION_S) -> st.SearchStrategy[float]:
    return st.floats(0.0, end_s, allow_subnormal=False).map(lambda t_s: round(t_s, 4))


@st.composite
def lanes(draw: st.DrawFn, lane_id: str) -> Lane:
    low, high = lane_range(lane_id)
    at_s = sorted(draw(st.sets(times(), min_size=1, max_size=6)))
    values = draw(st.lists(st.floats(low, high, width=32), min_size=len(at_s), max_size=len(at_s)))
    return Lane(tuple(zip(at_s, values, strict=True)), draw(st.sampled_from(INTERPOLATIONS)))


@st.composite
def notes(draw: st.DrawFn) -> Note:
    start_s = draw(times(DURATION_S - 0.05))
    length_s = draw(st.floats(0.01, max(DURATION_S - start_s, 0.02)).map(lambda s: round(s, 4)))
    return Note(
        start_s,
        min(length_s, DURATION_S - start_s),
        draw(st.floats(24.0, 96.0)),
        draw(st.integers(1, 127)),
        draw(st.sampled_from([None, *TECHNIQUES])),
    )


@st.composite
def voices(draw: st.DrawFn) -> Voice:
    ids = draw(st.sets(st.sampled_from([*LANE_IDS, "adapter.ab12.middle"]), max_size=5))
    return Voice(
        name=draw(st.sampled_from(["Alt", "Stimme ä", "声"])),
        preset=draw(st.sampled_from([None, "growl"])),
        seed=draw(st.integers(0, 2**63 - 1)),
        notes=tuple(draw(st.lists(notes(), max_size=6))),
        lanes={lane_id: draw(lanes(lane_id)) for lane_id in sorted(ids)},
        gain_db=draw(st.floats(-96.0, 24.0)),
        pan=draw(st.floats(-1.0, 1.0)),
    )


@st.composite
def passages(draw: st.DrawFn, n_voices: int = 2) -> Passage:
    return Passage(
        DURATION_S,
        Tempo(((0.0, 90.0), (2.5, draw(st.floats(5.0, 1000.0)))), ((0.0, 3, 4),)),
        tuple(draw(st.lists(voices(), min_size=1, max_size=n_voices))),
        draw(st.dictionaries(st.text(max_size=5), st.integers() | st.text(max_size=5) | st.none(), max_size=2)),
    )


def presets() -> st.SearchStrategy[Preset]:
    return st.builds(
        lambda attack_s, release_s, weight: Preset(
            id="odd", name="Odd", attack_s=attack_s, release_s=release_s, technique={"modal": weight, "fry": 1 - weight}
        ),
        st.sampled_from([0.0, 0.03, 0.4, 2.0]),
        st.sampled_from([0.0, 0.1, 0.9, 3.0]),
        st.floats(0.0, 1.0),
    )
