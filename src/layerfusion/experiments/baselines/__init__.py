"""Published detectors on the same frozen encoder and images, compared with the paper's head."""
