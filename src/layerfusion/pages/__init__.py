"""What the book shows: figures and tables, and how its chapters are executed."""
