"""`wattquorum keys`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from wattquorum.cli.files import writing
from wattquorum.foundation.identities import SigningKey
from wattquorum.foundation.refusals import Refused

SEED_BYTES = 32


def keys(out: Annotated[Path, typer.Argument(help="The file for the secret seed; it must not exist.")]) -> None:
    """Make a random key pair for a live chain.

    The secret goes into a file that only you can read; the public key is printed. Nobody can recover a lost secret,
    but governors can give an account a new key.
    """
    seed = os.urandom(SEED_BYTES)
    with writing(out):
        try:
            descriptor = os.open(out, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError:
            raise Refused("file_exists", "out", out) from None
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(seed.hex() + "\n")
            file.flush()
            os.fsync(file.fileno())
    typer.echo(f"secret   {out}")
    typer.echo(f"public   {SigningKey(seed).public.hex()}")
