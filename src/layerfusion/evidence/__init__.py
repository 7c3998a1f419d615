"""One picture: what a score means in words, how firm it is, and what else the file says."""
