"""The obvious way to write it, to measure against: honest, correct, and the same numbers."""
