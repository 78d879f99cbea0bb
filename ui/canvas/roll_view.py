"""The piano roll: notes, and pitch as a curve over them."""

from __future__ import annotations

import numpy as np
from PySide6.QtCore import QPointF, QRectF, Qt, Signal
from PySide6.QtGui import QColor, QMouseEvent, QPainter, QPen
from PySide6.QtWidgets import QWidget

from app.state.passage import Note
from synth.spec import HOP_S, lane
from ui.canvas.context import CanvasContext
from ui.canvas.curves import curve_polygons, paint_curve
from ui.canvas.lane_view import drawn_curve
from ui.canvas.surface import EditSurface
from ui.canvas.view import ValueView, shifted_values, zoomed_values
from ui.formats import note_name
from ui.theme import ui_font, with_alpha
from ui.tools.note_tool import Grip, note_at
from ui.tools.toolbox import ToolName

BLACK_KEYS = frozenset((1, 3, 6, 8, 10))
_AUDIBLE = 0.02
_LABELLED_ROW_PX = 11.0
_ROWS_A_NOTCH = 3.0
_SLIVER_PX = 9.0
_WIDE_LINE_PX_PER_S = 25.0


class RollView(EditSurface):
    """Notes as bars, asked pitch over them, measured pitch thin under it. Plain wheel scrolls through the notes."""

    in_roll = True
    rows_changed = Signal()

    def __init__(self, context: CanvasContext, parent: QWidget | None = None) -> None:
        self._range = ValueView(44.5, 72.5, 100.0)
        super().__init__(context, lane("pitch"), parent)
        self.setMinimumHeight(120)
        self.setAccessibleName("Piano roll")
        self.setAccessibleDescription("Notes and the pitch curve of the chosen voice.")

    def scale(self) -> ValueView:
        return ValueView(self._range.bottom, self._range.top, float(self.height()))

    def scroll_vertically(self, delta: float) -> bool:
        low, high = self.spec.minimum - 0.5, self.spec.maximum + 0.5
        self._set_range(shifted_values(self.scale(), delta * _ROWS_A_NOTCH, low, high))
        return True

    def zoom_vertically(self, factor: float, y_px: float) -> None:
        self._set_range(zoomed_values(self.scale(), factor, y_px, self.spec.minimum - 0.5, self.spec.maximum + 0.5))

    def fit_pitch(self) -> None:
        """Show the rows that are used, with room around them."""
        voice = self.context.document.voice
        pitches = [note.note for note in voice.notes]
        if "pitch" in voice.lanes:
            pitches += list(voice.lanes["pitch"].value_span)
        middle = (min(pitches) + max(pitches)) / 2 if pitches else self.spec.default
        span = max((max(pitches) - min(pitches) if pitches else 0.0) + 9.0, 20.0)
        low, high = self.spec.minimum - 0.5, self.spec.maximum + 0.5
        span = min(span, high - low)
        self._set_range(shifted_values(ValueView(middle - span / 2, middle + span / 2, self.height()), 0.0, low, high))

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        super().mouseMoveEvent(event)
        tools = self.context.tools
        if tools.name in (ToolName.NOTE, ToolName.SELECT) and self.preview.is_empty and self.hover is not None:
            hit = note_at(self.context.document.voice.notes, self.hover, self.scene().edge_s)
            shape = Qt.CursorShape.CrossCursor if tools.name is ToolName.NOTE else Qt.CursorShape.ArrowCursor
            if hit is not None:
                resizes = hit[1] is not Grip.BODY and tools.name is ToolName.NOTE
                shape = Qt.CursorShape.SizeHorCursor if resizes else Qt.CursorShape.OpenHandCursor
            self.setCursor(shape)

    def paint_ground(self, painter: QPainter) -> None:
        self._paint_rows(painter)
        self.paint_grid(painter)
        self.paint_selection(painter)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        selection = self.context.document.selection
        chosen = selection.notes if selection is not None else frozenset()
        self._paint_notes(painter, chosen)
        self._paint_drawn_pitch(painter)
        self._paint_measured(painter)
        self._paint_pitch(painter)

    def paint_overlay(self, painter: QPainter) -> None:
        preview = self.preview
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        notes = self.context.document.voice.notes
        for index in preview.hidden_notes:
            if index < len(notes):
                painter.setPen(Qt.PenStyle.NoPen)
                painter.setBrush(with_alpha(self.context.theme.colours.canvas, 0.7))
                painter.drawRoundedRect(self._note_rect(notes[index]), 3, 3)
        for note in preview.notes:
            self._paint_note(painter, note, is_chosen=True)
        super().paint_overlay(painter)
        if self.hover is not None:
            colours = self.context.theme.colours
            y = self.scale().y_of(round(self.hover.value) + 0.5)
            painter.fillRect(QRectF(0, y, self.width(), self.scale().px_per_unit), with_alpha(colours.text_dim, 0.08))

    def _paint_rows(self, painter: QPainter) -> None:
        colours, scale = self.context.theme.colours, self.scale()
        for note in range(int(np.floor(scale.bottom)), int(np.ceil(scale.top)) + 1):
            top = scale.y_of(note + 0.5)
            if note % 12 in BLACK_KEYS:
                painter.fillRect(QRectF(0, top, self.width(), scale.px_per_unit), QColor(colours.canvas_alternate))
            painter.fillRect(
                QRectF(0, round(top + scale.px_per_unit), self.width(), 1),
                QColor(colours.grid_major if note % 12 == 0 else colours.grid_minor),
            )

    def _paint_notes(self, painter: QPainter, chosen: frozenset[int]) -> None:
        """Visible notes; slivers of many notes as plain boxes, which is ten times faster."""
        view, scale = self.context.axis.view, self.scale()
        height = max(scale.px_per_unit - 2, 2.0)
        fill = with_alpha(self.context.theme.lane_colour(self.spec.colour).name(), 0.42)
        for index, note in enumerate(self.context.document.voice.notes):
            width = note.duration_s * view.px_per_s - 1
            left = (note.start_s - view.start_s) * view.px_per_s
            if left > view.width_px or left + width < 0:
                continue
            if width < _SLIVER_PX and index not in chosen:
                painter.fillRect(QRectF(left, scale.y_of(note.note + 0.5) + 1, max(width, 2.0), height), fill)
            else:
                self._paint_note(painter, note, is_chosen=index in chosen)

    def _paint_note(self, painter: QPainter, note: Note, *, is_chosen: bool) -> None:
        theme, rect = self.context.theme, self._note_rect(note)
        colour = theme.lane_colour(self.spec.colour)
        if note.technique is not None:
            colour = theme.lane_colour(lane(f"technique.{note.technique}").colour)
        fill = QColor(theme.colours.selection) if is_chosen else QColor(colour)
        fill.setAlphaF(0.55 if is_chosen else 0.20 + 0.22 * note.velocity / 127.0)
        painter.setBrush(fill)
        painter.setPen(QPen(QColor(theme.colours.text) if is_chosen else colour, 1.0))
        painter.drawRoundedRect(rect, 3, 3)
        if rect.height() >= _LABELLED_ROW_PX and rect.width() > 30:
            painter.setFont(ui_font(size_px=10))
            painter.setPen(with_alpha(theme.colours.text, 0.75))
            label = note_name(note.note) + (f"  {note.technique}" if note.technique and rect.width() > 76 else "")
            painter.drawText(rect.adjusted(5, 0, -2, 0), Qt.AlignmentFlag.AlignVCenter, label)

    def _note_rect(self, note: Note) -> QRectF:
        view, scale = self.context.axis.view, self.scale()
        top_left = QPointF(view.x_of(note.start_s), scale.y_of(note.note + 0.5) + 1)
        width = max(note.duration_s * view.px_per_s - 1, 2.0)
        return QRectF(top_left.x(), top_left.y(), width, max(scale.px_per_unit - 2, 2.0))

    def _paint_pitch(self, painter: QPainter) -> None:
        """The resolved pitch where somebody sings: notes, drawn curve and bend together."""
        asked = self.context.asked
        view = self.context.axis.view
        first = max(int(view.start_s / HOP_S) - 1, 0)
        part = slice(first, max(int(view.end_s / HOP_S) + 2, first))
        presence = asked.values("presence")[part]
        sung = np.where(presence > _AUDIBLE, asked.values("pitch")[part], np.nan).astype(np.float64)
        lines = curve_polygons(asked.times_s()[part], sung, view, self.scale())
        # A line for each breath: seen from afar many, each too short to count as dense.
        width_px = 2.0 if view.px_per_s > _WIDE_LINE_PX_PER_S else 1.0
        paint_curve(painter, lines, self.context.theme.lane_colour(self.spec.colour), width_px)

    def _paint_drawn_pitch(self, painter: QPainter) -> None:
        drawn = drawn_curve(self.context, "pitch")
        if drawn is None:
            return
        colour = self.context.theme.lane_colour(self.spec.colour)
        colour.setAlphaF(0.5)
        painter.setPen(QPen(colour, 1.0, Qt.PenStyle.DotLine))
        t_s, values = drawn[0][1:-1], drawn[1][1:-1]  # not the flat ends: there the notes speak
        for line in curve_polygons(t_s, values, self.context.axis.view, self.scale()):
            painter.drawPolyline(line)

    def _paint_measured(self, painter: QPainter) -> None:
        measured = self.context.measured.curve(self.context.document.voice_index, "pitch")
        if measured is None:
            return
        t_s, values = (np.asarray(part, dtype=np.float64) for part in measured)
        lines = curve_polygons(t_s, values, self.context.axis.view, self.scale())
        paint_curve(painter, lines, QColor(self.context.theme.colours.measured), 1.0)

    def _set_range(self, view: ValueView) -> None:
        self._range = view
        self.invalidate()
        self.rows_changed.emit()
