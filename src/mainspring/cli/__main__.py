"""`python -m mainspring.cli`."""

from mainspring.cli import main

main()
