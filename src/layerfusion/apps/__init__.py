"""What is done with a detector: looking at one picture, shipping it, taking part in the task."""
