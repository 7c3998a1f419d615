"""Where images come from, a file a data set; all give the same columns."""
