"""Adapting the voice to somebody's recordings: what was asked, what was found, the processes that look and train.

The window's process imports `request`, `runs`, `messages` and `link`; `looking`, `training` and `recording` live in
processes of their own, which `processes` starts.
"""
