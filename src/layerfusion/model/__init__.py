"""The detector and what it is made of."""
