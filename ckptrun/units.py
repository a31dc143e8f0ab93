"""Times, sizes and cadences as people write them, to numbers and back. Imports nothing: the script-side client uses it."""

_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800, "ms": 0.001}
_SECONDS_LONG = {"sec": 1, "secs": 1, "second": 1, "seconds": 1, "min": 60, "mins": 60, "minute": 60, "minutes": 60}
_SECONDS_LONG.update({"hour": 3600, "hours": 3600, "day": 86400, "days": 86400, "week": 604800, "weeks": 604800})
_BYTES = {"": 1, "b": 1, "k": 1024, "kb": 1000, "kib": 1024, "m": 1024**2, "mb": 1000**2, "mib": 1024**2}
_BYTES.update({"g": 1024**3, "gb": 1000**3, "gib": 1024**3, "t": 1024**4, "tb": 1000**4, "tib": 1024**4})


def parse_duration(text: str) -> float:
    """Seconds in `90`, `90s`, `1.5h`, `1h30m`, `2d`, `1:30:00` or Slurm's `1-02:00:00`.

    Raises:
        ValueError: with a sentence that names the text.
    """
    given = str(text).strip()
    bare = given.lower().replace(" ", "")
    if not bare:
        raise ValueError("an empty duration; write for instance 90s, 10m or 1h30m")
    if ":" in bare:
        return _clock(bare, given)
    total, number, seen = 0.0, "", False
    i = 0
    while i < len(bare):
        if bare[i].isdigit() or bare[i] == ".":
            number += bare[i]
            i += 1
            continue
        j = i
        while j < len(bare) and bare[j].isalpha():
            j += 1
        unit = bare[i:j]
        factor = _SECONDS.get(unit) or _SECONDS_LONG.get(unit)
        if not number or number.count(".") > 1 or number == "." or factor is None:
            raise ValueError(f"{given!r} is not a duration; write for instance 90s, 10m or 1h30m")
        total += float(number) * factor
        number, seen, i = "", True, j
    if number:
        if seen or number.count(".") > 1 or number == ".":
            raise ValueError(f"{given!r} is not a duration; write for instance 90s, 10m or 1h30m")
        total = float(number)
    return total


def _clock(bare: str, given: str) -> float:
    days, _, rest = bare.rpartition("-")
    parts = rest.split(":")
    if not all(part.isdigit() for part in parts) or len(parts) > 3 or (days and not days.isdigit()):
        raise ValueError(f"{given!r} is not a time; write HH:MM:SS or D-HH:MM:SS")
    numbers = [int(part) for part in parts]
    if len(numbers) == 2:  # Slurm: minutes:seconds, but days-hours:minutes
        numbers = [*numbers, 0] if days else [0, *numbers]
    hours, minutes, seconds = numbers
    return int(days or 0) * 86400.0 + hours * 3600.0 + minutes * 60.0 + seconds


def parse_every(text: str) -> tuple[str, float]:
    """A cadence: ("steps", 20) for `20`, ("epochs", 2) for `2epochs`, ("seconds", 600) for `10m`.

    Raises:
        ValueError: with a sentence that names the text.
    """
    given = str(text).strip()
    bare = given.lower().replace(" ", "")
    for suffix, kind in (("epochs", "epochs"), ("epoch", "epochs"), ("steps", "steps"), ("step", "steps"), ("", "steps")):
        digits = bare[: len(bare) - len(suffix)] if suffix else bare
        if bare.endswith(suffix) and digits.isdigit():
            if int(digits) < 1:
                raise ValueError(f"{given!r}: the cadence must be at least 1")
            return kind, float(int(digits))
    try:
        seconds = parse_duration(given)
    except ValueError:
        raise ValueError(f"{given!r} is not a cadence; write 20 (steps), 10m or 2epochs") from None
    if seconds <= 0:
        raise ValueError(f"{given!r}: the cadence must be longer than 0")
    return "seconds", seconds


def parse_bytes(text: str) -> int:
    """Bytes in `512`, `10k`, `1.5GiB` (powers of 1024; kB, MB, GB are powers of 1000).

    Raises:
        ValueError: with a sentence that names the text.
    """
    bare = str(text).strip().lower().replace(" ", "")
    digits = bare.rstrip("abcdefghijklmnopqrstuvwxyz")
    factor = _BYTES.get(bare[len(digits) :])
    try:
        if factor is None:
            raise ValueError  # noqa: TRY301  # one sentence for both kinds of nonsense
        return int(float(digits) * factor)
    except ValueError:
        raise ValueError(f"{text!r} is not a size; write for instance 512M or 1.5G") from None


def duration(seconds: float) -> str:
    """`0.3 s`, `42 s`, `5m 03s`, `2h 05m`, `3d 04h`."""
    if seconds < 0:
        return "-" + duration(-seconds)
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60}m {whole % 60:02d}s"
    if whole < 86400:
        return f"{whole // 3600}h {whole % 3600 // 60:02d}m"
    return f"{whole // 86400}d {whole % 86400 // 3600:02d}h"


def size(count: float) -> str:
    """`512 B`, `3.4 kB`, `1.2 GB` (powers of 1000, as disks are sold and `df -H` counts)."""
    number = float(count)
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if number < 999.5 or unit == "TB":
            return f"{number:.0f} {unit}" if unit == "B" or number >= 99.95 else f"{number:.1f} {unit}"
        number /= 1000
    return ""


_EPOCH_DAY = 719468  # days from 0000-03-01 to 1970-01-01


def from_rfc3339(text: str) -> float:
    """Unix seconds of a time such as `2026-11-20T20:38:05.250Z` (by arithmetic: datetime costs a launch 4 ms).

    Raises:
        ValueError: with a sentence that names the text.
    """
    try:
        year, month, day = int(text[0:4]), int(text[5:7]), int(text[8:10])
        hours, minutes, seconds = int(text[11:13]), int(text[14:16]), int(text[17:19])
        if not (1 <= month <= 12 and 1 <= day <= 31 and hours < 24 and minutes < 60 and seconds <= 60):
            raise ValueError  # noqa: TRY301  # one sentence for all that can be wrong
        fraction, offset = _fraction_and_offset(text[19:])
    except ValueError:
        raise ValueError(f"{text!r} is not a time of the form 2026-11-20T20:38:05Z") from None
    return _days(year, month, day) * 86400 + hours * 3600 + minutes * 60 + seconds + fraction - offset


def _fraction_and_offset(tail: str) -> tuple[float, int]:
    digits = len(tail) - len(tail[1:].lstrip("0123456789")) if tail.startswith(".") else 0
    zone = tail[digits:]
    fraction = float("0" + tail[:digits]) if digits else 0.0
    if zone in ("Z", "z"):
        return fraction, 0
    if len(zone) != 6 or zone[0] not in "+-" or zone[3] != ":":
        raise ValueError
    offset = int(zone[1:3]) * 3600 + int(zone[4:6]) * 60
    return fraction, offset if zone[0] == "+" else -offset


def _days(year: int, month: int, day: int) -> int:
    """Days since 1970-01-01; years begin in March, so that the leap day comes last."""
    year -= month <= 2
    era, of_era = divmod(year, 400)
    of_year = (153 * (month - 3 if month > 2 else month + 9) + 2) // 5 + day - 1
    return era * 146097 + of_era * 365 + of_era // 4 - of_era // 100 + of_year - _EPOCH_DAY
