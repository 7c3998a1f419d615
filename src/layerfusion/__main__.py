"""`python -m layerfusion`, which is also what torchrun starts: `torchrun -m layerfusion train`."""

from layerfusion.cli import main

main()
