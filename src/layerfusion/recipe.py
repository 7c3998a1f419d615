"""The number of the recipe by which images become numbers.

It stands for reading, transforms, sampling, training, scoring, degradations and the demo's
pictures, and is part of every key of a stored result. Raise it when a change moves a number: the
golden run (tests/test_golden_run.py) fails when numbers move and this does not. Moving or renaming
code needs no other number.
"""

RECIPE = 1
