"""`train --dry-run`: the whole plan, without writing, starting or holding anything."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import msgspec

from ckptrun import errors, names, units
from ckptrun.config import destinations
from ckptrun.mounts import data as mounts
from ckptrun.policy import start
from ckptrun.report import text
from ckptrun.runs import control, durable, lease, paths, records
from ckptrun.session import attempt as attempts
from ckptrun.session import environment, resuming, scheduler, waiting
from ckptrun.session import scene as scenes
from ckptrun.supervise import delivery

if TYPE_CHECKING:
    from ckptrun.model import Holder
    from ckptrun.session.scene import Scene


def show(scene: Scene) -> int:
    """Print the plan on stdout, as text or as JSON. The exit code is the one that a start would refuse with, else 0."""
    plan, code = describe(scene)
    document = msgspec.json.encode(plan) + b"\n" if scene.json_out else _as_text(plan).encode(errors="backslashreplace")
    durable.write_all(1, document)
    return code


def describe(scene: Scene) -> tuple[dict[str, Any], int]:
    """The plan as one JSON document, and the code that a start would refuse with (0 = it would start)."""
    there = os.path.isdir(scene.paths.dir)
    plan: dict[str, Any] = {"format": names.FORMAT, "run": scene.run, "run_dir": scene.paths.dir, "new": not there}
    refused = _refusal(scene) if there else None
    if isinstance(refused, errors.CkptrunError):
        plan["refused"] = refused.message
        plan["hint"] = refused.hint
    elif refused:
        plan["complete"] = refused
    holder = control.running(scene.paths, scene.me, now=scene.clock()) if there else None
    if holder is not None and not refused:
        plan["waits_for"] = _who(holder)
    plan.update(_what_would_run(scene))
    if scene.config.backup_to:
        from ckptrun.session import backing  # noqa: PLC0415  # only where it was asked for

        decided = backing.wanted(scene, once=True)
        plan["backup"] = {"to": destinations.redacted(scene.config.backup_to), "fetch": decided.wanted, "why": decided.why}
    plan["settings"] = {name: {"value": value, "source": source} for name, value, source in scene.config.explain()}
    return plan, refused.exit_code if isinstance(refused, errors.CkptrunError) else 0


def _refusal(scene: Scene) -> errors.CkptrunError | str | None:
    """Why a start would not run the command: the error it would end with, or the sentence that the run is complete."""
    holder = control.running(scene.paths, scene.me, now=scene.clock())
    if holder is not None and scene.config.if_held != waiting.WAIT:
        return errors.Leased(f"run {scene.run} is held by {_who(holder)}", f"ckptrun status {scene.run}")
    recorded = records.read_run(scene.paths)
    asked = start.Asked(
        run=scene.run,
        command=scene.command,
        script_digest=attempts.script_digest(scene),
        sweep=attempts.sweep_of(scene),
        automatic=scene.job.automatic,
        again=scene.config.again,
        changed=scene.config.changed,
        fresh=scene.config.fresh,
        max_failures=scene.config.max_failures,
    )
    try:
        return start.decide(asked, attempts.histories(scene), attempts.recorded_of(recorded), "").done
    except errors.CkptrunError as error:
        return error


def _who(holder: Holder) -> str:
    return f"{holder.host}, pid {holder.pid}, since {holder.since}"


def _what_would_run(scene: Scene) -> dict[str, Any]:
    recorded = records.read_run(scene.paths)
    plan = resuming.choose(scene, once=True, parent=recorded.parent if recorded else "")
    numbers = paths.attempts(scene.paths)
    holder = lease.read_holder(scene.paths)
    number = max([0, *numbers, holder.attempt if holder else 0]) + 1
    where = scene.paths.attempt(number)
    run = attempts.run_record(scene, recorded, fresh=scene.config.fresh)
    mounted = mounts.plan(scene.config.data, root=scene.config.root, cwd=scene.caller)
    chosen = attempts.Chosen(
        decision=start.Decision(),
        plan=plan,
        recorded=recorded,
        run=run,
        history=attempts.histories(scene),
        mounts=mounted,
    )
    now = float(scene.clock())
    given = attempts.given_to(scene, chosen, number, where, "(a new directory in TMPDIR or /tmp)", now)
    argv = environment.command_of(scene.command, scene.config.on_resume, given)
    spec = attempts.spec_of(scene, given, argv, where, chosen.history)
    changed = {key: value for key, value in spec.env.items() if scene.environ.get(key) != value}
    end, whose = scenes.end_of(scene, now)
    return {
        "attempt": number,
        "command": argv,
        "cwd": scene.cwd,
        "platform": scene.job.platform,
        "restart_by": scheduler.who_restarts(scene),
        "resume_from": given.resume_from or None,
        "resume_step": given.resume_step,
        "resume_why": plan.why,
        "not_used": [{"name": entry.checkpoint.name, "why": entry.why} for entry in plan.passed],
        "set_aside": [resuming.relative(scene, item.path) for item in plan.set_aside],
        "directories": {"checkpoints": given.checkpoint_dir, "output": given.output_dir, "input": given.input_dir},
        "mounts": [{"mount": mount.mount, "path": mount.path} for mount in mounted],
        "model": attempts.model_output(scene, plan.chosen)[0],
        "environment": dict(sorted(changed.items())),
        "grace": given.grace,
        "end": end,
        "end_from": whose,
        "seconds_left": None if end is None else end - now,
        "signals": delivery.foretell(argv, spec),
    }


def _as_text(plan: dict[str, Any]) -> str:
    """The plan for people: one block for each question that a start answers."""
    lines = [f"run        {plan['run']}{' (new)' if plan['new'] else ''}", f"directory  {plan['run_dir']}"]
    if "refused" in plan:
        lines += [f"refused    {plan['refused']}", f"           {plan['hint']}"]
    if "waits_for" in plan:
        lines.append(f"waits for  {plan['waits_for']}, which holds the run (--if-held wait)")
    if "complete" in plan:
        lines.append(f"complete   {plan['complete']}")
    lines += [
        f"attempt    {plan['attempt']}",
        f"command    {_shell(plan['command'])}",
        f"in         {plan['cwd']}",
        f"resume     {plan['resume_from'] or 'nothing'}",
        f"           {plan['resume_why']}",
    ]
    if "backup" in plan:
        backup = plan["backup"]
        lines.append(f"backup     {backup['to']}")
        lines.append(f"           {'looked for there first' if backup['fetch'] else 'nothing is fetched'}: {backup['why']}")
    lines += [f"not used   {entry['name']}: {entry['why']}" for entry in plan["not_used"]]
    lines += [f"set aside  {path}" for path in plan["set_aside"]]
    lines += [f"mount      input/{mount['mount']} -> {mount['path']}" for mount in plan["mounts"]]
    lines += [f"mount      input/model -> {plan['model']}"] if plan["model"] else []
    lines.append(f"grace      {units.duration(plan['grace'])}")
    lines.append(f"end        {_end(plan)}")
    lines.append(f"restart by {plan['restart_by']}")
    lines += ["", "signals"] + [f"  {line}" for line in plan["signals"]]
    lines += ["", "environment"] + [f"  {key}={value}" for key, value in plan["environment"].items()]
    lines += ["", "settings"] + [f"  {name}: {_value(item)}  ({item['source']})" for name, item in plan["settings"].items()]
    return "\n".join(text.escape(line) for line in lines) + "\n"


def _end(plan: dict[str, Any]) -> str:
    if plan["end"] is None:
        return "not known: no time limit, and the platform names none"
    return f"in {units.duration(plan['seconds_left'])} ({plan['end_from']})"


def _value(item: dict[str, Any]) -> str:
    return msgspec.json.encode(item["value"]).decode()


def _shell(command: list[str]) -> str:
    import shlex  # noqa: PLC0415  # not on the launch path

    return shlex.join(command)
