"""Sound and model code: no threads, no Qt, no devices."""
