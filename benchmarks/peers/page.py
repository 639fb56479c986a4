"""The page: docs/performance.md and its plot, written from the results and held to them by a test.

What is counted is said in numbers of the results alone; what the text adds is how it is measured and where the time
goes, which a profile showed and no sitting measures.
"""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import Final

from benchmarks.peers.plot import drawn
from benchmarks.peers.results import (
    CLIENTS,
    ETCD,
    ETCD_QUICK,
    LOADED,
    NOISE_PERCENT,
    OURS,
    PYSYNCOBJ,
    ROUNDS_MIN,
    SKELETON,
    Results,
    Target,
    counted,
    middle,
    middle_outage,
    read,
    targets,
)

DOCS: Final = Path(__file__).resolve().parents[2] / "docs"
RESULTS: Final = DOCS / "performance.json"
PAGE: Final = DOCS / "performance.md"
PLOT: Final = DOCS / "performance.svg"
COLUMNS: Final = 116
DIGITS: Final = {"x": 2, "slot": 1}  # after the point

HOW: Final = """
Three replicas of each system run on one machine, over the loopback, with their data on one disk, and are loaded by
closed loops: a client sends its next entry of 128 bytes when its last one is answered. Clients share connections (1,
8 and 16 for 1, 64 and 1,024 clients), ours and etcd's alike. One sitting measures all systems in turns, forwards and
backwards.

- **ours**: three processes with the engine, log, transport and runtime that ship; every acknowledged entry is synced
  to the disk on two of three replicas, and all that replicas say goes over mutual TLS 1.3. The machine above the
  engine does nothing with an entry. Election timeout 300 ms, heartbeat 50 ms. The client is a program in Python.
- **etcd**: Debian's, with its own defaults (heartbeat 100 ms, election 1,000 ms, fsync), without TLS, and a key-value
  store above its log, which ours has not. The client is compiled. For failover it is measured a second time with our
  times.
- **PySyncObj**: with a journal that it never syncs to the disk, without TLS; its clients run inside the leader and
  pay no connection. Both are in its favour.
- **skeleton**: three processes in Python that pass batches on and sync them: no consensus, no TLS, nothing that could
  be relied on. It is the floor of what Python can do here, loaded by the same program as ours.
"""

TIME: Final = """
By py-spy, by time stamps in all three processes and by the processor time that the kernel counts, on this machine and
not in the sitting above:

- **1 client**: the leader's loop spends some 40 % of the time in fdatasync, 20 % in writes to sockets (each wakes
  another process up), 20 % in reading and waiting, and about 10 % in the engine and everything else that is Python.
  Three syncs at once on one disk and one file system journal take 0.2 ms and more each, where one alone takes 0.08
  ms; replicas on disks of their own do not have that. An entry costs 0.5 ms of processor time at the leader and 0.35
  ms at each follower, which share two cores; etcd's costs about as much in all, in fewer turns. To get from here to
  the skeleton, which has the same trips and syncs: fewer wake-ups (reading, stepping and answering in one turn), no
  second encoding and check of what the connection carries, and cores or disks that replicas do not share.
- **64 clients**: the same turns, shared by the entries of a batch: 20 us of an entry at the leader and 13 us at each
  follower, against 105 us and 43 us of etcd's. Two batches are under way at most, so that what comes meanwhile shares
  one.
- **1,024 clients**: 3 us at the leader and 2 us at each follower, against 93 us and 33 us. What is left depends on
  the number of entries: cutting them out of the stream, making objects of them, encoding and strictly decoding them.
  Appends are encoded once for all followers that are equally far. A compiled engine (the classes are made for it) and
  a log that holds batches would be the next steps.
"""


def _filled(text: str) -> str:
    """Paragraphs and points, in lines of one width."""
    found = []
    for block in text.strip().split("\n\n"):
        points = ("\n" + block).split("\n- ")
        for number, point in enumerate(points):
            said = " ".join(point.split())
            if said:
                first = "- " if number else ""
                found.append(
                    textwrap.fill(
                        said,
                        COLUMNS,
                        initial_indent=first,
                        subsequent_indent="  " if first else "",
                        break_on_hyphens=False,
                        break_long_words=False,
                    )
                )
        found.append("")
    return "\n".join(found)


def _number(value: float | None, digits: int = 0) -> str:
    return "-" if value is None else f"{value:,.{digits}f}"


