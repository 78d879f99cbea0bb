"""The Qt style sheet, filled from a theme's colours."""

from __future__ import annotations

from dataclasses import asdict
from string import Template
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ui.theme import Colours

_TEMPLATE = Template(
    """
QWidget { color: $text; font-size: 12px; }
QMainWindow, QDialog, QMessageBox { background: $window; }
QToolTip { background: $raised; color: $text; border: 1px solid $border; padding: 4px 6px; }
QMenuBar { background: $window; padding: 2px 6px; }
QMenuBar::item { background: transparent; padding: 4px 9px; border-radius: 4px; }
QMenuBar::item:selected { background: $hover; }
QMenu { background: $raised; border: 1px solid $border; padding: 5px; }
QMenu::item { padding: 5px 26px 5px 22px; border-radius: 4px; }
QMenu::item:selected { background: $accent; color: $accent_text; }
QMenu::item:disabled { color: $text_faint; }
QMenu::separator { height: 1px; background: $border; margin: 4px 8px; }
QFrame#bar { background: $panel; border: none; border-bottom: 1px solid $border; }
QFrame#foot { background: $panel; border: none; border-top: 1px solid $border; }
QFrame#side { background: $panel; border: none; border-left: 1px solid $border; }
QFrame#lane_header { background: $panel; border: none; border-bottom: 1px solid $border;
    border-right: 1px solid $border; }
QFrame#notice { background: $raised; border: none; border-left: 4px solid $danger; border-bottom: 1px solid $border; }
QFrame#notice[tone="info"] { border-left: 4px solid $accent; }
QFrame#card { background: $panel; border: 1px solid $border; border-radius: 8px; }
QWidget#clear, QScrollArea#clear, QScrollArea#clear > QWidget > QWidget { background: transparent; }
QToolButton#small { background: $raised; border: 1px solid $border; padding: 0px 8px; font-size: 11px; }
QToolButton#small:checked { background: $accent; border-color: $accent; }
QToolButton#panic { background: transparent; border: 1px solid $danger; color: $danger; font-weight: 600; }
QToolButton#panic:hover { background: $danger; color: $accent_text; }
QFrame#drop { background: $panel; border: 1px dashed $text_faint; border-radius: 8px; }
QWidget#page { background: $window; }
QLabel#dim, QLabel#unit { color: $text_dim; font-size: 11px; }
QLabel#faint { color: $text_faint; font-size: 11px; }
QLabel#title { font-weight: 600; }
QLabel#heading { font-size: 18px; font-weight: 600; }
QLabel#section { color: $text_faint; font-size: 10px; font-weight: 600; letter-spacing: 1px; }
QLabel#clock { font-size: 20px; font-weight: 500; }
QLabel#tag { background: $hover; color: $text_dim; border-radius: 7px; padding: 1px 7px; font-size: 10px; }
QToolButton { background: transparent; border: 1px solid transparent; border-radius: 6px; padding: 4px 6px; }
QToolButton:hover { background: $hover; }
QToolButton:pressed { background: $border; }
QToolButton:checked { background: $accent; color: $accent_text; }
QToolButton:focus { border: 1px solid $accent; }
QToolButton:disabled { color: $text_faint; }
QToolButton::menu-indicator { image: none; width: 0; }
QToolButton#flat { padding: 1px; border-radius: 4px; }
QToolButton#group { background: $raised; border: 1px solid $border; }
QToolButton#group:hover { background: $hover; }
QToolButton#group:checked { background: $accent; border-color: $accent; }
QPushButton { background: $raised; border: 1px solid $border; border-radius: 6px; padding: 5px 14px; }
QPushButton:hover { background: $hover; }
QPushButton:focus { border-color: $accent; }
QPushButton:default { background: $accent; color: $accent_text; border-color: $accent; }
QPushButton:disabled { color: $text_faint; }
QLineEdit, QSpinBox, QDoubleSpinBox, QComboBox, QKeySequenceEdit { background: $raised; border: 1px solid $border;
    border-radius: 6px; padding: 4px 8px; selection-background-color: $accent; selection-color: $accent_text; }
QLineEdit:focus, QSpinBox:focus, QDoubleSpinBox:focus, QComboBox:focus { border-color: $accent; }
QComboBox { padding-right: 22px; }
QComboBox::drop-down { border: none; width: 18px; }
QComboBox::down-arrow { image: none; }
QComboBox QAbstractItemView { background: $raised; border: 1px solid $border; selection-background-color: $accent;
    selection-color: $accent_text; outline: none; }
QSpinBox::up-button, QSpinBox::down-button, QDoubleSpinBox::up-button, QDoubleSpinBox::down-button { width: 0; }
QListView, QTableView, QTextEdit, QPlainTextEdit { background: $panel; border: 1px solid $border; border-radius: 6px;
    outline: none; }
QListView::item { padding: 6px 8px; border-radius: 4px; }
QListView::item:selected { background: $accent; color: $accent_text; }
QListView#plain::item:selected { background: transparent; }
QListView#plain { border: none; background: transparent; }
QHeaderView::section { background: $panel; color: $text_dim; border: none; border-bottom: 1px solid $border;
    padding: 5px 8px; }
QTableView { gridline-color: $border; selection-background-color: $accent; selection-color: $accent_text; }
QScrollArea { border: none; background: $canvas; }
QScrollBar { background: transparent; border: none; }
QScrollBar:horizontal { height: 12px; }
QScrollBar:vertical { width: 12px; }
QScrollBar::handle { background: $hover; border-radius: 4px; margin: 2px; }
QScrollBar::handle:hover { background: $text_faint; }
QScrollBar::handle:horizontal { min-width: 28px; }
QScrollBar::handle:vertical { min-height: 28px; }
QScrollBar::add-line, QScrollBar::sub-line { width: 0; height: 0; }
QScrollBar::add-page, QScrollBar::sub-page { background: transparent; }
QSplitter::handle { background: $border; }
QSplitter::handle:hover { background: $accent; }
QProgressBar { background: $hover; border: none; border-radius: 3px; }
QProgressBar::chunk { background: $accent; border-radius: 3px; }
QSlider::groove:horizontal { height: 4px; background: $hover; border-radius: 2px; }
QSlider::handle:horizontal { background: $text_dim; width: 12px; margin: -4px 0; border-radius: 6px; }
QSlider::handle:horizontal:hover { background: $accent; }
QTabWidget::pane { border: none; border-top: 1px solid $border; }
QTabBar::tab { background: transparent; color: $text_dim; padding: 7px 14px; border-bottom: 2px solid transparent; }
QTabBar::tab:selected { color: $text; border-bottom: 2px solid $accent; }
QTabBar::tab:hover { color: $text; }
QCheckBox::indicator { width: 14px; height: 14px; border: 1px solid $text_faint; border-radius: 3px;
    background: $raised; }
QCheckBox::indicator:checked { background: $accent; border-color: $accent; }
"""
)


def style_sheet_for(colours: Colours) -> str:
    """The style sheet in these colours."""
    return _TEMPLATE.substitute(asdict(colours))
