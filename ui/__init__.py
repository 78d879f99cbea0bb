"""The window: PySide6 only. Talks to app.services, app.state and app.store; never to torch or devices.

One thread draws and edits; the one worker is the spectrogram's tile pool (ui/canvas/spectrogram.py).
"""
