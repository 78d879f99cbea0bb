"""The card of the voice that is listened to, on a fake of it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot

from app.live.voice_in.messages import InputDevice
from app.live.voice_in.ring import VoiceInState
from tests.ui.fake_instrument import FakeInstrument
from ui.performance.voice_in import VoiceInCard, heard_figure, state_figure
from ui.theme import Theme, ThemeChoice
from ui.window import MainWindow

OFF = VoiceInState("off", -100.0, float("nan"), False, "", 0.0, 0.0, 0, 0, 0, 0)
SUNG = replace(OFF, state="listening", level_db=-20.0, note=60.1, is_present=True, technique="growl", input_ms=5.4)


class FakeVoiceIn:
    def __init__(self) -> None:
        self.now = OFF
        self.chosen: str | None = None
        self.sensitivity_db = 3.0
        self.looks = 0

    def look(self) -> None:
        self.looks += 1

    def inputs(self) -> tuple[InputDevice, ...]:
        return (InputDevice("ALSA: USB", "USB", True), InputDevice("ALSA: Line", "Line", False))

    def choose(self, device_id: str | None) -> None:
        self.chosen = device_id

    def listen_to_file(self, path: Path) -> None:
        self.chosen = path.name

    def set_sensitivity(self, gain_db: float) -> None:
        self.sensitivity_db = gain_db

    def state(self) -> VoiceInState:
        return self.now


@pytest.fixture
def voice_in() -> FakeVoiceIn:
    return FakeVoiceIn()


@pytest.fixture
def card(qtbot: QtBot, qapp: QApplication, voice_in: FakeVoiceIn) -> VoiceInCard:
    card = VoiceInCard(Theme(ThemeChoice.DARK), voice_in)
    qtbot.addWidget(card)
    return card


def test_an_input_is_chosen_and_let_go(card: VoiceInCard, voice_in: FakeVoiceIn) -> None:
    card.input.fill()
    assert [card.input.itemText(index) for index in range(card.input.count())] == ["Nobody", "USB", "Line"]
    for index, expected in ((2, "ALSA: Line"), (0, None)):
        card.input.setCurrentIndex(index)
        card.input.activated.emit(index)
        assert voice_in.chosen == expected
        card.show_state()
        assert card.input.currentText() == ("Line" if expected else "Nobody")


def test_sensitivity_goes_out_by_hand_only(card: VoiceInCard, voice_in: FakeVoiceIn) -> None:
    assert card.sensitivity.value() == 3.0
    voice_in.sensitivity_db = 7.0
    card.show_state()
    assert card.sensitivity.value() == 7.0
    card.sensitivity.setValue(-12.0)
    assert voice_in.sensitivity_db == -12.0


def test_what_is_heard_is_shown(card: VoiceInCard, voice_in: FakeVoiceIn) -> None:
    assert (card.heard.text(), card.state.text()) == ("-", "off")
    voice_in.now = SUNG
    card.show_state()
    assert card.heard.text() == "C4, growl"
    assert card.state.text() == "\N{MINUS SIGN}20 dB, 5 ms late"


def test_words_for_whispers_and_for_inputs_that_have_gone() -> None:
    assert heard_figure(replace(SUNG, note=float("nan"), technique="whisper")).text == "no pitch, whisper"
    assert heard_figure(replace(SUNG, is_present=False)).text == "-"
    assert state_figure(replace(OFF, state="waiting")).text == "waiting for it"


def test_the_page_has_the_card_where_an_input_can_be_chosen(
    window: MainWindow, instrument: FakeInstrument, voice_in: FakeVoiceIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = window.performance
    window.actions_table["performance"].trigger()
    assert page.voice_in is None  # the performance of somebody else chooses its own
    monkeypatch.setattr(type(instrument), "voice_in", lambda _self: voice_in)
    for _ in range(2):  # shown again, it is the same card
        window.actions_table["performance"].trigger()
        window.actions_table["performance"].trigger()
    assert page.voice_in is not None
    assert page.voice_in.parent() is not None
    assert voice_in.looks == 1
    voice_in.now = SUNG
    page._turn = 0
    page.look()
    assert "growl" in page.voice_in.heard.text()
