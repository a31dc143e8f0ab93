"""ckptrun as an ordinary user of a cluster has it: an interpreter and packages below a directory that everybody may read.

What runs the tests often lies below /root, which nobody else may enter. Files are linked, not copied, where that is possible.
"""

from __future__ import annotations

import compileall
import importlib.util
import os
import shutil
import stat
import sys
import sysconfig
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

# What ckptrun imports, and what its trainings do; torch is added by the tests that want it.
PACKAGES = (
    "click",
    "filelock",
    "msgspec",
    "psutil",
    "yaml",
    "_yaml",
    "rich",
    "pygments",
    "markdown_it",
    "mdurl",
    "xxhash",
    "numpy",
)
# PyTorch, with what it and its example import.
TORCH = [
    "torch",
    "torchgen",
    "functorch",
    "sympy",
    "mpmath",
    "networkx",
    "jinja2",
    "markupsafe",
    "fsspec",
    "setuptools",
    "typing_extensions",
    "sklearn",
    "narwhals",
    "threadpoolctl",
    "cloudpickle",
]
_DISTRIBUTION = {"sklearn": "scikit_learn"}  # where it goes by another name
_VERSION = f"python{sys.version_info.major}.{sys.version_info.minor}"
_NEEDLESS = ("test", "tests", "idlelib", "ensurepip", "lib2to3", "tkinter", "turtledemo", "site-packages", "config-*", "*.a")


class Software:
    """`bin/python` and `bin/ckptrun` in a virtual environment of its own at `base`."""

    def __init__(self, base: str) -> None:
        self.base = base
        self.bin = os.path.join(base, "bin")
        self.site = os.path.join(base, "lib", _VERSION, "site-packages")
        self.python = os.path.join(self.bin, "python")
        self.libraries = ""  # LD_LIBRARY_PATH, where a copied interpreter needs it

    def install(self) -> None:
        """Make it; takes well under a second where files can be linked."""
        os.makedirs(self.site)
        os.makedirs(self.bin)
        home = self._readable_python(os.path.join(self.base, "interpreter"))
        _write(os.path.join(self.base, "pyvenv.cfg"), f"home = {home}\ninclude-system-site-packages = false\n")
        os.symlink(os.path.join(home, _VERSION), self.python)
        os.symlink("python", os.path.join(self.bin, "python3"))
        self.add(PACKAGES)
        package = os.path.join(self.site, "ckptrun")
        shutil.copytree(_folder("ckptrun"), package)
        configs = os.path.join(package, "configs")
        if not os.path.isdir(configs):  # a checkout keeps them beside the package
            shutil.copytree(os.path.join(os.path.dirname(_folder("ckptrun")), "configs"), configs)
        compileall.compile_dir(package, quiet=2)  # the user may not write there
        script = os.path.join(self.bin, "ckptrun")
        _write(script, f"#!{self.python}\nimport sys\nfrom ckptrun.cli import main\nsys.exit(main())\n")
        os.chmod(script, 0o755)

    def add(self, packages: Iterable[str]) -> None:
        """Make further packages and modules importable; AssertionError if one is not installed here."""
        for name in packages:
            folder = _folder(name)
            target = os.path.join(self.site, os.path.basename(folder))
            if os.path.exists(target):
                continue
            if os.path.isfile(folder):
                _link(folder, target)
                continue
            _link_tree(folder, target)
            libraries = f"{_DISTRIBUTION.get(name, name)}.libs"  # shared libraries that a wheel brings along
            if os.path.isdir(os.path.join(os.path.dirname(folder), libraries)):
                _link_tree(os.path.join(os.path.dirname(folder), libraries), os.path.join(self.site, libraries))

    def add_torch(self) -> None:
        """PyTorch, and torchrun on the user's PATH."""
        self.add(TORCH)
        script = os.path.join(self.bin, "torchrun")
        _write(script, f"#!{self.python}\nfrom torch.distributed.run import main\nmain()\n")
        os.chmod(script, 0o755)

    def add_everything(self) -> None:
        """Make all that is installed here importable, for frameworks that ask which versions there are."""
        installed = sysconfig.get_path("purelib")
        shown = _everybody_may_enter(installed)
        for name in os.listdir(installed):
            source, target = os.path.join(installed, name), os.path.join(self.site, name)
            if not os.path.exists(target) and not name.endswith(
                ".pth"
            ):  # those name directories that not everybody may enter
                (os.symlink if shown else _link_tree if os.path.isdir(source) else _link)(source, target)

    def _readable_python(self, target: str) -> str:
        """The directory of an interpreter like ours that everybody may run: ours, or a copy of it in `target`."""
        prefix = os.path.realpath(sys.base_prefix)
        library = os.path.join(prefix, "lib")
        if _everybody_may_enter(os.path.join(library, _VERSION)):
            return os.path.join(prefix, "bin")
        os.makedirs(os.path.join(target, "bin"))
        _link(os.path.join(prefix, "bin", _VERSION), os.path.join(target, "bin", _VERSION))
        _link_tree(
            os.path.join(library, _VERSION), os.path.join(target, "lib", _VERSION), shutil.ignore_patterns(*_NEEDLESS)
        )
        if sysconfig.get_config_var("Py_ENABLE_SHARED"):  # the path to its library is written into it
            self.libraries = os.path.join(target, "lib")
            for name in os.listdir(library):
                if name.startswith("libpython"):
                    _link(os.path.join(library, name), os.path.join(target, "lib", name))
        return os.path.join(target, "bin")


def _folder(name: str) -> str:
    """The directory of a package, the file of a module."""
    spec = importlib.util.find_spec(name)
    assert spec is not None, f"{name} is not installed"
    assert spec.origin is not None
    return os.path.dirname(spec.origin) if spec.submodule_search_locations else spec.origin


def _everybody_may_enter(path: str) -> bool:
    while path != os.path.dirname(path):
        if not os.stat(path).st_mode & stat.S_IXOTH:
            return False
        path = os.path.dirname(path)
    return True


def _link_tree(source: str, target: str, ignore: object = None) -> None:
    shutil.copytree(source, target, symlinks=True, copy_function=_link, ignore=ignore)  # type: ignore[arg-type]


def _link(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:  # another filesystem
        shutil.copy2(source, target)


def _write(path: str, text: str) -> None:
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)
