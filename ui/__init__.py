"""The window: PySide6 only. Talks to app.services, app.state and app.store; never to torch or devices.

One thread draws and edits; the one worker is the spectrogram's tile pool (ui/canvas/spectrogram.py).
"""

from ui.qt_workarounds import keep_constants_alive

keep_constants_alive()  # before the first Qt call, whichever module of this package makes it
