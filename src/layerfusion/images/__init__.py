"""One image: how it is read, degraded, cropped and augmented."""
