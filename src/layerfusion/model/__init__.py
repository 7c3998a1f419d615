"""The detector's parts, and the weights that they are filled with."""
