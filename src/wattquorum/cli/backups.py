"""`wattquorum backup` and `wattquorum restore`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final

import typer
from rich.console import Console

from wattquorum import __version__
from wattquorum.cli.chains import progress_bar
from wattquorum.cli.files import writing
from wattquorum.foundation.intervals import format_moment
from wattquorum.foundation.quantities import Millis
from wattquorum.foundation.refusals import Refused
from wattquorum.node.verification import processes

STATUS_S: Final = 5.0
DECIDED_WITHOUT = "what other nodes have decided since is not in it"


def backup(
    folder: Annotated[Path, typer.Argument(help="The node's folder, which has its node.toml.")],
    to: Annotated[Path, typer.Option(help="The folder to make; it must not exist.")],
) -> None:
    """Copy a node's chain into a backup, and check it.

    The node may run: it copies its chain itself, asked over the control socket in its folder, and goes on meanwhile.
    Of a node that is stopped the folder is copied. The copy is audited, every file gets its checksum in manifest.json,
    and only then the backup has its name: what is there under it is whole.

    A backup holds the chain with its readings and no secret. Keep ledger.key, tls.pem and node.toml of every node
    elsewhere. It never holds the write-ahead log: a node that came back with old promises could harm the others. See
    `wattquorum restore --help`.
    """
    from wattquorum.node import backup as backups
    from wattquorum.node.auditing import audit_folder
    from wattquorum.node.chain_folder import ChainFolder
    from wattquorum.node.control import ask
    from wattquorum.node.node_folder import LEDGER_KEY, ledger_key

    to = to.absolute()
    copy = backups.unfinished(to)
    console = Console(highlight=False, soft_wrap=True)
    with writing(to):
        to.parent.mkdir(parents=True, exist_ok=True)
        try:
            _check_answers(folder.absolute())
            copied = backups.Copied(**ask(folder.absolute(), {"do": "backup", "to": str(copy)}))
            running = True
        except Refused as refused:
            if refused.code != "node_stopped":
                raise
            running = False
            key = ledger_key(folder) if (folder / LEDGER_KEY).exists() else None
            copied = backups.copy_stopped(folder, copy, key)
        with progress_bar("blocks") as step, processes() as verify, ChainFolder(copy / backups.CHAIN) as chain:
            audited = audit_folder(chain, verify, lambda _: step(copied.height))
        manifest = backups.finish(copy, to, copied, backups.now_ms(), __version__)
    size = sum(each.size for each in manifest.files.values())
    console.print(f"backup  {to}", markup=False)
    console.print(f"chain   {manifest.chain}")
    console.print(f"height  {manifest.height:,} of a node that {'runs' if running else 'is stopped'}; audited")
    console.print(f"block   {manifest.block}")
    console.print(f"size    {size:,} bytes in {len(manifest.files)} files")
    if running and not manifest.current:
        console.print(f"No quorum answered: {DECIDED_WITHOUT}.")
    if not running:
        console.print(f"The node was not running: {DECIDED_WITHOUT}, nor what only its log has if it was killed.")
    if audited.forgotten:
        console.print(f"Rows of readings before block {audited.forgotten:,} were deleted before their time.")


def _check_answers(folder: Path) -> None:
    """Refused("undecided") for a node that runs and says nothing: a copy is waited for much longer than this."""
    from wattquorum.node.control import ask

    try:
        ask(folder, {"do": "status"}, STATUS_S)
    except Refused as refused:
        if refused.code != "undecided":
            raise
        remedy = (
            "Its process runs and says nothing, as one that is paused does: let it go on or end it, then try again."
        )
        raise Refused("undecided", "folder", f"{folder}: no answer in {STATUS_S:g} s", remedy) from None


def restore(
    backup: Annotated[Path, typer.Argument(help="A backup, as `wattquorum backup` made it.")],
    to: Annotated[Path, typer.Option(help="The node's folder; it may hold keys, but no chain and no log.")],
    disaster: Annotated[
        bool, typer.Option("--disaster", help="Bring the whole community back from this backup. Read below.")
    ] = False,
    attempt: Annotated[
        int, typer.Option(help="With --disaster: how often this backup is used for that; the same on all nodes.")
    ] = 1,
    act: Annotated[
        Path | None,
        typer.Option(help="With --disaster where a committee agrees: governors' act, signed.", show_default=False),
    ] = None,
) -> None:
    """Make a node's folder from a backup, after checking and auditing all of it.

    [bold]One node, while the others go on.[/] Without --disaster the folder becomes that of a new replica: it has the
    chain, a ledger key of its own, and has promised nothing. A replica's votes are in no backup, since a replica that
    forgot what it promised can undo what the others decided; so its old key is refused. First `wattquorum join` with a
    new invitation, then this into the same folder, then `wattquorum members add` gives it a seat and `members remove`
    takes the old one.

    [bold]The whole community, when so many nodes are lost that no quorum is left.[/] With --disaster, and only while
    every node of the community is stopped: every node, the surviving ones too, is restored from one and the same
    backup, into a folder with its old keys and without its old chain and log; move these away before. All begin at
    the backup's block in a term above all earlier ones. What was decided after the backup is lost, also what clients
    were told; a node that comes back with its old log finds itself diverged and stops. If recovery has to be repeated
    from the same backup, count on: --attempt 2. Take the newest backup that any node has or can make: `wattquorum
    backup` of a stopped node's folder makes one.

    Where a committee agrees (pbft, cgpbft), governors say from which block and with whom the chain goes on: see
    `wattquorum restart`, and give their act with --act. Where survivors have their folders whole no backup is needed.
    """
    from wattquorum.node import restoring
    from wattquorum.node.disk import read_file
    from wattquorum.node.restarting import read_act

    console = Console(highlight=False, soft_wrap=True)
    if attempt != 1 and not disaster:
        raise Refused("out_of_range", "attempt", attempt, "It belongs to --disaster.")
    if act is not None and not disaster:
        raise Refused("out_of_range", "act", act, "It belongs to --disaster.")
    if backup.resolve() in (to.resolve(), *to.resolve().parents):
        remedy = "A backup stays as it is: restore into a folder of the node's own."
        raise Refused("out_of_range", "to", f"{to}, in the backup itself", remedy)
    signed = read_act(read_file(act, str(act))) if act is not None else None
    with writing(to), progress_bar("blocks") as step, processes() as verify:

        def on_block(_height: int, of: int) -> None:
            step(of)

        if disaster:
            found = restoring.recover(backup, to, verify, attempt, on_block, signed)
        else:
            found = restoring.restore(backup, to, verify, on_block)
    manifest = found.manifest
    console.print(f"folder   {to}", markup=False)
    console.print(f"height   {manifest.height:,}, as of {format_moment(Millis(manifest.made_ms))}")
    console.print(f"block    {manifest.block}")
    console.print(f"replica  {found.address.hex()}")
    if signed is not None:
        restart = signed.restart
        console.print(f"from     block {restart.height:,}, {restart.block.hex()}; committee version {restart.version}")
        console.print(
            "Restore every other node that the act names from the same backup before any is started. What was decided "
            "after the act's block is lost: tell the members, and the act's digest."
        )
        return
    if disaster:
        console.print(f"term     {found.term:,}")
        console.print(
            "Restore every other node from the same backup before any is started; they must print the same block and "
            "term. What was decided after this block is lost: tell the members."
        )
        return
    console.print(f"key      {found.public.hex()}{' (new)' if found.new_key else ''}")
    console.print("It has promised nothing and votes for nothing until it gets a seat: `wattquorum members add`.")
    if not (to / "tls.pem").exists():
        console.print("It is not admitted yet: `wattquorum join` with an invitation, into the same folder.")
