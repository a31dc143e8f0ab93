"""What the script tells us: each message as an event, and anything else as nothing."""

from __future__ import annotations

import json
import os
import socket

import pytest

from ckptrun.supervise import events as ev
from ckptrun.supervise.notify import NotifySocket, parse


@pytest.mark.parametrize(
    ("message", "event"),
    [
        (
            {"hello": {"pid": 9, "goes_on": True, "rank": 0, "world": 2, "version": "1"}},
            ev.Hello(5, goes_on=True, world=2, apart=True),
        ),
        ({"hello": {"goes_on": True, "world": 2, "apart": False}}, ev.Hello(5, goes_on=True, world=2)),
        ({"hello": {}}, ev.Hello(5)),
        ({"step": 7, "total": None, "epoch": 0.5}, ev.Stepped(5, 7, None, 0.5)),
        ({"step": 7, "total": 10}, ev.Stepped(5, 7, 10)),
        ({"saving": 7}, ev.Saving(7)),
        ({"checkpoint": "step-7", "step": 7, "request": "", "seconds": 0.5}, ev.Saved(5, "step-7", 7, "", 0.5)),
        ({"checkpoint": "step-7", "step": 7, "request": "3-1", "seconds": 2}, ev.Saved(5, "step-7", 7, "3-1", 2.0)),
        ({"failed": "disk full"}, ev.SaveFailed("disk full")),
        ({"answered": "3-1", "checkpoint": "step-7"}, ev.Answered(5, "3-1", "step-7")),
        ({"done": "all"}, ev.Done("all")),
        ({"unknown": 1}, None),
        ({}, None),
        ([], None),
        (7, None),
        ({"step": None}, None),
        ({"step": "x"}, None),
        ({"hello": 3}, None),
    ],
)
def test_messages(message, event):
    assert parse(json.dumps(message).encode(), 5) == event


@pytest.mark.parametrize("data", [b"", b"{", b"\xff\xfe", b"[" * 100_000, b'{"step": 1', b'{"step": 1e999}', b"null"])
def test_what_is_no_message(data):
    assert parse(data, 5) is None


def test_the_socket_knows_the_sender(tmp_path):
    listening = NotifySocket(str(tmp_path))
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as client:
        client.sendto(b'{"hello": {"pid": 1}}', listening.path)
        client.sendto(b"rubbish", listening.path)
        client.sendto(b'{"step": 3}', listening.path)
    assert listening.take() == [ev.Hello(os.getpid()), ev.Stepped(os.getpid(), 3)]
    assert listening.bad == 1
    assert listening.take() == []
    listening.close()
    assert os.listdir(tmp_path) == []


def test_a_socket_that_was_left_is_replaced(tmp_path):
    (tmp_path / "notify").write_text("left")
    listening = NotifySocket(str(tmp_path))
    listening.close()
    listening.close()
