"""MediaEval's task: the file that is handed in, and whether it keeps the rules."""
