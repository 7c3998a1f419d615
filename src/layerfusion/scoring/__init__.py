"""From images and a detector to one table of predictions."""
