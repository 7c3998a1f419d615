"""A chapter's parameters, its kept tables and its execution."""
