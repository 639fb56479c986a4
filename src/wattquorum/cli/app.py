"""The commands, gathered, and how a refusal becomes a sentence and an exit status.

Exit status: 0 done, 1 the chain or proof is wrong, 2 input was refused, 3 no room, a failing disk, a port that is taken
or a process that was ended, which may be better the next time, 130 interrupted.
"""

from __future__ import annotations

import errno
import sys
from collections.abc import Iterator, Mapping, MutableMapping
from importlib import import_module
from typing import Any, Final, cast

import typer
from rich.console import Console
from typer.core import TyperGroup

from wattquorum import __version__
from wattquorum.cli import INTERRUPTED
from wattquorum.cli.files import is_of_database
from wattquorum.foundation.refusals import Refused

WRONG: Final = 1
REFUSED: Final = 2
DISK: Final = 3
DISK_CODES: Final = ("disk_full", "disk_failed", "address_in_use")
WRONG_CODES: Final = (
    "backup_altered",
    "chain_altered",
    "chain_truncated",
    "commitment_wrong",
    "conservation_broken",
    "end_unexpected",
    "evidence_wrong",
    "file_unknown",
    "header_gap",
    "log_missing",
    "proof_wrong",
    "rows_missing",
    "seal_forged",
    "signers_wrong",
    "snapshot_wrong",
    "wal_damaged",
    "wal_foreign",
)

COMMANDS: Final = {
    "week": "weeks.week",
    "audit": "chains.audit",
    "export": "chains.export",
    "forget": "chains.forget",
    "prove": "chains.prove",
    "verify": "chains.verify",
    "records": "chains.records",
    "bill": "bills.bill",
    "certificates": "certificates.app",
    "standing": "standing.app",
    "report": "weeks.report",
    "chaos": "chaos.chaos",
    "lab": "lab.commands",
    "community": "communities.app",
    "invite": "communities.invite",
    "join": "communities.join",
    "keys": "keys.keys",
    "members": "members.commands",
    "elections": "elections.commands",
    "leader": "leader.commands",
    "light": "light.commands",
    "backup": "backups.backup",
    "restore": "backups.restore",
    "restart": "restarts.commands",
    "up": "nodes.up",
    "status": "nodes.status",
    "node": "nodes.node_commands",
    "wal": "wal.commands",
}  # and where each stands, a command or a group of them


class _Loaded(Mapping[str, Any]):
    """Commands by name; a module is loaded when one of its commands is looked at, since some take a second."""

    def __init__(self) -> None:
        self._found: dict[str, Any] = {}

    def __getitem__(self, name: str) -> Any:
        if name not in self._found:
            module, _, place = COMMANDS[name].partition(".")
            one = typer.Typer(rich_markup_mode="rich")
            what = getattr(import_module(f"wattquorum.cli.{module}"), place)
            if isinstance(what, typer.Typer):
                one.add_typer(what, name=name)
            else:
                one.command(name)(what)
            self._found[name] = _flowing(typer.main.get_group(one).commands[name])
        return self._found[name]

    def __iter__(self) -> Iterator[str]:
        return iter(COMMANDS)

    def __len__(self) -> int:
        return len(COMMANDS)


def _flowing(command: Any) -> Any:
    """A command whose help, and that of all below it, breaks where the screen ends and not where the source does."""
    if command.help is not None:
        command.help = "\n\n".join(" ".join(each.split()) for each in command.help.split("\n\n"))
    for each in getattr(command, "commands", {}).values():
        _flowing(each)
    return command


class _Commands(TyperGroup):
    """The group of all."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**{**settings, "commands": None})
        self.commands = cast(MutableMapping[str, Any], _Loaded())


app = typer.Typer(
    cls=_Commands,
    help="Trade power peer to peer on a permissioned ledger, and check every number of it.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"wattquorum {__version__}")
        raise typer.Exit


@app.callback()
def options(
    version: bool = typer.Option(False, "--version", callback=_version, is_eager=True, help="Print the version."),
) -> None:
    """Trade power peer to peer on a permissioned ledger, and check every number of it."""


def main() -> None:
    """Runs the command line and turns refusals into one sentence and an exit status."""
    errors = Console(stderr=True, highlight=False, soft_wrap=True)
    try:
        app()
    except Refused as refused:
        wrong = refused.code in WRONG_CODES
        errors.print(f"[bold red]{'wrong' if wrong else 'refused'}:[/] ", end="")
        errors.print(str(refused), markup=False)
        sys.exit(DISK if refused.code in DISK_CODES else WRONG if wrong else REFUSED)
    except OSError as fault:
        errors.print("[bold red]refused:[/] ", end="")
        said = f"{fault.filename or 'a file'} cannot be used (found: {fault.strerror}). Choose another."
        errors.print(f"file_unreadable: {said}", markup=False)
        sys.exit(DISK if fault.errno == errno.ENOSPC else REFUSED)
    except KeyboardInterrupt:
        errors.print("interrupted")
        sys.exit(INTERRUPTED)
    except Exception as fault:
        told = _told(fault)
        if told is None:
            raise
        word, what, status = told
        errors.print(f"[bold red]{word}:[/] ", end="")
        errors.print(what, markup=False)
        sys.exit(status)


def _told(fault: Exception) -> tuple[str, str, int] | None:
    """How a fault that is no refusal is told, and with which status; what defines it is loaded only now."""
    from wattquorum.ledger.audit import AuditFault
    from wattquorum.node.verification import CheckerEnded
    from wattquorum.records.file_faults import FileFaults

    if isinstance(fault, AuditFault):
        return "wrong", str(fault), WRONG
    if isinstance(fault, FileFaults):
        return "refused", str(fault), REFUSED
    if isinstance(fault, CheckerEnded):
        return "failed", str(fault), DISK
    if is_of_database(fault):
        return "refused", f"file_unreadable: the database says: {fault.args[0]}. Choose another.", REFUSED
    return None
