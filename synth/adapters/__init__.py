"""Adapters as they are played: files, what they add to which layer, and their mixture while it sounds."""
