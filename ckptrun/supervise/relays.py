"""Programs that are looked through: they start the work, pass signals on or die of them, but are not the work."""

from __future__ import annotations

import os

RELAY, RUNTIME, ELSEWHERE = "relay", "runtime", "elsewhere"

_SHELLS = "sh bash dash ash zsh ksh mksh fish csh tcsh busybox"
_LAUNCHERS = (
    "torchrun accelerate deepspeed horovodrun mpirun mpiexec mpiexec.hydra orterun prterun prun orted prted "
    "hydra_pmi_proxy hydra_bstrap_proxy ft_launcher colossalai composer lightning fabric wandb dvc"
)
_INITS = "tini tini-static docker-init dumb-init catatonit s6-svscan s6-supervise runsv pid1 supervisord honcho foreman"
_ENVIRONMENTS = "uv uvx poetry pdm pipenv hatch conda mamba micromamba pixi rye pyenv direnv dotenv nix nix-shell spack"
_SANDBOXES = (
    "bwrap apptainer singularity starter starter-suid appinit unshare nsenter chroot proot fakeroot firejail ch-run "
    "enroot shifter sarus udocker runc crun conmon"
)
_WRAPPERS = (
    "env time timeout nohup nice ionice stdbuf setsid taskset numactl chrt prlimit xargs make gmake ninja parallel script "
    "tmux screen unbuffer expect rlwrap flock watch strace ltrace perf nsys ncu faketime systemd-run systemd-inhibit "
    "sudo su doas pkexec runuser gosu su-exec setpriv start-stop-daemon"
)
_FAR = (
    "srun ssh docker podman nerdctl kubectl jsrun aprun flux pdsh sbatch salloc"  # the work is not below them, or not here
)
_RUNTIMES = "node nodejs deno bun R Rscript java julia beam.smp matlab MATLAB dotnet"

KINDS = dict.fromkeys(f"{_SHELLS} {_LAUNCHERS} {_INITS} {_ENVIRONMENTS} {_SANDBOXES} {_WRAPPERS}".split(), RELAY)
KINDS.update(dict.fromkeys(_FAR.split(), ELSEWHERE))
KINDS.update(dict.fromkeys(_RUNTIMES.split(), RUNTIME))

WHY_RUNTIME = {
    "node": "node opens its inspector on SIGUSR1",
    "nodejs": "node opens its inspector on SIGUSR1",
    "R": "R saves its workspace and quits on SIGUSR1",
    "Rscript": "R saves its workspace and quits on SIGUSR1",
    "java": "the JVM dies of SIGUSR1, or uses it itself",
    "julia": "Julia uses SIGUSR1 itself",
}

_MODULES = {  # python -m …, and the name it goes by
    "torch.distributed.run": "torchrun",
    "torch.distributed.launch": "torchrun",
    "accelerate": "accelerate",
    "accelerate.commands.launch": "accelerate",
    "accelerate.commands.accelerate_cli": "accelerate",
    "deepspeed": "deepspeed",
    "deepspeed.launcher.runner": "deepspeed",
    "deepspeed.launcher.launch": "deepspeed",
    "horovod.runner.launch": "horovodrun",
    "colossalai": "colossalai",
    "composer.cli.launcher": "composer",
}
_OPTIONS_WITH_VALUE = ("-W", "-X", "--check-hash-based-pycs")


def kind(argv: list[str]) -> tuple[str, str]:
    """(RELAY | ELSEWHERE | RUNTIME | "", the name it goes by), from a command line alone."""
    if not argv:
        return "", ""
    name = os.path.basename(argv[0]).lstrip("-")  # "-bash" is a login shell
    name = name.split(":")[0]  # tmux calls its server "tmux: server"
    if is_python(name):
        name = python_program(argv) or name
    return KINDS.get(name, ""), name


def is_python(name: str) -> bool:
    """Whether it is called python, python3, python3.12, pypy3."""
    return any(name.startswith(stem) and not name[len(stem) :].strip("0123456789.") for stem in ("python", "pypy"))


def python_program(argv: list[str]) -> str:
    """What a python was told to run: the script's name, or that of the launcher behind `-m`; empty for `-c` and a prompt."""
    words = iter(argv[1:])
    for word in words:
        if word in _OPTIONS_WITH_VALUE:
            next(words, None)
        elif word == "-m":
            module = next(words, "")
            return _MODULES.get(module, module)
        elif word.startswith("-c") or word == "-":
            return ""
        elif not word.startswith("-"):
            return os.path.basename(word)
    return ""


def chain(argv: list[str]) -> list[tuple[str, str, list[str]]]:
    """What a command line shows of the tree it will start, outermost first: (kind, name, its words); the last may be the work.

    A guess for people: options of relays are not understood, so the next word that looks like a program is taken for one.
    """
    found: list[tuple[str, str, list[str]]] = []
    rest = argv
    while rest:
        what, name = kind(rest)
        if not found or found[-1][1] != name:
            found.append((what, name, rest))
        if not what or what == RUNTIME:
            break
        rest = _inner(name, rest[1:])
    return found


def _inner(name: str, words: list[str]) -> list[str]:
    if name in _SHELLS.split():
        for index, word in enumerate(words[:-1]):
            if word.startswith("-") and not word.startswith("--") and word.endswith("c"):
                return _first_command(_split(words[index + 1]))
    return _first_command(words)


def _split(line: str) -> list[str]:
    import shlex  # noqa: PLC0415  # for people only

    try:
        return shlex.split(line, comments=True)
    except ValueError:  # the shell will complain, or it is cleverer than we are
        return line.split()


def _first_command(words: list[str]) -> list[str]:
    for index, word in enumerate(words):
        if word.startswith("-"):
            continue
        looks = kind([word])[0] or is_python(os.path.basename(word)) or word.endswith((".py", ".sh", ".jl", ".R", ".js"))
        if looks:
            return words[index:]
    return []
