"""Where the lanes lie on the screen.

Run as `python -m tests.e2e.layout PASSAGE`: opens the same window in the same way as the program does, on an instrument
without processes, writes lane id -> fields of Surface as JSON, and closes it again.
"""

from __future__ import annotations

import json
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ui.canvas.view import TimeView, ValueView

_SHOWN_AFTER_MS = 800


@dataclass(frozen=True, slots=True)
class Surface:
    """A lane's view: its top left corner on the screen, and its two scales."""

    left_px: int
    top_px: int
    times: TimeView
    values: ValueView

    def at(self, t_s: float, value: float) -> tuple[int, int]:
        """Screen pixel of a time and a value."""
        return self.left_px + round(self.times.x_of(t_s)), self.top_px + round(self.values.y_of(value))


def surface_of(fields: dict[str, Any]) -> Surface:
    """What `asdict` of a Surface was made from."""
    return Surface(fields["left_px"], fields["top_px"], TimeView(**fields["times"]), ValueView(**fields["values"]))


def main() -> int:
    from PySide6.QtCore import QPoint, QTimer
    from PySide6.QtWidgets import QApplication

    from app.store.settings import Settings
    from tests.ui.fake_instrument import FakeInstrument
    from ui.application import make_application, run_window
    from ui.canvas.surface import EditSurface
    from ui.window import MainWindow

    def tell() -> None:
        (window,) = [widget for widget in QApplication.topLevelWidgets() if isinstance(widget, MainWindow)]
        surfaces: dict[str, EditSurface] = {row.spec.id: row.view for row in window.timeline.stack.rows()}
        surfaces["pitch"] = window.timeline.roll
        found = {}
        for lane_id, surface in surfaces.items():
            corner = surface.mapToGlobal(QPoint(0, 0))
            found[lane_id] = asdict(Surface(corner.x(), corner.y(), window.context.axis.view, surface.scale()))
        sys.stdout.write(json.dumps(found))
        window.close()

    application = make_application()
    QTimer.singleShot(_SHOWN_AFTER_MS, application, tell)
    return run_window(FakeInstrument(), Settings(), Path(sys.argv[1]))


if __name__ == "__main__":
    sys.exit(main())
