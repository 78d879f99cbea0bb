"""play and live, on an instrument that follows a script."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from app.commands.live import choose_midi_input, perform
from app.commands.play import play_passage
from app.render.report import RenderReport
from app.services import (
    AudioChanged,
    EngineFailed,
    Event,
    MidiActivity,
    RenderFailed,
    RenderFinished,
    RenderProgress,
)
from app.state.passage import Passage
from synth.errors import UserError

PASSAGE = Passage(duration_s=10.0)
REPORT = RenderReport(
    "draft", "cpu", "hash", 10.0, 1, 13, 0, 0, 13, 13, 10.4, 0.0, 1.0, 0.5, 1.5, 0.3, 6.9, -6.0
)  # fmt: skip


class ScriptedInstrument:
    """Each poll hands out the next list of events; playing advances the playhead by 2 s a poll."""

    def __init__(self, script: Sequence[list[Event]], *, outputs: Sequence[str] = ("card",)) -> None:
        self.script = list(script)
        self.outputs = list(outputs)
        self.inputs = ["Midi Through", "Keystation 49"]
        self.playhead_s = 0.0
        self.is_playing = False
        self.under_runs = 3
        self.played_after_polls = -1
        self.panics = 0
        self.polls = 0

    def poll(self) -> list[Event]:
        self.polls += 1
        if self.is_playing:
            self.playhead_s += 2.0
        return self.script.pop(0) if self.script else []

    def render(self, passage: Passage, *, quality: str = "draft", playhead_s: float = 0.0) -> int:
        return 1

    def play(self, start_s: float, loop: tuple[float, float] | None = None) -> None:
        self.playhead_s, self.is_playing = start_s, True
        self.played_after_polls = self.polls

    def output_devices(self) -> list[str]:
        return self.outputs

    def midi_inputs(self) -> list[str]:
        return self.inputs

    def panic(self) -> None:
        self.panics += 1

    def live_meter(self) -> None:
        return None


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = {"now_s": 0.0}

    def sleep(seconds: float) -> None:
        clock["now_s"] += seconds

    for module in ("app.commands.play", "app.commands.live"):
        monkeypatch.setattr(f"{module}.time", type("Clock", (), {"sleep": sleep, "monotonic": lambda: clock["now_s"]}))


def play(instrument: Any, **settings: Any) -> dict[str, Any]:
    return play_passage(instrument, PASSAGE, quality="draft", start_s=0.0, on_progress=lambda *_: None, **settings)


def test_playing_starts_before_the_end_when_rendering_is_ahead() -> None:
    ahead: list[Event] = [RenderProgress(1, 4, 13, 1.0, 8.0), AudioChanged(1, 0.0, 3.2)]
    instrument = ScriptedInstrument([[], ahead, []])
    result = play(instrument)
    assert instrument.played_after_polls == 2
    assert result == {"played_s": 10.0, "under_runs": 3}


def test_slow_rendering_is_waited_for() -> None:
    slow: list[Event] = [RenderProgress(1, 4, 13, 9.0, 0.7), AudioChanged(1, 0.0, 3.2)]
    instrument = ScriptedInstrument([slow, [], [], [RenderFinished(1, REPORT)]])
    play(instrument)
    assert instrument.played_after_polls == 4


def test_sound_further_on_is_no_head_start() -> None:
    gap: list[Event] = [RenderProgress(1, 4, 13, 1.0, 8.0), AudioChanged(1, 4.0, 8.0)]
    instrument = ScriptedInstrument([gap, [], [RenderFinished(1, REPORT)]])
    play(instrument)
    assert instrument.played_after_polls == 3


@pytest.mark.parametrize(
    "event",
    [EngineFailed("The weights are missing.", "Restore them."), RenderFailed(1, "No such preset.", "Choose one.", "")],
    ids=["engine", "render"],
)
def test_trouble_is_the_users_to_mend(event: Event) -> None:
    with pytest.raises(UserError) as caught:
        play(ScriptedInstrument([[event]]))
    assert caught.value.remedy


def test_unexpected_failure_keeps_its_details() -> None:
    with pytest.raises(RuntimeError, match="the trace"):
        play(ScriptedInstrument([[RenderFailed(1, "Rendering failed.", "", "the trace")]]))


def test_no_sound_card_is_said() -> None:
    with pytest.raises(UserError, match="no sound card"):
        play(ScriptedInstrument([[RenderFinished(1, REPORT)]], outputs=()))


@pytest.mark.parametrize(("wanted", "chosen"), [(None, "Midi Through"), ("keyst", "Keystation 49")])
def test_midi_input_is_found_by_part_of_its_name(wanted: str | None, chosen: str) -> None:
    assert choose_midi_input(as_instrument(ScriptedInstrument([])), wanted) == chosen


def test_midi_input_that_is_not_there_lists_those_that_are() -> None:
    with pytest.raises(UserError, match="organ") as caught:
        choose_midi_input(as_instrument(ScriptedInstrument([])), "organ")
    assert "Keystation 49" in caught.value.remedy
    silent = ScriptedInstrument([])
    silent.inputs = []
    with pytest.raises(UserError, match="no MIDI input"):
        choose_midi_input(as_instrument(silent), None)


def test_performance_counts_notes_and_ends_silent() -> None:
    notes: list[Event] = [MidiActivity("note_on", 60, 100.0), MidiActivity("control", 1, 3.0)]
    instrument = ScriptedInstrument([notes, notes])
    assert perform(as_instrument(instrument), 1.0) == {"notes": 2, "under_runs": 3}
    assert instrument.panics == 1


def test_ctrl_c_ends_a_performance_well() -> None:
    class Interrupted(ScriptedInstrument):
        def poll(self) -> list[Event]:
            raise KeyboardInterrupt

    instrument = Interrupted([])
    assert perform(as_instrument(instrument), None)["notes"] == 0
    assert instrument.panics == 1


def as_instrument(scripted: ScriptedInstrument) -> Any:
    """The parts of an instrument that these commands use."""
    return scripted
