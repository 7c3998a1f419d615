"""From files to batches: the manifest, where images come from, how they are loaded."""
