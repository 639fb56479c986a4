"""The command `wattquorum`: thin; it reads options, hands in what checks signatures, and prints what comes back."""

from __future__ import annotations

import sys
from typing import Final

__all__ = ["main"]
INTERRUPTED: Final = 130


def main() -> None:
    """Runs the command line. While it is loaded Ctrl-C ends it as quietly as later."""
    try:
        from wattquorum.cli.app import main as run
    except KeyboardInterrupt:
        sys.stderr.write("interrupted\n")
        sys.exit(INTERRUPTED)
    run()
