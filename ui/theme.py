"""Colours and style sheet of the window, dark and light."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from PySide6.QtCore import QObject, Qt, Signal
from PySide6.QtGui import QColor, QFont, QGuiApplication, QPalette

from ui.style_sheet import style_sheet_for


class ThemeChoice(StrEnum):
    """What the user asked for; SYSTEM follows the desktop."""

    SYSTEM = "system"
    DARK = "dark"
    LIGHT = "light"


@dataclass(frozen=True, slots=True)
class Colours:
    """Every colour of the window, sRGB hex."""

    is_dark: bool
    window: str
    panel: str
    raised: str
    hover: str
    canvas: str
    canvas_alternate: str
    grid_minor: str
    grid_major: str
    border: str
    text: str
    text_dim: str
    text_faint: str
    accent: str
    accent_text: str
    playhead: str
    measured: str
    selection: str
    good: str
    warning: str
    danger: str
    key_white: str
    key_black: str


DARK = Colours(
    is_dark=True,
    window="#14161b",
    panel="#1a1d24",
    raised="#252933",
    hover="#2f3440",
    canvas="#101217",
    canvas_alternate="#14171d",
    grid_minor="#1b1f27",
    grid_major="#2a303c",
    border="#2b303b",
    text="#e7e9ef",
    text_dim="#9aa1b2",
    text_faint="#6d7486",
    accent="#6f9bff",
    accent_text="#0d1220",
    playhead="#ffb454",
    measured="#b4bac8",
    selection="#6f9bff",
    good="#58c08a",
    warning="#e5b04f",
    danger="#ec6a5e",
    key_white="#d9dce3",
    key_black="#262a33",
)
LIGHT = Colours(
    is_dark=False,
    window="#eceef2",
    panel="#f8f9fb",
    raised="#ffffff",
    hover="#e3e6ed",
    canvas="#ffffff",
    canvas_alternate="#f6f7f9",
    grid_minor="#eff1f4",
    grid_major="#dce0e7",
    border="#d3d8e0",
    text="#1b1f27",
    text_dim="#5a6273",
    text_faint="#8a92a2",
    accent="#2f5fd8",
    accent_text="#ffffff",
    playhead="#d8601f",
    measured="#7b8494",
    selection="#2f5fd8",
    good="#23875a",
    warning="#a86d00",
    danger="#c23a2d",
    key_white="#ffffff",
    key_black="#3a3f4a",
)

UI_FONT_FAMILIES = ("Inter", "SF Pro Text", "Segoe UI", "Noto Sans", "Cantarell", "DejaVu Sans")
UI_FONT_SIZE_PX = 12


def ui_font(*, size_px: int = UI_FONT_SIZE_PX, bold: bool = False) -> QFont:
    """The interface font; digits of equal width where the family has them."""
    font = QFont()
    font.setFamilies(list(UI_FONT_FAMILIES))
    font.setPixelSize(size_px)
    font.setWeight(QFont.Weight.DemiBold if bold else QFont.Weight.Normal)
    return font


def with_alpha(colour: str, alpha: float) -> QColor:
    """`colour` with opacity 0..1."""
    shade = QColor(colour)
    shade.setAlphaF(alpha)
    return shade


class Theme(QObject):
    """The colours in force; views repaint when `changed` fires."""

    changed = Signal()

    def __init__(self, choice: ThemeChoice = ThemeChoice.SYSTEM, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._choice = choice
        self._colours = self._resolve()
        QGuiApplication.styleHints().colorSchemeChanged.connect(self._follow_system)

    @property
    def choice(self) -> ThemeChoice:
        return self._choice

    @property
    def colours(self) -> Colours:
        return self._colours

    def choose(self, choice: ThemeChoice) -> None:
        """Switch; every view repaints."""
        self._choice = choice
        self._refresh()

    def lane_colour(self, colour: str) -> QColor:
        """A lane's colour from the lane table, lifted on dark ground and deepened on light."""
        shade = QColor(colour)
        hue, saturation, lightness = shade.hslHueF(), shade.hslSaturationF(), shade.lightnessF()
        if self._colours.is_dark:
            return QColor.fromHslF(max(hue, 0.0), min(saturation * 1.05, 1.0), max(lightness, 0.60))
        return QColor.fromHslF(max(hue, 0.0), saturation, min(lightness, 0.42))

    def style_sheet(self) -> str:
        """The application's style sheet in the present colours."""
        return style_sheet_for(self._colours)

    def qt_palette(self) -> QPalette:
        """The same colours for what the style sheet does not reach (dialogs, text cursors)."""
        colours = self._colours
        palette = QPalette()
        roles = {
            QPalette.ColorRole.Window: colours.window,
            QPalette.ColorRole.WindowText: colours.text,
            QPalette.ColorRole.Base: colours.raised,
            QPalette.ColorRole.AlternateBase: colours.panel,
            QPalette.ColorRole.Text: colours.text,
            QPalette.ColorRole.Button: colours.raised,
            QPalette.ColorRole.ButtonText: colours.text,
            QPalette.ColorRole.Highlight: colours.accent,
            QPalette.ColorRole.HighlightedText: colours.accent_text,
            QPalette.ColorRole.ToolTipBase: colours.raised,
            QPalette.ColorRole.ToolTipText: colours.text,
            QPalette.ColorRole.PlaceholderText: colours.text_faint,
        }
        for role, colour in roles.items():
            palette.setColor(role, QColor(colour))
        for role in (QPalette.ColorRole.Text, QPalette.ColorRole.ButtonText, QPalette.ColorRole.WindowText):
            palette.setColor(QPalette.ColorGroup.Disabled, role, QColor(colours.text_faint))
        return palette

    def _follow_system(self) -> None:
        if self._choice is ThemeChoice.SYSTEM:
            self._refresh()

    def _refresh(self) -> None:
        colours = self._resolve()
        if colours != self._colours:
            self._colours = colours
            self.changed.emit()

    def _resolve(self) -> Colours:
        if self._choice is ThemeChoice.DARK:
            return DARK
        if self._choice is ThemeChoice.LIGHT:
            return LIGHT
        return LIGHT if QGuiApplication.styleHints().colorScheme() == Qt.ColorScheme.Light else DARK