def _loads(results: Results) -> list[str]:
    lines = ["| system | clients | entries a second | p50 [ms] | p99 [ms] |", "|---|---:|---:|---:|---:|"]
    for clients in CLIENTS:
        for system in LOADED:
            rate = middle(results, system, clients, "rate")
            if rate is not None:
                times = (_number(middle(results, system, clients, field), 2) for field in ("p50_ms", "p99_ms"))
                lines.append(f"| {system} | {clients:,} | {_number(rate)} | {' | '.join(times)} |")
    return lines


def _verdict(target: Target) -> str:
    if target.found is None:
        return "not measured"
    if target.wanted is None:
        return "to be compared"
    if target.met:
        return f"met, in {target.of}" if target.of else "met"
    return f"**missed by {target.missed_by:.0f} %**" if target.wanted else "**missed**"


def _targets(results: Results) -> list[str]:
    lines = ["| what | target | measured | |", "|---|---:|---:|---|"]
    for target in targets(results):
        unit = f" {target.unit}" if target.unit else ""
        limit = (
            "" if target.wanted is None else f"{'at most' if target.at_most else 'at least'} {target.wanted:g}{unit}"
        )
        unit = f" {target.unit}" if target.unit and target.found is not None else ""
        found = _number(target.found, DIGITS.get(target.unit, 0))
        lines.append(f"| {target.name} | {limit} | {found}{unit} | {_verdict(target)} |")
    return lines


def _noise(results: Results) -> str:
    numbers, quiet = counted(results.rounds)
    made = len({each.round for each in results.rounds})
    worst = max((each.others_percent for each in results.rounds), default=0.0)
    if quiet:
        thrown = made - len(numbers)
        told = "none was" if not thrown else "one was" if thrown == 1 else f"{thrown} were"
        few = (
            ""
            if len(numbers) >= ROUNDS_MIN
            else f" **Fewer than {ROUNDS_MIN} rounds: run it again for numbers to keep.**"
        )
        return (
            f"Of {made} round{'s' if made > 1 else ''} {told} thrown away because others used more than "
            f"{NOISE_PERCENT:.0f} % of the cores; medians are over {len(numbers)}.{few}"
        )
    return (
        f"**The machine was busy with other work**: fewer than {ROUNDS_MIN} of {made} rounds had less than "
        f"{NOISE_PERCENT:.0f} % of the cores used by others (up to {worst:.0f} %), so none could be thrown away and "
        "medians are over all of them. Ratios are of systems that took turns; the numbers themselves are lower than a "
        "quiet machine's. Run the command again on a quiet one."
    )


def _outages(results: Results) -> list[str]:
    lines = ["| system | kills | median [ms] | shortest | longest | ours, of it |", "|---|---:|---:|---:|---:|---:|"]
    ours = middle_outage(results, OURS)
    for system in (OURS, ETCD, ETCD_QUICK, PYSYNCOBJ):
        found = sorted(each.ms for each in results.outages if each.system == system)
        if found:
            middle_ = middle_outage(results, system)
            ratio = f"{ours / middle_:.2f} x" if ours is not None and middle_ and system != OURS else ""
            span = f"{found[0]:,.0f} | {found[-1]:,.0f}"
            lines.append(f"| {system} | {len(found)} | {_number(middle_)} | {span} | {ratio} |")
    return lines


def _kills(results: Results) -> str:
    """What the runs of the torture came to."""
    said = [
        f"- `{run.command}` on {run.day} (revision {run.revision}): {run.kills:,} kills"
        f"{' that lose un-synced pages' if run.drops else ''}, {run.leaders:,} of them of who led; "
        f"{run.writes:,} acknowledged writes, {'none' if not run.lost else f'**{run.lost:,}**'} lost."
        for run in results.tortured
    ]
    return _filled("\n".join(said)) if said else "- No such run is counted.\n"


