"""The line at the bottom: what the pointer reads, how rendering goes, what the model runs on."""

from __future__ import annotations

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QFrame, QHBoxLayout, QProgressBar, QPushButton, QWidget

from app.services import ExportProgress, RenderProgress
from ui.formats import duration_label
from ui.styled import label


class StatusLine(QFrame):
    """`cancel_requested` when the user calls the render off."""

    cancel_requested = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("foot")
        self._readout = label("", "dim")
        self._readout.setMinimumWidth(240)
        self._other = label("", "dim")
        self._state = label("Loading the model…", "dim")
        self._state.setAccessibleName("Render state")
        self._bar = QProgressBar()
        self._bar.setTextVisible(False)
        self._bar.setFixedSize(140, 6)
        self._bar.setAccessibleName("Render progress")
        self._cancel = QPushButton("Cancel")
        self._cancel.setToolTip("Cancel rendering (Ctrl+.)")
        self._cancel.setStyleSheet("padding: 1px 10px;")
        self._cancel.clicked.connect(self.cancel_requested)
        self._engine = label("", "faint")
        row = QHBoxLayout(self)
        row.setContentsMargins(14, 3, 14, 3)
        row.setSpacing(12)
        row.addWidget(self._readout)
        row.addStretch(1)
        row.addWidget(self._other)
        row.addWidget(self._state)
        row.addWidget(self._bar)
        row.addWidget(self._cancel)
        row.addWidget(self._engine)
        self.setFixedHeight(30)
        self._set_busy(False)

    @property
    def state_text(self) -> str:
        return self._state.text()

    def show_readout(self, text: str) -> None:
        """What is under the pointer."""
        self._readout.setText(text)

    def show_engine(self, text: str) -> None:
        """Device and model."""
        self._engine.setText(text)
        if self._state.text().startswith("Loading"):
            self._state.setText("Ready")

    def show_started(self) -> None:
        """A render begins."""
        self._state.setText("Rendering…")
        self._bar.setRange(0, 0)
        self._set_busy(True)

    def show_progress(self, progress: RenderProgress) -> None:
        """How far the render is."""
        speed = f" · {progress.realtime_factor:.0f}× real time" if progress.realtime_factor > 0 else ""
        self._state.setText(
            f"Rendering {progress.done_cells}/{progress.total_cells} · {duration_label(progress.eta_s)} left{speed}"
        )
        self._bar.setRange(0, max(progress.total_cells, 1))
        self._bar.setValue(progress.done_cells)
        self._set_busy(True)

    def show_ended(self, state: str) -> None:
        """The render is over."""
        self._state.setText(state)
        self._set_busy(False)

    def show_export(self, progress: ExportProgress) -> None:
        """How far an export is."""
        self._other.setText(
            f"Exporting {progress.path.name}: {progress.fraction * 100:.0f} % · {duration_label(progress.eta_s)} left"
        )

    def show_other(self, text: str) -> None:
        """Other work under way; empty when over."""
        self._other.setText(text)

    def _set_busy(self, is_busy: bool) -> None:
        self._bar.setVisible(is_busy)
        self._cancel.setVisible(is_busy)
