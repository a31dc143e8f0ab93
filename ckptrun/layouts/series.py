"""Files that differ in one number: `epoch_1.pt`, `epoch_2.pt`, … The number is the step.

At least two members; one is enough where the extension is a checkpoint's and a word such as `step` stands beside the number.
Directories too (`step_1000/`), where such a word stands before the number and nothing after it: `checkpoint-100-backup` is a copy. In a
directory for checkpoints (`ckpts/1000/`) two that have nothing but a number are enough, in one for data (`latents/000001.pt`) they are not.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from ckptrun.layouts import naming
from ckptrun.layouts.claim import UNFINISHED, Claim, Entry

if TYPE_CHECKING:
    from collections.abc import Sequence

NAME = "series"
_DAY = r"(?:19|20)\d\d-[01]\d-[0-3]\d"
_NUMBER = re.compile(rf"{_DAY}(?:[T_ +-]\d\d[-:.]\d\d(?:[-:.]\d\d(?:[.,]\d+)?)?)?(?!\d)|\d+(?:\.\d+)?")
# 20261120, 20261120093000, Unix seconds, 2026-11-20_09-30-00
_DATE = re.compile(rf"(?:19|20)\d{{6}}(?:\d{{6}})?|1[5-9]\d{{8}}|{_DAY}.*")
_WORD_BEFORE = re.compile(r"([A-Za-z]+)[^A-Za-z0-9]*$")
_WORD_AFTER = re.compile(r"[^A-Za-z0-9]*([A-Za-z]+)")
_MEASURE = re.compile(r"((?:[A-Za-z]+_)*(?:loss|acc|accuracy|error|score|reward|f1|auc|iou|psnr|bleu|wer))$")
_SAYS_STATE = naming.UNITS | frozenset(("ckpt", "checkpoint", "save", "saved", "snapshot", "update", "updates"))
_OF_DATA = naming.GENERAL_EXTENSIONS | {".h5", ".hdf5"}
_MANY = 8


def data(entries: Sequence[Entry], where: str) -> set[str]:
    """The files of a directory called `where` that are numbered and no states: data is cut into pieces of one size, too."""
    files = [entry.name for entry in entries if not entry.directory and _is_numbered_only(entry.name)]
    if not naming.DATA_PLACES.isdisjoint(naming.words(where)):
        return set(files)
    if not naming.STATE_PLACES.isdisjoint(naming.words(where)):
        return set()
    pieces: dict[tuple[str, ...], list[tuple[int, str]]] = {}
    for name in files:
        texts, numbers = _split(name)
        if len(numbers) == 1 and numbers[0].isdigit() and naming.extension(name) in _OF_DATA:
            pieces.setdefault(texts, []).append((int(numbers[0]), name))
    return {name for members in pieces.values() if _is_cut(members) for _, name in members}


def _is_numbered_only(name: str) -> bool:
    return bool(_NUMBER.search(name)) and naming.might_be(name) and not naming.says_state(name)


def _is_cut(members: list[tuple[int, str]]) -> bool:
    """Counted one by one from the first: many of them are pieces, a few may be epochs."""
    found = {number for number, _ in members}
    return len(found) >= _MANY and min(found) in (0, 1) and max(found) - min(found) == len(found) - 1


def claims(entries: Sequence[Entry], where: str = "") -> list[Claim]:
    """The members of every series in the directory called `where`, half-written ones included."""
    groups: dict[tuple[str, ...], list[tuple[Entry, list[str]]]] = {}
    for entry in entries:
        if entry.directory or entry.link or not naming.might_be(entry.name):
            continue
        texts, numbers = _split(naming.final_name(entry.name) or entry.name)
        if numbers and _may_count(texts):
            groups.setdefault(texts, []).append((entry, numbers))
    files = [claim for texts, members in groups.items() for claim in _series(texts, members)]
    return files + _directories([entry for entry in entries if entry.directory and not entry.link], where)


def _directories(entries: Sequence[Entry], where: str) -> list[Claim]:
    """Those that end in a number with a word before it, and in a directory for checkpoints those that are a number."""
    found = [claim for entry in entries if (claim := _directory(entry))]
    if naming.STATE_PLACES.isdisjoint(naming.words(where)):
        return found
    numbered = [entry for entry in entries if entry.name.isdecimal() and not _DATE.fullmatch(entry.name)]
    count = f"one of {len(numbered)} directories that are numbers"
    return found + [_claim(entry, ("", ""), [entry.name], 0, count) for entry in numbered if len(numbered) > 1]


def _may_count(texts: tuple[str, ...]) -> bool:
    """Not a result, nor something else: `val_loss` says so of a data file, but not of a checkpoint that counts epochs."""
    sound = naming.sounds("#".join(texts))
    if sound < 0 and naming.extension("x" + texts[-1]) in naming.CHECKPOINT_EXTENSIONS:
        said = set(naming.words("#".join(texts)))
        return bool(said & (naming.STEP_WORDS | naming.EPOCH_WORDS)) and not said & naming.PIECE_WORDS
    return sound > 0


def _directory(entry: Entry) -> Claim | None:
    texts, numbers = _split(entry.name)
    if not numbers or texts[-1]:
        return None
    said = ["" if _DATE.fullmatch(number) else _word_before(texts, column) for column, number in enumerate(numbers)]
    columns = [i for i, word in enumerate(said) if word in naming.EPOCH_WORDS]
    columns += [i for i, word in enumerate(said) if word in naming.STEP_WORDS]  # rather than the epoch
    return _claim(entry, texts, numbers, columns[-1], "a step in its name") if columns else None


def _split(name: str) -> tuple[tuple[str, ...], list[str]]:
    """A name as the texts between its numbers, and the numbers; the extension is text."""
    kind = naming.extension(name)
    stem = name[: len(name) - len(kind)]
    texts = _NUMBER.split(stem)
    texts[-1] += name[len(stem) :]
    return tuple(texts), _NUMBER.findall(stem)


def _series(texts: tuple[str, ...], members: list[tuple[Entry, list[str]]]) -> list[Claim]:
    column = _step_column(texts, [numbers for _, numbers in members])
    if column is None:
        return []
    whole = [entry for entry, _ in members if not naming.final_name(entry.name)]
    if not whole or (len(whole) < 2 and not _one_is_enough(texts, column)):
        return []
    count = "a step in its name" if len(whole) == 1 else f"one of {len(whole)} files that differ in this number"
    return [_claim(entry, texts, numbers, column, count) for entry, numbers in members]


def _step_column(texts: tuple[str, ...], rows: list[list[str]]) -> int | None:
    """Which number is the step: the only one that varies and counts time, or the one that says that it is."""
    columns = [set(column) for column in zip(*rows, strict=True)]
    counting = [
        i for i, values in enumerate(columns) if _counts(texts, i, values) and not (i and _is_clock(columns[i - 1], values))
    ]
    varying = [i for i in range(len(columns)) if len(columns[i]) > 1]
    candidates = [i for i in counting if i in varying] if len(rows) > 1 else counting
    others = [i for i in varying if i not in counting and not _is_measure(columns[i])]
    if others or not candidates:
        return None
    said = [i for i in candidates if _beside(texts, i) & naming.STEP_WORDS] or [
        i for i in candidates if _beside(texts, i) & naming.EPOCH_WORDS
    ]
    column = said[-1] if said else candidates[0] if len(candidates) == 1 else None
    if column is None or len(columns[column]) < len({tuple(row) for row in rows}):
        return None  # two files of one step: these are parts, or several series in one
    return column


def _counts(texts: tuple[str, ...], column: int, values: set[str]) -> bool:
    """Can this number be a step: whole, no date, and not said to number parts?"""
    if _word_before(texts, column) in naming.PART_WORDS or _word_after(texts, column) == "of":
        return False
    return not any("." in value or _DATE.fullmatch(value) for value in values)


def _is_clock(before: set[str], values: set[str]) -> bool:
    """The time of day behind a date: `20261120_093000`."""
    return all(_DATE.fullmatch(value) for value in before) and all(len(value) in (4, 6) for value in values)


def _is_measure(values: set[str]) -> bool:
    """A number that may differ from one member to the next without telling them apart: a metric or a date."""
    return any("." in value for value in values) or all(_DATE.fullmatch(value) or len(value) == 6 for value in values)


def _one_is_enough(texts: tuple[str, ...], column: int) -> bool:
    kind = naming.extension("x" + texts[-1])
    return kind in naming.CHECKPOINT_EXTENSIONS and bool(
        _beside(texts, column) & (naming.STEP_WORDS | naming.EPOCH_WORDS) or _word_after(texts, column) in _SAYS_STATE
    )


def _claim(entry: Entry, texts: tuple[str, ...], numbers: list[str], column: int, count: str) -> Claim:
    epochs = [i for i in range(len(numbers)) if _beside(texts, i) & naming.EPOCH_WORDS and "." not in numbers[i]]
    return Claim(
        layout=NAME,
        name=entry.name,
        files=[entry.name],
        directory=entry.directory,
        step=int(numbers[column]),
        epoch=int(numbers[epochs[0]]) if epochs else None,
        metrics={_metric(texts, i): float(n) for i, n in enumerate(numbers) if "." in n and _metric(texts, i)},
        guess=True,
        series="#".join(texts),
        unfinished=UNFINISHED if naming.final_name(entry.name) and not entry.directory else "",
        why=f"{entry.name}: {count}",
    )


def _beside(texts: tuple[str, ...], column: int) -> set[str]:
    """The words that say what a number is: the one before it, and a unit after it as in `100_steps`."""
    after = _word_after(texts, column)
    unit = {after} if after in naming.UNITS else set()
    return {_word_before(texts, column)} | unit


def _word_before(texts: tuple[str, ...], column: int) -> str:
    found = _WORD_BEFORE.search(texts[column])
    return found[1].lower() if found else ""


def _word_after(texts: tuple[str, ...], column: int) -> str:
    found = _WORD_AFTER.match(texts[column + 1])
    return found[1].lower() if found else ""


def _metric(texts: tuple[str, ...], column: int) -> str:
    """`val_loss` in `-val_loss=0.30`, and in `-val_loss0.30`."""
    found = re.search(r"([A-Za-z]\w*?)[=_]$", texts[column]) or _MEASURE.search(texts[column])
    return found[1] if found else ""
