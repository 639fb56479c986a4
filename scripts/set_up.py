"""Makes `.venv`, or brings it up to date: the locked packages by their hashes, wheels alone, and WattQuorum itself.

It stands apart from the package because it must run before anything is installed, on the system's Python. Whether
work is needed is told by a fingerprint of the lock, the package's metadata, the Python and the folder, never by file
times; a lock keeps two `make` calls from installing at once.
"""

import hashlib
import json
import os
import shutil
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
VENV = os.path.join(ROOT, ".venv")
PYTHON = os.path.join(VENV, "bin", "python")
STAMP = os.path.join(VENV, "stamp.json")
PYTHON_MIN = (3, 11)


def stop(sentence: str) -> None:
    """Ends the set-up with one sentence on the error stream."""
    sys.exit("set-up: " + sentence)


def fingerprint() -> dict[str, str]:
    """What the environment depends on, by name: a part that changed tells what must be made again."""
    import tomllib

    with open(os.path.join(ROOT, "requirements.lock"), "rb") as file:
        lock = file.read()
    with open(os.path.join(ROOT, "pyproject.toml"), "rb") as file:
        described = tomllib.load(file)
    metadata = {name: described[name] for name in ("build-system", "project")}
    metadata["hatch"] = described["tool"]["hatch"]
    return {
        "folder": ROOT,
        "python": sys.version + " " + os.path.realpath(sys.executable),
        "lock": hashlib.sha256(lock).hexdigest(),
        "metadata": hashlib.sha256(json.dumps(metadata, sort_keys=True).encode()).hexdigest(),
    }


def installed() -> dict[str, str]:
    """The fingerprint of the environment that exists; empty when there is none or its Python does not start."""
    try:
        with open(STAMP, encoding="utf-8") as file:
            stamp: dict[str, str] = json.load(file)
        subprocess.run([PYTHON, "-c", ""], check=True, stderr=subprocess.DEVNULL)
    except (OSError, ValueError, subprocess.CalledProcessError):
        return {}
    return stamp


def pip(*arguments: str) -> None:
    """Runs the environment's pip; what it says is shown only when it fails, which ends the set-up."""
    command = [PYTHON, "-m", "pip", "--disable-pip-version-check", "--no-input", "install", *arguments]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if ran.returncode:
        stop(f"the packages could not be installed; pip says:\n{ran.stderr}")


def set_up() -> None:
    """Brings `.venv` to what the lock and the metadata ask for, and records that only when all of it is there."""
    wanted, found = fingerprint(), installed()
    if found == wanted:
        return
    print("Setting up .venv (once; about a minute) ...", file=sys.stderr, flush=True)
    if any(found.get(part) != wanted[part] for part in ("folder", "python")):
        shutil.rmtree(VENV, ignore_errors=True)
        made = subprocess.run([sys.executable, "-m", "venv", VENV], capture_output=True, text=True, check=False)
        if made.returncode:
            shutil.rmtree(VENV, ignore_errors=True)
            stop(f"no virtual environment could be made (apt install python3-venv).\n{made.stdout}{made.stderr}")
    elif os.path.exists(STAMP):
        os.remove(STAMP)
    # The lock is complete. Resolving it again would only let a later release in: older pips take `name[extra]`, asked
    # for by a locked package, for a requirement that the lock does not pin.
    pip("--no-deps", "--require-hashes", "--only-binary", ":all:", "--requirement", "requirements.lock")
    pip("--no-deps", "--no-build-isolation", "--editable", ".")
    with open(STAMP, "w", encoding="utf-8") as file:
        json.dump(wanted, file, indent=1)


def main() -> None:
    """Checks the Python, waits for another set-up of this folder to end, and sets up."""
    if sys.version_info < PYTHON_MIN:
        stop("Python 3.11 or later is needed (this is %d.%d); name one: make PYTHON=python3.12" % sys.version_info[:2])
    import fcntl

    with open(os.path.join(ROOT, "scripts", "set_up.py"), "rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        set_up()


if __name__ == "__main__":
    main()
