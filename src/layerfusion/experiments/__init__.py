"""Studies: detectors made over several seeds, scored under conditions, and compared."""
