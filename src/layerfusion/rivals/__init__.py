"""Published detectors on the same frozen encoder and images, to hold the paper's against."""
