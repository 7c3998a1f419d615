"""A small world of the project's own: scenes, cameras, generators, platforms, and an encoder."""
