"""The commands, gathered, and how a refusal becomes a sentence and an exit status.

Exit status: 0 done, 1 the chain or proof is wrong, 2 input was refused, 3 no room, a failing disk, a port that is taken
or a process that was ended, which may be better the next time, 130 interrupted.
"""

from __future__ import annotations

import errno
import sys
from typing import Final

import typer
from rich.console import Console

from wattquorum import __version__
from wattquorum.cli import (
    INTERRUPTED,
    backups,
    bills,
    certificates,
    chains,
    chaos,
    communities,
    elections,
    keys,
    lab,
    leader,
    light,
    members,
    nodes,
    restarts,
    standing,
    wal,
    weeks,
)
from wattquorum.cli.files import is_of_database
from wattquorum.foundation.refusals import Refused
from wattquorum.ledger.audit import AuditFault
from wattquorum.node.verification import CheckerEnded
from wattquorum.records.file_faults import FileFaults

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

app = typer.Typer(
    help="Trade power peer to peer on a permissioned ledger, and check every number of it.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
)
app.command("week")(weeks.week)
app.command("audit")(chains.audit)
app.command("export")(chains.export)
app.command("forget")(chains.forget)
app.command("prove")(chains.prove)
app.command("verify")(chains.verify)
app.command("records")(chains.records)
app.command("bill")(bills.bill)
app.add_typer(certificates.app, name="certificates")
app.add_typer(standing.app, name="standing")
app.command("report")(weeks.report)
app.command("chaos")(chaos.chaos)
app.add_typer(lab.commands, name="lab")
app.add_typer(communities.app, name="community")
app.command("invite")(communities.invite)
app.command("join")(communities.join)
app.command("keys")(keys.keys)
app.add_typer(members.commands, name="members")
app.add_typer(elections.commands, name="elections")
app.add_typer(leader.commands, name="leader")
app.add_typer(light.commands, name="light")
app.command("backup")(backups.backup)
app.command("restore")(backups.restore)
app.add_typer(restarts.commands, name="restart")
app.command("up")(nodes.up)
app.command("status")(nodes.status)
app.add_typer(nodes.node_commands, name="node")
app.add_typer(wal.commands, name="wal")


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
    except AuditFault as fault:
        errors.print("[bold red]wrong:[/] ", end="")
        errors.print(str(fault), markup=False)
        sys.exit(WRONG)
    except Refused as refused:
        wrong = refused.code in WRONG_CODES
        errors.print(f"[bold red]{'wrong' if wrong else 'refused'}:[/] ", end="")
        errors.print(str(refused), markup=False)
        sys.exit(DISK if refused.code in DISK_CODES else WRONG if wrong else REFUSED)
    except FileFaults as faults:
        errors.print("[bold red]refused:[/] ", end="")
        errors.print(str(faults), markup=False)
        sys.exit(REFUSED)
    except OSError as fault:
        errors.print("[bold red]refused:[/] ", end="")
        said = f"{fault.filename or 'a file'} cannot be used (found: {fault.strerror}). Choose another."
        errors.print(f"file_unreadable: {said}", markup=False)
        sys.exit(DISK if fault.errno == errno.ENOSPC else REFUSED)
    except CheckerEnded as ended:
        errors.print("[bold red]failed:[/] ", end="")
        errors.print(str(ended), markup=False)
        sys.exit(DISK)
    except KeyboardInterrupt:
        errors.print("interrupted")
        sys.exit(INTERRUPTED)
    except Exception as fault:
        if not is_of_database(fault):
            raise
        errors.print("[bold red]refused:[/] ", end="")
        errors.print(f"file_unreadable: the database says: {fault.args[0]}. Choose another.", markup=False)
        sys.exit(REFUSED)
