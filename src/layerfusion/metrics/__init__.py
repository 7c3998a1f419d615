"""Numbers of labels and scores, each with its interval; they know nothing of models."""
