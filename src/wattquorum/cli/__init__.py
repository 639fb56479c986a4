"""The command `wattquorum`: thin; it reads options, hands in what checks signatures, and prints what comes back."""

from __future__ import annotations

from wattquorum.cli.app import main

__all__ = ["main"]
