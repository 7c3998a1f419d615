"""The demo's own world: scenes, cameras, generators, platforms, and its encoder's training."""
