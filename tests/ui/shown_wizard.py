"""The wizard over a real desk and tiny weights, for a test that presses real keys: says what has happened.

python -m tests.ui.shown_wizard TAKES WEIGHTS FOLDER
"""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

from app.services.adapting import AdaptingDesk, AdaptRequest, Heard, Looked, News, Work
from ui.adapting.wizard import AdaptingWizard
from ui.application import make_application
from ui.theme import Theme, ThemeChoice

_MINUTES = 0.05


class TinyDesk(AdaptingDesk):
    """Trains tiny weights for a moment; everything else is as it is."""

    weights = Path()

    def train(self, request: AdaptRequest) -> None:
        tiny = replace(request, weights=self.weights, minutes=_MINUTES, bf16=False, device="cpu", preview_every_s=0.5)
        super().train(tiny)

    def poll(self) -> list[tuple[Work, News]]:
        news = super().poll()
        for _, one in news:
            if isinstance(one, Looked):
                _say("looked")
            elif isinstance(one, Heard):
                _say(f"heard {one.index}")
        return news


def _say(words: str) -> None:
    sys.stdout.write(f"{words}\n")
    sys.stdout.flush()


def main() -> int:
    """Until the wizard is closed."""
    takes, weights, folder = map(Path, sys.argv[1:4])
    application = make_application()
    theme = Theme(ThemeChoice.DARK)
    desk = TinyDesk(folder / "runs", folder / "recordings")
    desk.weights = weights
    wizard = AdaptingWizard(desk, theme)
    wizard.setStyleSheet(theme.style_sheet())
    wizard.made.connect(lambda preset_id: _say(f"made {preset_id}"))
    wizard.play_asked.connect(lambda samples: _say(f"played {len(samples) > 0}"))
    wizard.frame.stack.currentChanged.connect(lambda index: _say(f"page {wizard.pages[index].step}"))
    wizard.open_with([takes])
    _say("ready")
    status = application.exec()
    desk.close()
    return status


if __name__ == "__main__":
    sys.exit(main())
