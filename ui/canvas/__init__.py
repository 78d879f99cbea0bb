"""What is painted: the time axis, the strips along it, and their scaling."""
