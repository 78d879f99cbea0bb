"""The sound server: a process that owns the output device, and the client that commands it."""
