"""The processes and what each takes: a line comes and goes with its process."""

from __future__ import annotations

from collections.abc import Mapping

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QGridLayout, QLabel

from ui.performance.cards import Bar, Card, Value
from ui.performance.figures import Figure, Tone
from ui.performance.processes import GpuShare, Share
from ui.styled import label
from ui.theme import Theme

_GPU = "GPU"


class ProcessCard(Card):
    """Share of a core and memory of each process; the GPU, where one is used."""

    def __init__(self, theme: Theme) -> None:
        super().__init__("Processes")
        self._theme = theme
        self.values: dict[str, Value] = {}
        self._names: dict[str, QLabel] = {}
        self._bars: dict[str, Bar] = {}
        self._grid = QGridLayout()
        self._grid.setHorizontalSpacing(10)
        self._grid.setVerticalSpacing(5)
        self._grid.setColumnStretch(1, 1)
        self._none = label("unknown", "faint")
        self.column.addWidget(self._none)
        self.column.addLayout(self._grid)
        self.column.addStretch(1)

    def show_shares(self, shares: Mapping[str, Share], gpu: GpuShare | None) -> None:
        """Those that run now."""
        figures = {name: _figure(share) for name, share in shares.items()}
        if gpu is not None:
            figures[_GPU] = Figure(f"{100 * gpu.load:.0f} % · {gpu.used_mb / 1024:.1f} GB", share=min(gpu.load, 1.0))
        if list(figures) != list(self.values):
            self._rebuild(list(figures))
        for name, figure in figures.items():
            self.values[name].show_figure(figure)
            self._bars[name].show_figure(figure)

    def _rebuild(self, names: list[str]) -> None:
        for widget in (*self._names.values(), *self._bars.values(), *self.values.values()):
            widget.hide()
            widget.deleteLater()
        self._names, self._bars, self.values = {}, {}, {}
        self._none.setVisible(not names)
        for row, name in enumerate(names):
            title = self._names[name] = label(name.capitalize() if name != _GPU else name, "dim")
            title.setToolTip("Processor time as a share of one core, and resident memory")
            self._bars[name], self.values[name] = Bar(self._theme), Value(self._theme, name)
            self._grid.addWidget(title, row, 0)
            self._grid.addWidget(self._bars[name], row, 1, Qt.AlignmentFlag.AlignRight)
            self._grid.addWidget(self.values[name], row, 2)


def _figure(share: Share) -> Figure:
    memory = f"{share.memory_mb:.0f} MB"
    if share.cores is None:
        return Figure(f"… · {memory}", Tone.FAINT)
    tone = Tone.WARNING if share.cores > 0.9 else Tone.PLAIN
    return Figure(f"{100 * share.cores:.0f} % · {memory}", tone, min(share.cores, 1.0))
