"""A finished run as a detector to ship: its head, rounded, and a card of what to know of it."""
