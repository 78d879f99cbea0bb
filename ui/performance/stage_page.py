"""How live playing goes: latency, losses, stages, voices, onsets made ahead, processes, output, scope and spectrum."""

from __future__ import annotations

from collections.abc import Mapping

from PySide6.QtCore import Qt
from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import QFrame, QGridLayout, QScrollArea, QToolButton, QWidget

from app.services import LiveMeter
from synth.spec import Float32Array
from ui.performance.cards import Bar, Card, FigureCard, Line
from ui.performance.figures import Figure, Tone, figures_of
from ui.performance.output_card import OutputCard
from ui.performance.process_card import ProcessCard
from ui.performance.processes import GpuShare, Share
from ui.performance.scope import Oscilloscope, SpectrumView
from ui.styled import label, styled
from ui.theme import Theme

_WIDE_PX, _MIDDLE_PX = 1000, 640
_COLUMNS = 12
CACHE_TIP = "Of the memory that onsets made ahead take; the engine forgets the furthest when it is full"

LATENCY = (
    Line("p50", "Median", "MIDI to sound of the last 1,024 notes: half of them were faster"),
    Line("p95", "95 %", "95 of 100 notes were faster"),
    Line("p99", "99 %", "99 of 100 notes were faster"),
    Line("engine latency", "Of it the engine", "What the engine adds by construction: two device periods"),
    Line("device latency", "The driver adds", "What the driver says it adds between mixer and loudspeaker"),
    Line("period", "Device period", "Frames the device asks for at once"),
)
LOSSES = (
    Line("under-runs", "Under-runs", "Blocks of the live stream that came too late for the callback"),
    Line("zero frames", "Zero-filled frames", "Frames of those blocks that were filled with silence"),
    Line("device under-runs", "Device under-runs", "Blocks the device did not get in time, whoever was late"),
    Line("late frames", "Late voice frames", "10 ms frames the sampler did not make in time: the voice held on"),
    Line("lost notes", "Lost notes", "Notes that ended unheard"),
    Line("stolen voices", "Stolen voices", "Voices that ended for want of power"),
)
STAGES = (
    Line("draw", "Draw of latents", "The last draw of 160 ms of latents; the bar is its share of them", True),
    Line("frames", "Frames", "The last pass of the decoder's network"),
    Line("block", "Performer block", "The slowest block of the last second, as a share of the device period", True),
    Line("callback", "Callback", "The slowest callback of the last seconds, as a share of the device period", True),
    Line("sampler load", "Sampler", "Share of a processor core", True),
    Line("performer load", "Performer", "Share of a processor core", True),
)
VOICES = (
    Line("voices", "Voices", "Voices that sound now"),
    Line("allowed", "Voices allowed", "All, or how many the sampler can keep up with"),
    Line("jumps", "Jumps in use", "Steps a draw takes: quality yields before sound breaks"),
    Line("notes", "Notes played", "Since the engine started"),
    Line("tempo", "MIDI clock", "Tempo of the clock that comes in"),
)
ONSETS = (
    Line("hits", "Begun at once", "Notes that began with an onset made ahead", True),
    Line("misses", "Had to wait", "Notes that nothing was made ahead for"),
    Line(
        "bank onsets", "Whole bank", "Onsets made ahead for this preset and its neighbours, as far as memory goes", True
    ),
    Line("cache bytes", "Memory used", CACHE_TIP, True),
)


