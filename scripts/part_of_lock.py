"""Prints the part of requirements.lock that an image needs: what runs, or what builds, with the same pins and hashes.

    python part_of_lock.py requirements.lock            # what WattQuorum needs to run
    python part_of_lock.py requirements.lock build      # what its wheel is built with

The lock holds the packages of every group and says of each who needs it. A package is printed if WattQuorum itself
needs it for what was asked for, or another printed package does. It runs before anything is installed.
"""

import re
import sys

ROOT = "wattquorum (pyproject.toml)"


def packages(lock: str) -> dict[str, tuple[str, list[str]]]:
    """Every package of a lock: its lines, and who needs it. All lines where it has several pins."""
    found: dict[str, tuple[str, list[str]]] = {}
    for block in re.split(r"^(?=[A-Za-z0-9])", lock, flags=re.MULTILINE):
        name = re.match(r"([A-Za-z0-9._-]+)==", block)
        if name is not None:
            lines = block.splitlines(keepends=True)
            needed_by = [line.strip(" #\n").removeprefix("via").strip() for line in lines if line.startswith("    #")]
            before, already = found.get(name[1], ("", []))
            pinned = "".join(line for line in lines if not line.startswith("    #"))
            found[name[1]] = before + pinned, already + needed_by
    return found


def part(lock: str, group: str = "") -> str:
    """The lines of what is needed, in the lock's order; an error where the lock says of nothing that it is."""
    known = packages(lock)
    root = ROOT.replace(")", f":{group})") if group else ROOT
    needed: dict[str, None] = {}
    while True:
        before = len(needed)
        for name, (_, needed_by) in known.items():
            if name not in needed and any(each == root or each in needed for each in needed_by):
                needed[name] = None
        if len(needed) == before:
            break
    if not needed:
        sys.exit(f"nothing in this lock is needed by {root}")
    return "".join(lines for name, (lines, _) in known.items() if name in needed)


if __name__ == "__main__":
    with open(sys.argv[1], encoding="utf-8") as file:
        sys.stdout.write(part(file.read(), *sys.argv[2:3]))