def _pairs(results: Results) -> str:
    said = []
    for kind, told in (
        ("signed", "Signed transfers decided a second, and signatures that PyNaCl alone checks a second on all cores"),
        ("weights", "Entries a second with weighted and with counting quorums, at 64 clients"),
        ("ranks", "Outages in ms of five, with the heaviest dead too and with the leader alone"),
        ("powers", "p99 in ms at 64 clients, while powers change four times a second and steady"),
    ):
        pairs = [each for each in results.pairs if each.kind == kind]
        digits = 2 if kind == "powers" else 0
        if pairs:
            numbers = ", ".join(f"{_number(each.one, digits)} and {_number(each.other, digits)}" for each in pairs)
            said.append(f"- {told}: {numbers}.")
    if results.saturated:
        rate, seconds = results.saturated["rate"], results.saturated["seconds"]
        said.append(
            f"- {seconds:.0f} seconds of 1,024 clients: {_number(rate)} entries a second, "
            f"{results.saturated['elections']:.0f} elections, {results.saturated['failed']:.0f} failed writes."
        )
    return _filled("\n".join(said))


def text(results: Results) -> str:
    """The page."""
    about = results.about
    floor = middle(results, OURS, 1, "p50_ms"), middle(results, SKELETON, 1, "p50_ms")
    lines = [
        "# Performance beside etcd and PySyncObj",
        "",
        "<!-- Written by `make bench-peers` from performance.json; change benchmarks/peers/page.py. -->",
        "",
        _filled(
            f"Measured on {about['day']} with `{about['command']}` (revision {about['revision']}, "
            f"{about['minutes']} minutes): {about['machine']}; Python {about['python']}; etcd {about['etcd']}, "
            f"PySyncObj {about['PySyncObj']}. Each load lasted {about['seconds']} s after one that nobody counts. "
            + _noise(results)
        ),
        "![Throughput and failover](performance.svg)",
        "",
        "## Targets",
        "",
        *_targets(results),
        "",
        "## Loads",
        "",
        *_loads(results),
        "",
    ]
    if floor[0] is not None and floor[1] is not None:
        lines += [_filled(f"At 1 client ours takes {floor[0] / floor[1]:.1f} times as long as the skeleton (p50).")]
    lines += ["## Failover", "", _filled(FAILOVER), *_outages(results), ""]
    lines += [_filled(SLOT)]
    lines += ["## Ours beside ours", "", _pairs(results)]
    lines += ["## Kills", "", _filled(KILLS), _kills(results), _filled(EARLIER)]
    lines += ["## How it is measured", "", _filled(HOW), "## Where the time goes", "", _filled(TIME)]
    lines += ["## To measure it again", "", _filled(AGAIN)]
    return "\n".join(lines).rstrip("\n") + "\n"


FAILOVER: Final = """
The leader is killed (SIGKILL), and survivors are asked every 5 ms until one decides a write. The one that was killed
is started again before the next kill.
"""

SLOT: Final = """
Who campaigns next is decided by rank, and a dead rank costs one slot. By how much longer nobody can write when the
heaviest member is dead too is measured on five replicas with 24, 22 and three times 18 % of the power, which agree on
slots of 50 ms, longer than those above, so that chance, which draws within a slot, does not hide the difference: the
leader is killed, and the leader with the heaviest of the others, in turns. The difference is that of the medians, to
the tenth of a slot.
"""

KILLS: Final = """
Whether anything that was acknowledged is lost is not measured in the sitting above, whose entries mean nothing, but
by [the torture](operations.md#how-it-is-tried) of five whole nodes, whose clients' histories and chains are judged:
"""

EARLIER: Final = """
Runs before these, of earlier revisions, with and without `--drops`, came to 845 kills and to 977 that lose un-synced
pages, and lost no acknowledged write either; their folders were not kept.
"""

AGAIN: Final = """
`make bench-peers ARGS=--setup` says what has to be installed (etcd and Go, from Debian's packages) and builds the
rest; `make bench-peers` measures everything and writes this page. Loads, weights, signed transfers and powers take
about 12 minutes on a quiet machine, 50 kills of each system another 15; `--kills 5` or `--only load` make it shorter,
`--saturated 600` looks for elections for 10 minutes. Nothing else should run meanwhile: what others use is measured,
and a round with more than a tenth of the cores is thrown away and made again. Kills are counted by `make bench-peers
ARGS='--tortured FOLDER ...'` from what `make torture ARGS='--kills 500 --folder FOLDER'` kept, and stay on the page
until they are counted anew.
"""


def write() -> None:
    """Page and plot, from the results that are kept."""
    results = read(RESULTS)
    PAGE.write_text(text(results), encoding="utf-8")
    PLOT.write_text(drawn(results), encoding="utf-8")
