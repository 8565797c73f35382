"""Create or refresh the project's virtual environment; does nothing when nothing changed.

Runs on the system Python with the standard library alone, and keeps to syntax that an old
Python can still parse, so that a Python that is too old gets a sentence and not a traceback.
"""

import contextlib
import hashlib
import json
import os
import shutil
import subprocess
import sys
from typing import Any, Dict, Iterator, List, NoReturn, Optional

MINIMUM = (3, 11)
EXTRAS = "board,models,imagenet,parquet,mad,book,dev"


def stop(sentence: str) -> NoReturn:
    """End with one sentence on stderr and exit code 1."""
    sys.stderr.write("make setup: " + sentence + "\n")
    raise SystemExit(1)


def wanted_state(root: str, venv: str) -> Dict[str, Any]:
    """What the environment should have been built from, as a small dict.

    Only the tables of pyproject.toml that change an installation count: editing a lint rule
    must not install anything again.
    """
    import tomllib

    with open(os.path.join(root, "pyproject.toml"), "rb") as file:
        project = tomllib.load(file)
    with open(os.path.join(root, "constraints.txt"), "rb") as file:
        pins = file.read()
    setuptools_table = project.get("tool", {}).get("setuptools", {})
    relevant = [project["build-system"], project["project"], setuptools_table, EXTRAS]
    digest = hashlib.sha256(json.dumps(relevant, sort_keys=True).encode() + pins)
    return {
        "inputs": digest.hexdigest(),
        "venv": venv,
        "python": "%d.%d" % sys.version_info[:2],
    }


def read_stamp(path: str) -> Optional[Dict[str, Any]]:
    """The state the environment was built from, or None if it was never finished."""
    try:
        with open(path, encoding="utf-8") as file:
            found = json.load(file)
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None


@contextlib.contextmanager
def only_one(lock_path: str) -> Iterator[None]:
    """Hold a lock while setting up, so that two make calls do not install at once."""
    try:
        import fcntl
    except ImportError:  # no such lock on Windows: one call at a time is the user's care there
        yield
        return
    with open(lock_path, "w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            print("waiting for another set-up of this folder to end", flush=True)
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def venv_python(venv: str) -> str:
    """Path of the environment's interpreter on this platform."""
    if os.name == "nt":
        return os.path.join(venv, "Scripts", "python.exe")
    return os.path.join(venv, "bin", "python")


def call(arguments: List[str], root: str, log: str, sentence: str) -> None:
    """Run a command, its output into the log; on failure show the log's end and stop."""
    with open(log, "a", encoding="utf-8") as file:
        file.write("$ " + " ".join(arguments) + "\n")
        file.flush()
        code = subprocess.call(arguments, cwd=root, stdout=file, stderr=subprocess.STDOUT)
    if code != 0:
        with open(log, encoding="utf-8", errors="replace") as file:
            sys.stderr.write("".join(file.readlines()[-15:]))
        stop(sentence + "; the whole log is in " + log)


def install(root: str, venv: str, state: Dict[str, Any], stamp: str) -> None:
    """Build the environment and write the stamp last, so that a killed set-up starts over."""
    old = read_stamp(stamp)
    python = venv_python(venv)
    # A folder that was moved or whose Python changed has scripts that point nowhere.
    moved = old is not None and (old.get("venv"), old.get("python")) != (venv, state["python"])
    usable = os.path.exists(python) and not moved
    if os.path.exists(stamp):
        os.remove(stamp)
    log = os.path.join(root, ".venv-setup.log")
    open(log, "w").close()
    print("setting up .venv: 2.4 GB, two to three minutes the first time", flush=True)
    if not usable:
        shutil.rmtree(venv, ignore_errors=True)
        call(
            [sys.executable, "-m", "venv", venv],
            root,
            log,
            "Python could not create .venv (on Debian and Ubuntu: install python3-venv)",
        )
    call(
        [python, "-m", "pip", "install", "--no-input", "--no-compile", "-c", "constraints.txt"]
        + ["-e", ".[" + EXTRAS + "]"],
        root,
        log,
        "pip could not install the packages (no network, or a full disk?), run it again to go on",
    )
    # pip compiles one file after another; here all cores do. Templates among the files, which no
    # Python can compile, are no failure.
    subprocess.call([python, "-m", "compileall", "-q", "-j", "0", venv], stdout=subprocess.DEVNULL)
    with open(stamp + ".part", "w", encoding="utf-8") as file:
        json.dump(state, file)
    os.replace(stamp + ".part", stamp)
    os.remove(log)


def main() -> None:
    """Set up `.venv` beside this folder's pyproject.toml unless it is up to date."""
    if sys.version_info < MINIMUM:
        stop(
            "Python %d.%d or newer is needed and this is %s; install one, or name it: "
            "make PYTHON=/path/to/python3.11" % (MINIMUM + (sys.version.split()[0],))
        )
    root = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    venv = os.path.join(root, ".venv")
    stamp = os.path.join(venv, "thesislib-setup.json")
    state = wanted_state(root, venv)
    if read_stamp(stamp) == state and os.path.exists(venv_python(venv)):
        return
    with only_one(os.path.join(root, ".venv-setup.lock")):
        if read_stamp(stamp) != state:  # the other call may have done it while we waited
            install(root, venv, state, stamp)


if __name__ == "__main__":
    main()
