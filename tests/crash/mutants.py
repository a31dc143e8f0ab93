"""Copies of the package with one line of the commit taken out: a harness that does not notice proves nothing."""

from __future__ import annotations

import os
import shutil

import support

MUTANTS = {
    # name: (file, what stands there, what stands there instead)
    "no fsync of files": ("client/contents.py", "        os.fsync(fd)\n        after", "        after"),
    "no fsync of directories": ("client/contents.py", "    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)\n", "    return\n"),
    "no fsync of the manifest": ("client/commit.py", "view = view[os.write(fd, view) :]\n        os.fsync(fd)", "view = view[os.write(fd, view) :]"),
    "no fsync of the folder": ("client/commit.py", "    contents.sync_directory(folder)\n", ""),
    "no fsync of the parent": ("client/commit.py", "        contents.sync_directory(parent)\n", "        pass\n"),
    "no fsync of directories inside": ("client/commit.py", "        contents.sync_directory(os.path.join(folder, directory))\n", "        pass\n"),
    "no temporary name": ("client/commit.py", '    name = f"{names.TMP_PREFIX}{base_name(step)}-a{place.attempt:04d}-{os.urandom(4).hex()}"\n', "    name = base_name(step)\n"),
    "no lease check": ("client/commit.py", "    if not (place.under and place.run_dir):\n        return\n", "    return\n"),
    "rename before the manifest": ("client/commit.py", "    _write(os.path.join(folder, names.MANIFEST), describe(files))\n", ""),
}  # fmt: skip
_MORE = {
    "no temporary name": [("client/commit.py", "    os.rename(folder, target)\n", ""), ("client/commit.py", "if not _is_used(name, place)", "if True")],
    "rename before the manifest": [("client/commit.py", "    _point(place.checkpoint_dir, name)\n", "    _write(os.path.join(place.checkpoint_dir, name, names.MANIFEST), describe(files))\n    _point(place.checkpoint_dir, name)\n")],
}  # fmt: skip


def mutant(name: str, place: object) -> str:
    """A directory for PYTHONPATH in which ckptrun is this mutant."""
    home = os.path.join(os.fspath(place), "mutant")  # type: ignore[call-overload]
    shutil.copytree(
        os.path.join(support.REPO, "ckptrun"), os.path.join(home, "ckptrun"), ignore=shutil.ignore_patterns("__pycache__")
    )
    for file, old, new in [MUTANTS[name], *_MORE.get(name, [])]:
        path = os.path.join(home, "ckptrun", file)
        with open(path) as opened:
            text = opened.read()
        assert text.count(old) == 1, f"{name}: {file} does not hold once: {old!r}"
        with open(path, "w") as opened:
            opened.write(text.replace(old, new))
    return home
