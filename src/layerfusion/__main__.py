"""`python -m layerfusion`; with torchrun, `torchrun -m -- layerfusion train`.

Without the two dashes torchrun takes `--run` for an option of its own.
"""

from layerfusion.cli.main import main

main()
