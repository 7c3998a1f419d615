"""The detector: encoder, fusion and weights. It knows nothing of files of images."""
