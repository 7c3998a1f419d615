"""One picture: its level of evidence, whether that is stable, and the metadata of its file."""
