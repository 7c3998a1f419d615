"""A run from its profile to its record, and its predictions under other conditions."""
