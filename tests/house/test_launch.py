"""What is loaded before the script runs, and what the script itself loads: both are paid for at every start."""

from __future__ import annotations

import os
import subprocess
import sys

import support

# Audit events are raised by whatever starts the child; the first one is the launch.
AT_FORK = """
import sys
def hook(event, args, seen=[]):
    if event in ("os.fork", "os.forkpty", "os.posix_spawn", "os.exec", "subprocess.Popen") and not seen:
        seen.append(event)
        loaded = sorted(sys.modules)
        with open("loaded.txt", "w") as file:
            file.write("\\n".join(loaded))
sys.addaudithook(hook)
from ckptrun.cli import main
sys.argv = ["ckptrun", "train", "--again", "script.py"]
main()
"""
LIBRARIES = "import click, ctypes, msgspec, xxhash\nfrom filelock import FileLock, Timeout"  # and what these bring along
with open(os.path.join(os.path.dirname(__file__), "launch_modules.txt"), encoding="ascii") as _file:
    LISTED = set(_file.read().split())


def test_only_what_is_on_the_list_is_loaded_before_the_child_runs(tmp_path):
    """A module more is a millisecond or so more for every start: put it on the list if it is worth that, or import it where it is used."""
    support.write_files(tmp_path, {"script.py": "print('hello')\n"})
    for attempt in ("first", "second"):
        done = support.run([sys.executable, "-c", AT_FORK], cwd=tmp_path)
        assert done.returncode == 0, done.stdout + done.stderr
        loaded = set((tmp_path / "loaded.txt").read_text().split("\n"))
        extra = loaded - _modules_of(LIBRARIES, tmp_path) - LISTED
        assert not extra, f"{attempt} start: {sorted(extra)}"


def test_a_script_loads_the_standard_library_and_names(tmp_path):
    base = _modules_of("", tmp_path)
    loaded = _modules_of("import ckptrun; ckptrun.attach", tmp_path) - base
    own = {name for name in loaded if name.split(".")[0] == "ckptrun"}
    assert {name.split(".")[1] for name in own if "." in name} <= {"client", "names", "units", "policy"}
    assert {name for name in own if name.startswith("ckptrun.policy.")} <= {"ckptrun.policy.cadence"}
    assert {name.split(".")[0] for name in loaded - own} <= set(sys.stdlib_module_names)


def _modules_of(code, cwd):
    shown = subprocess.run(
        [sys.executable, "-c", f"{code}\nimport sys\nprint('\\n'.join(sys.modules))"],
        cwd=cwd,
        capture_output=True,
        text=True,
        check=True,
    )
    return set(shown.stdout.split("\n"))
