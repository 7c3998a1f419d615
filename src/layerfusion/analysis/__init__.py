"""What finished runs say: comparisons, effects, errors, probes, shortcut features."""
