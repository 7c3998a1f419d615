"""The paper's own numbers, and whether they agree with each other."""
