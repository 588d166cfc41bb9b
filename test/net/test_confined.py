"""What a tunnel's process may still do once it has given up the rest, and its control socket."""
import errno
import json
import os
import pwd
import signal
import socket
import stat
import subprocess

import pytest

from iokit import IO_KIT, Net, kit
from netns import remove_stale
from support import wait_for

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="to give up privileges one has to have them")
NOBODY = pwd.getpwnam("nobody").pw_uid


@pytest.fixture
def net():
    remove_stale()
    made = Net()
    yield made
    made.remove()


@pytest.mark.parametrize("user", ["-", "nobody"])
@pytest.mark.parametrize("call,number", [("packet-socket", errno.EPERM), ("mount", errno.EPERM), ("chroot", errno.EPERM),
                                         ("fork", errno.EPERM), ("sethostname", errno.EPERM), ("setuid", errno.EPERM),
                                         ("writable-code", errno.EPERM)])
def test_refused(user, call, number):
    (line,), status = kit("confined", user, call)
    assert status == 0 and line["result"] == -1 and line["errno"] == number
    assert line["uid"] == (0 if user == "-" else NOBODY)


def test_nothing_is_executed():
    assert kit("confined", "nobody", "exec") == ([], -signal.SIGSYS)


def test_files_of_others():
    assert kit("confined", "nobody", "shadow")[0][0]["errno"] == errno.EACCES


def test_marks_need_the_network_capability():
    assert kit("confined", "nobody", "mark")[0][0]["result"] == 0
    (line,), _ = kit("confined", "nobody", "mark", "without")
    assert line["result"] == -1 and line["errno"] == errno.EPERM


@pytest.mark.parametrize("user", ["-", "nobody"])
def test_the_work_goes_on(net, user):
    """Threads, sockets with a mark, a TUN device, routes, rules, nftables, names."""
    (line,), status = kit("confined", user, "work", ns=net.add("a"))
    assert status == 0 and line["result"] == 0, line


def test_no_such_user():
    (line,), status = kit("confined", "plait-nobody-of-this-name", "nothing")
    assert status == 1 and line["err"] == "not found"


@pytest.fixture
def path(place):
    return str(place / "control.sock")


def ask(path, request, *more):
    lines, status = kit("ask", path, json.dumps(request), *more)
    return lines[0], status


def test_control(net, path):
    server = net.kit("control", path)
    assert server.line() == {"ready": True}
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o660
    answer, status = ask(path, {"what": "status", "bytes": 3})
    assert status == 0 and answer == {"asked": {"what": "status", "bytes": 3}, "filler": "xxx"}
    assert len(ask(path, {"bytes": 3000000})[0]["filler"]) == 3000000
    assert "error" in ask(path, {"none": 1})[0]
    server.end()
    assert not os.path.exists(path)
    answer, status = ask(path, {})
    assert status == 1 and answer["err"] == "not found"


def test_control_lines(net, path):
    """Several in one piece, one in several pieces, what is no JSON, and what is too long."""
    server = net.kit("control", path)
    server.line()
    with socket.socket(socket.AF_UNIX) as s:
        s.settimeout(5)
        s.connect(path)
        replies = s.makefile()
        s.sendall(b'{"a":1}\n{"a":2}\n{"a"')
        assert [json.loads(replies.readline())["asked"]["a"] for _ in range(2)] == [1, 2]
        s.sendall(b":3}\n")
        assert json.loads(replies.readline())["asked"]["a"] == 3
        for wrong in (b"[]\n", b"no\n", b'{"a":1,"a":2}\n', b"\xff\x00\n"):
            s.sendall(wrong)
            assert "error" in json.loads(replies.readline())
        s.sendall(b"x" * 5000)
        with pytest.raises((ConnectionResetError, EOFError)):
            if replies.readline() == "":
                raise EOFError
    assert ask(path, {"a": 4})[1] == 0
    server.end()


def test_control_many_clients(net, path):
    """Those who connect and say nothing do not keep others out for good."""
    server = net.kit("control", path)
    server.line()
    silent = [socket.socket(socket.AF_UNIX) for _ in range(20)]
    for s in silent:
        s.connect(path)
    for s in silent:
        s.close()
    wait_for(lambda: ask(path, {"a": 1})[1] == 0, "an answer")
    server.end()


def test_control_stale_and_taken(net, path):
    first = net.kit("control", path)
    first.line()
    (line,), status = kit("control", path)
    assert status == 1 and line["err"] == "wrong state"
    first.kill()
    assert os.path.exists(path)
    second = net.kit("control", path)
    assert second.line() == {"ready": True}
    assert ask(path, {"a": 1})[1] == 0
    second.end()
    with open(path, "w"):
        pass
    assert kit("control", path)[1] == 1
    assert os.path.exists(path), "only a socket is replaced"


def test_control_times_out(path):
    with socket.socket(socket.AF_UNIX) as deaf:
        deaf.bind(path)
        deaf.listen()
        line, status = ask(path, {}, 200)
        assert status == 1 and "timed out" in line["errno"].lower()
