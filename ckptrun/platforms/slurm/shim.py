"""`scontrol` as the script finds it: a requeue of its own job becomes a request to ckptrun, everything else the real one's. Pure.

Lightning and submitit requeue their job from a signal handler. Slurm would end it there and then, and ckptrun's own requeue,
budgets and bookkeeping would be a second authority's. On another node the directory is not there, and the real one is found.
"""

from __future__ import annotations

from ckptrun import names

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

PROGRAM = "scontrol"
_LETTERS = frozenset("0123456789_")  # of a job's number, and the only ones that get into the program

# Abbreviations are Slurm's: three letters are enough. Options that take a value may name another cluster: not ours to judge.
_TEXT = """\
#!/bin/sh
# Written by ckptrun for the training below it. `requeue` of job {target} becomes a request to ckptrun, which requeues the job
# itself, once, when the attempt has ended. All else is the real scontrol's. `restart: {{catch_requeue: no}}` leaves this out.
here=${{0%/*}}
ours() {{
  verb= job=
  for word do
    case $verb:$word in
      :-[adFhloQv] | :--all | :--details | :--future | :--hide | :--local | :--oneliner | :--quiet | :--verbose) ;;
      :req | :requ | :reque | :requeu | :requeue) verb=requeue ;;
      requeue:[Ii]ncomplete) ;;
      {forms}) job=$word ;;
      *) return 1 ;;
    esac
  done
  [ "$job" ]
}}
asked() {{
  kill -0 {pid} && echo "{program} $*" >"$here/{file}" && kill -CONT {pid}
}}
if ours "$@" && asked "$@" 2>/dev/null; then
  echo "ckptrun: job {target} is requeued when this attempt has ended" >&2
  exit 0
fi
set -f
IFS=:
for folder in $PATH; do
  [ "$folder" != "$here" ] && [ -f "$folder/{program}" ] && [ -x "$folder/{program}" ] && exec "$folder/{program}" "$@"
done
echo "{program}: there is no other one on PATH" >&2
exit 127
"""


def program(environ: Mapping[str, str], target: str, pid: int) -> str:
    """The program's text, "" where the job has no number. `target` is what ckptrun itself requeues, `pid` is ckptrun."""
    forms = _forms(environ, target)
    if not forms:
        return ""
    words = " | ".join(f"requeue:{prefix}{form}" for form in forms for prefix in ("", "[Jj]ob[Ii]d=", "[Jj]ob="))
    return _TEXT.format(target=target, forms=words, pid=pid, file=names.REQUEUE_ASKED, program=PROGRAM)


def _forms(environ: Mapping[str, str], target: str) -> list[str]:
    """How this job is spelled: its number, which in the last task of an array is the array's, and that of the task."""
    found = {target, environ.get("SLURM_JOB_ID", "")}
    array, bar, task = target.partition("_")
    plain = sorted(form for form in found if form and set(form) <= _LETTERS)
    return [*plain, f"{array}_\\[{task}\\]"] if bar and plain else plain
