"""The demo's own world: scenes, cameras, generators and platforms."""
