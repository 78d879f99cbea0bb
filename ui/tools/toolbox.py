"""The tools by name."""

from __future__ import annotations

from enum import StrEnum

from ui.tools.lane_tools import EraseTool, LineTool, PenTool
from ui.tools.model import Tool
from ui.tools.note_tool import NoteTool
from ui.tools.select_tool import SelectTool


class ToolName(StrEnum):
    PEN = "pen"
    LINE = "line"
    ERASE = "erase"
    SELECT = "select"
    NOTE = "note"


def make_tool(name: ToolName, *, in_roll: bool) -> Tool:
    """A fresh tool; in a lane, which holds no notes, the note tool draws like the pen."""
    if name is ToolName.NOTE and in_roll:
        return NoteTool()
    if name is ToolName.LINE:
        return LineTool()
    if name is ToolName.ERASE:
        return EraseTool()
    if name is ToolName.SELECT:
        return SelectTool()
    return PenTool()
