"""What finished runs say: claims, comparisons, calibration, errors, probes, short cuts."""
