"""A detector to ship: a finished run's, or calibrated on its user's images, and its card."""
