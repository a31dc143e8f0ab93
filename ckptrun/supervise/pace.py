"""When to look at the tree again: soon at first, then once a second, and rarely when an answer takes its time."""

from __future__ import annotations

SOON = (0.05, 0.05, 0.1, 0.2, 0.5)
THEN = 1.0
PATIENT_AFTER = 60.0
PATIENT = 10.0


class Pace:
    """Time of the next look; None = there is nothing to look for."""

    def __init__(self) -> None:
        self.at: float | None = None
        self._began = 0.0
        self._looks = 0

    def begin(self, now: float) -> None:
        """Something has just been asked, sent or ended."""
        self._began, self._looks, self.at = now, 0, now + SOON[0]

    def next(self, now: float, *, wanted: bool, patient: bool) -> None:
        """A look is over; `patient`: nobody needs to know within a second."""
        self._looks += 1
        if not wanted:
            self.at = None
        elif patient and now - self._began > PATIENT_AFTER:
            self.at = now + PATIENT
        else:
            self.at = now + (SOON[self._looks] if self._looks < len(SOON) else THEN)

    def due(self, now: float) -> bool:
        """It is time."""
        return self.at is not None and self.at <= now
