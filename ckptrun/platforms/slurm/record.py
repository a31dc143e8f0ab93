"""What `scontrol show job -o` says of a job, as a noun. Pure.

Asked with SLURM_TIME_FORMAT=%s, so that times are Unix seconds whatever the time zone.
"""

from __future__ import annotations

import re

from ckptrun.model import Noun

_FIELD = re.compile(r"(?:^|\s)([A-Za-z][\w/:]*)=")  # values may hold spaces (a job's name, its directory)


class JobRecord(Noun, frozen=True, kw_only=True):
    """A job as the controller sees it. Times are Unix seconds."""

    job: str
    array_job: str = ""
    array_task: str = ""
    name: str = ""
    state: str = ""  # RUNNING, COMPLETING, PENDING, …
    reason: str = ""
    restarts: int = 0
    requeue: bool = False  # Slurm will start it again when asked to
    batch: bool = False
    submit: float | None = None
    start: float | None = None
    end: float | None = None
    preempted: float | None = None  # when a preemption of it began
    partition: str = ""
    nodes: str = ""
    excluded: str = ""
    fields: dict[str, str] = {}


def parse(text: str) -> JobRecord | None:
    """The first job in scontrol's answer, None if there is none."""
    line = next((line for line in text.splitlines() if line.startswith("JobId=")), "")
    fields = split(line)
    if not fields.get("JobId"):
        return None
    return JobRecord(
        job=fields["JobId"],
        array_job=fields.get("ArrayJobId", ""),
        array_task=fields.get("ArrayTaskId", ""),
        name=fields.get("JobName", ""),
        state=fields.get("JobState", ""),
        reason=fields.get("Reason", ""),
        restarts=_whole(fields.get("Restarts", "")),
        requeue=fields.get("Requeue") == "1",
        batch=fields.get("BatchFlag", "0") != "0",
        submit=seconds(fields.get("SubmitTime", "")),
        start=seconds(fields.get("StartTime", "")),
        end=seconds(fields.get("EndTime", "")),
        preempted=seconds(fields.get("PreemptTime", "")),
        partition=fields.get("Partition", ""),
        nodes=fields.get("NodeList", ""),
        excluded=_given(fields.get("ExcNodeList", "")),
        fields=fields,
    )


def split(line: str) -> dict[str, str]:
    """`Key=value Key=value` as a dict; the first of several equal keys counts: paths, which may imitate one, come last."""
    found: dict[str, str] = {}
    marks = list(_FIELD.finditer(line))
    for index, mark in enumerate(marks):
        end = marks[index + 1].start() if index + 1 < len(marks) else len(line)
        found.setdefault(mark[1], line[mark.end() : end].strip())
    return found


def settings(text: str) -> dict[str, str]:
    """`scontrol show config` as a dict."""
    pairs = (line.partition("=") for line in text.splitlines() if "=" in line)
    return {key.strip(): value.strip() for key, _, value in pairs}


def codes(text: str) -> frozenset[int]:
    """Exit codes in a list such as `75,85-87`; none in `(null)`."""
    found: set[int] = set()
    for part in text.replace(" ", "").split(","):
        first, _, last = part.partition("-")
        if first.isdigit() and (last.isdigit() or not last):
            found.update(range(int(first), int(last or first) + 1))
    return frozenset(found)


def seconds(text: str) -> float | None:
    """Unix seconds; None for `None`, `Unknown`, `N/A` and 0."""
    return float(text) if text.isascii() and text.isdigit() and int(text) else None


def _whole(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() else 0


def _given(text: str) -> str:
    return "" if text in ("(null)", "None", "N/A") else text
