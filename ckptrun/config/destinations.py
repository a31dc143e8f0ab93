"""Where backups go: a directory, or a URL that fsspec knows, whose secrets are for nobody's eyes. PURE."""

from __future__ import annotations

import os
import re

_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*(?:::[A-Za-z][A-Za-z0-9+.-]*)*://")
_SECRET = re.compile(r"(?<=://)[^/?#\s]*:[^/?#\s]*@")
_QUERY = re.compile(r"(?<=\?)[^#\s]+")


def is_url(text: str) -> bool:
    """Whether a destination is one that fsspec knows, not a path."""
    return _URL.match(text) is not None


def redacted(text: str) -> str:
    """A URL, or a text with URLs in it, without passwords and signatures."""
    return _QUERY.sub("***", _SECRET.sub("***@", text)) if "://" in text else text


def absolute(dest: str, cwd: str) -> str:
    """A path as an absolute one; a URL as it is."""
    return dest.rstrip("/") if is_url(dest) else os.path.normpath(os.path.join(cwd, os.path.expanduser(dest)))


def below(dest: str, *words: str) -> str:
    """A place within a place."""
    if not is_url(dest):
        return os.path.join(dest, *words)
    return "/".join([dest.rstrip("/"), *words])
