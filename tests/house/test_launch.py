"""What is loaded before the script runs, and what the script itself loads: both are paid for at every start."""

from __future__ import annotations

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
sys.argv = ["ckptrun", "train", "script.py"]
main()
"""
PERMITTED = "click filelock msgspec xxhash ctypes"
HEAVY = [
    "asyncio",
    "concurrent.futures",
    "dataclasses",
    "datetime",
    "decimal",
    "hashlib",
    "http",
    "json",
    "logging",
    "multiprocessing",
    "numpy",
    "pathlib",
    "psutil",
    "random",
    "rich",
    "socketserver",
    "ssl",
    "subprocess",
    "tempfile",
    "typing_extensions",
    "urllib",
    "uuid",
    "yaml",
    "zipfile",
]


def test_only_what_is_needed_is_loaded_before_the_child_runs(tmp_path):
    support.write_files(tmp_path, {"script.py": "print('hello')\n"})
    done = support.run([sys.executable, "-c", AT_FORK], cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    loaded = set((tmp_path / "loaded.txt").read_text().split("\n"))
    free = _modules_of("import " + PERMITTED.replace(" ", ", "), tmp_path)
    own = {name for name in loaded if name.split(".")[0] == "ckptrun"}
    foreign = {name.split(".")[0] for name in loaded - own} - set(sys.stdlib_module_names) - {"__main__"}
    assert not {name for name in foreign if not name.startswith(("_", "sitecustomize", "distutils"))} - set(
        PERMITTED.split()
    )
    assert not [name for name in HEAVY if name in loaded - free]
    assert not own & {"ckptrun.client", "ckptrun.report.table"}


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
