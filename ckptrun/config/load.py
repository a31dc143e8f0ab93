"""From everything that somebody may have written to one Config."""

from __future__ import annotations

from collections import ChainMap
from typing import TYPE_CHECKING, Any

from ckptrun import errors
from ckptrun.config import keeping, keys, kinds, layers, strategies
from ckptrun.model import Noun, Setting, Sweep

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ckptrun.config.keys import Key
    from ckptrun.config.layers import Given

_HINT = "`ckptrun {verb} --help` describes every setting"
_CALL_ONLY = ("config", "dry_run", "json", "quiet", "verbose")  # how one call is answered, no property of the run


class Config(Noun, frozen=True, kw_only=True):
    """Every setting of a start; times in seconds, directories absolute. None means what its key's `unset` says."""

    run: str | None
    root: str
    config: str | None  # the file that was read, as it was named
    strategy: str
    data: list[str]
    chdir: str | None
    if_held: str
    sweep: Sweep | None
    sweep_task: int | None
    every: str
    grace: float | None
    save_signal: int
    signal_means: str | None
    time_limit: float | None
    stall_timeout: float | None
    patterns: list[str]
    seal: str
    backup_to: str | None
    backup_every: float
    keep_copies: int
    on_resume: list[str]
    resume_at: int | None
    from_ref: str | None
    fresh: bool
    changed: bool
    again: bool
    done_when: kinds.DoneWhen | None
    restart_by: str | None
    max_failures: int
    catch_requeue: bool
    preempt_exit_code: int
    child_preempt_code: int | None
    keep_last: int
    keep_first: int
    keep_best: list[keeping.KeepBest]
    keep_every: list[keeping.KeepEvery]
    keep_within: float
    keep_hourly: int
    keep_daily: int
    keep_weekly: int
    keep_monthly: int
    keep_yearly: int
    keep_permanent: bool
    without_metric: str
    max_bytes: int | None
    until_free: int | None
    thin: bool
    tracker_ids: bool
    dry_run: bool
    json: bool
    quiet: int
    verbose: int
    sources: dict[str, str]

    @property
    def verbosity(self) -> int:
        """-1 is quiet, 0 as usual, 1 says more."""
        return self.verbose - self.quiet

    def given(self, name: str) -> bool:
        """Whether somebody asked for this value: an option, the environment or the file."""
        return self.sources[name] != "default" and not self.sources[name].startswith("strategy ")

    @property
    def retains(self) -> bool:
        """Whether somebody asked for rules of retention: without that nothing is ever removed."""
        return any(self.given(name) for name in keys.RETENTION)

    def explain(self) -> list[tuple[str, Any, str]]:
        """(name as in the file, value as it may be written in the file, source) of every setting of the run."""
        return [
            (key.in_file, _shown(key, getattr(self, name)), self.sources[name])
            for name, key in keys.KEYS.items()
            if name not in _CALL_ONLY
        ]


def load(
    options: Given, environ: Mapping[str, str], cwd: str, *, verb: str = "train", branched: Given | None = None
) -> Config:
    """One Config from `options` of `verb` (texts by name, only those that were given), `environ`, the file and the strategy.

    `branched` are the settings that the run was given when it was branched from another: they win over the file.

    Raises:
        UsageError: an option is wrong, or two contradict each other.
        ConfigError: the environment or the file is wrong; in both cases with all mistakes at once.
    """
    read = layers.Reader(environ, cwd)
    asked, around, default = read.options(options), read.environment(), read.defaults()
    written = read.file(asked.get("config"), around.get("config"))
    own = read.branched(branched or {})
    if read.wrong_options:
        raise errors.UsageError("\n".join(read.wrong_options + read.problems), _HINT.format(verb=verb))
    if read.problems:
        raise errors.ConfigError(read.problems, _HINT.format(verb=verb))
    strategy = strategies.settings(ChainMap(asked, around, own, written, default)["strategy"].value)
    chosen = ChainMap(asked, around, own, written, strategy, default)  # the precedence
    _check_together(chosen)
    return Config(
        **{name: chosen[name].value for name in keys.KEYS},
        sources={name: chosen[name].source for name in keys.KEYS},
    )


def find_root(given: str | None, environ: Mapping[str, str], cwd: str) -> str:
    """The absolute root directory: `given`, else CKPTRUN_ROOT, else `root:` in the file, else ./runs.

    Raises:
        ConfigError: the file is not YAML, or its root is wrong. Other settings in it are not looked at.
    """
    key = keys.KEYS["root"]
    given = given or environ.get(key.extra_variable)
    return str(key.kind(given, cwd) if given else _in_file("root", environ, cwd))


def find_patterns(given: Sequence[str], environ: Mapping[str, str], cwd: str) -> list[str]:
    """How checkpoints are called: `given`, else `patterns:` in the file.

    Raises:
        ConfigError: as `find_root`.
    """
    return list(given) or list(_in_file("patterns", environ, cwd))


def _in_file(name: str, environ: Mapping[str, str], cwd: str) -> Any:
    """One setting, from the file or its default."""
    read = layers.Reader(environ, cwd)
    named = environ.get(keys.KEYS["config"].variable)
    written = read.file(None, Setting(value=named, source="environment") if named else None, only=name)
    if read.problems:
        raise errors.ConfigError(read.problems, _HINT.format(verb="train"))
    return ChainMap(written, read.defaults())[name].value


def _shown(key: Key, value: Any) -> Any:
    if value is None:
        return key.unset
    if key.kind in (kinds.duration, kinds.duration_or_off):
        return f"{value:g}s"
    if key.kind is kinds.destination:
        from ckptrun.config import destinations  # noqa: PLC0415  # only where backups are asked for

        return destinations.redacted(str(value))
    if key.kind is kinds.signal_number:
        return kinds.signal_name(value)
    if key.many:
        return [str(item) for item in value]
    return str(value) if isinstance(value, (kinds.DoneWhen, Sweep)) else value


def _check_together(chosen: Mapping[str, Setting]) -> None:
    """Refuse what cannot be meant at once: each of these says where to begin."""
    beginnings = [chosen[name] for name in ("fresh", "from_ref", "resume_at")]
    given = [
        setting.source.removeprefix("option ")
        for setting in beginnings
        if setting.value is not None and setting.value is not False
    ]
    if len(given) > 1:
        raise errors.UsageError(
            f"{given[0]} and {given[1]} contradict each other: each says where to begin", "leave one of them out"
        )
