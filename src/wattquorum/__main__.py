"""`python -m wattquorum` is the command `wattquorum`."""

from wattquorum.cli import main

main()