class StagePage(QScrollArea):
    """Shows what it is handed; knows no instrument."""

    def __init__(self, theme: Theme) -> None:
        super().__init__()
        styled(self, "clear")
        self.setWidgetResizable(True)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.latency = FigureCard(theme, "MIDI to sound", LATENCY, leading="median")
        self.losses = FigureCard(theme, "Losses", LOSSES)
        self.stages = FigureCard(theme, "Stages", STAGES)
        self.voices = FigureCard(theme, "Voices", VOICES, leading="voices sound")
        self.onsets = FigureCard(theme, "Onsets made ahead", ONSETS)
        self.onset_bar = Bar(theme, width_px=None)
        self.onset_words = label("", "dim")
        self.onsets.column.insertWidget(1, self.onset_words)
        self.onsets.column.insertWidget(2, self.onset_bar)
        self.processes = ProcessCard(theme)
        self.output = OutputCard(theme)
        self.scope, self.spectrum = Oscilloscope(theme), SpectrumView(theme)
        self.freeze = styled(QToolButton(), "small")
        self.freeze.setText("Freeze")
        self.freeze.setCheckable(True)
        self.freeze.setToolTip("Let scope and spectrum stand still")
        self.freeze.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self._pictures = (_picture_card("Oscilloscope", self.scope), _picture_card("Spectrum", self.spectrum))
        self._pictures[1].head.addWidget(self.freeze)
        self._body = styled(QWidget(), "clear")
        self._grid = QGridLayout(self._body)
        self._grid.setContentsMargins(12, 12, 12, 12)
        self._grid.setSpacing(8)
        self.setWidget(self._body)
        self._small: list[Card] = [
            self.latency, self.losses, self.stages, self.voices, self.onsets, self.processes, self.output,
        ]  # fmt: skip
        self._layout = ""
        self._wide_needs_px = _WIDE_PX
        self._lay_out("wide")

    def add_card(self, card: Card) -> None:
        """One more beside the others."""
        self._small.append(card)
        layout, self._layout = self._layout, ""
        self._lay_out(layout)

    def show_figures(self, meter: LiveMeter | None) -> None:
        """Several times a second."""
        figures = figures_of(meter)
        for card in (self.latency, self.losses, self.stages, self.voices, self.onsets):
            card.show_figures(figures)
        self.output.show_figures(figures)
        self._show_preset_onsets(figures["preset onsets"])
        self._fit()  # cards grow with what they have to say

    def show_sound(self, audio: Float32Array, levels_db: tuple[float, float], meter: LiveMeter | None) -> None:
        """With every picture: the newest SPECTRUM_SAMPLES of the stream, and the output's level."""
        self.output.show_levels(levels_db, meter)
        if not self.freeze.isChecked():
            self.scope.show_audio(audio)
            self.spectrum.show_audio(audio)

    def show_processes(self, shares: Mapping[str, Share], gpu: GpuShare | None) -> None:
        """About once a second."""
        self.processes.show_shares(shares, gpu)

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self._fit()

    def _fit(self) -> None:
        """As many cards in a row as the page has room for."""
        width = self.viewport().width()
        if self._layout == "wide":
            self._wide_needs_px = max(self._wide_needs_px, self._grid.minimumSize().width())
        self._lay_out("wide" if width >= self._wide_needs_px else "middle" if width >= _MIDDLE_PX else "narrow")

    def _show_preset_onsets(self, figure: Figure) -> None:
        words = {Tone.FAINT: "This preset: unknown", Tone.GOOD: f"This preset: {figure.text}, ready"}
        text = words.get(figure.tone, f"This preset: {figure.text}")
        if text != self.onset_words.text():
            self.onset_words.setText(text)
            self.onset_bar.setAccessibleName(text)
        self.onset_bar.show_figure(figure)

    def _lay_out(self, layout: str) -> None:
        if layout == self._layout:
            return
        self._layout = layout
        grid = self._grid
        for card in (*self._small, *self._pictures):
            grid.removeWidget(card)
        for row in range(grid.rowCount()):
            grid.setRowStretch(row, 0)
        for column in range(_COLUMNS):
            grid.setColumnStretch(column, 1)
        row = column = 0
        for card, span in zip(self._small, _spans(layout, len(self._small)), strict=True):
            if column + span > _COLUMNS:
                row, column = row + 1, 0
            grid.addWidget(card, row, column, 1, span)
            column += span
        for index, card in enumerate(self._pictures):
            wide = layout == "wide"
            grid.addWidget(card, row + 1 + (0 if wide else index), 6 * index if wide else 0, 1, 6 if wide else 12)
            grid.setRowStretch(row + 1 + (0 if wide else index), 1)


def _spans(layout: str, n_cards: int) -> list[int]:
    """Columns of each card: four in a row, or two, or one; what would leave a hole in the last row is spread."""
    in_row = {"wide": 4, "middle": 2, "narrow": 1}[layout]
    over = n_cards % in_row
    last = [_COLUMNS // over] * over if over else []
    return [_COLUMNS // in_row] * (n_cards - over) + last


def _picture_card(title: str, picture: QWidget) -> Card:
    card = Card(title)
    card.column.addWidget(picture, 1)
    return card
