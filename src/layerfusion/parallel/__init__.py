"""Several processes as one run: how they were started, share work and stop."""
