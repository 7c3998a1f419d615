"""The two classes of images: their labels and the field's words for them."""

CLASSES = {0: "real", 1: "synthetic"}
REAL, SYNTHETIC = CLASSES
