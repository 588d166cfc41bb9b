"""What it tells: JSON lines, bars on a terminal, silence; and what it keeps to: rates and checksums."""
import fcntl
import hashlib
import json
import os
import pty
import re
import signal
import struct
import termios
import threading
import unicodedata

import pytest

from support import MB, assert_file, assert_refused, assert_says, sha256, wait_for

CSI = re.compile(r"\x1b(\[[0-?]*[ -/]*[@-~]|[78=>])")


# JSON.

FIELDS = {"path", "source", "route", "local", "state", "bytes", "duplicated", "compared", "rate", "rtt", "errors",
          "reason"}

def json_lines(result):
    lines = result.out.decode().splitlines()
    assert lines, result
    return [json.loads(line) for line in lines]


def test_json_lines_and_sums(plait, liar, data):
    d = data(4 * MB)
    server = liar(*[{"file": str(d)}] * 2, rate=4 * MB)
    result = plait.get("--json", "-o", "out", *server.urls())
    assert_file(result, plait.file(), d)
    events = json_lines(result)
    assert all(isinstance(e, dict) and "event" in e for e in events)
    assert [a["t"] <= b["t"] for a, b in zip(events, events[1:])].count(False) == 0
    last = events[-1]
    assert (last["event"], last["exit"], last["error"], last["file"]) == ("summary", 0, None, "out")
    assert last["size"] == last["bytes"] == d.size
    assert sum(p["bytes"] for p in last["paths"]) == d.size
    assert {p["source"] for p in last["paths"]} == set(server.urls())
    assert all(FIELDS <= set(p) for p in last["paths"])
    assert {"connected", "size", "output"} <= {e["event"] for e in events}


def test_json_progress_once_a_second(plait, liar, data):
    d = data(4 * MB)
    server = liar({"file": str(d)}, rate=2 * MB)
    result = plait.get("--json", "-o", "out", server.url())
    assert_file(result, plait.file(), d)
    progress = [e for e in json_lines(result) if e["event"] == "progress"]
    assert 1 <= len(progress) <= 3
    assert 0 < progress[0]["bytes"] < d.size and progress[0]["size"] == d.size
    assert progress[0]["rate"] == pytest.approx(2 * MB, rel=0.3)
    assert progress[0]["eta"] == pytest.approx(1.0, abs=0.5)


def test_json_of_a_failure(plait, liar):
    server = liar({"status": 404, "text": ""})
    result = plait.get("--json", "-o", "out", server.url())
    assert_refused(result, plait.file(), 4, "404")
    last = json_lines(result)[-1]
    assert (last["event"], last["exit"]) == ("summary", 4) and "404" in last["error"]


def test_json_with_odd_texts(plait, liar, data):
    d = data(1000)
    path = "/a%22b%5C%C3%A9%FF"
    server = liar({"resources": {path: {"file": str(d)}}})
    result = plait.get("--json", "-o", 'o"ut\u00e9\\', server.url(0, path))
    assert json_lines(result)


def test_json_beside_the_stream(plait, nginx, data):
    """With -o - standard output is the stream's."""
    d = data(1 * MB)
    result = plait.get("--json", "-o", "-", nginx.url(d.name))
    assert (result.status, result.out) == (0, d.bytes), result
    events = [json.loads(line) for line in result.err.splitlines() if line.startswith("{")]
    assert events[-1]["event"] == "summary"


# Silence.

def test_quiet(plait, nginx, data):
    d = data(1 * MB)
    result = plait.get("-q", "-o", "out", *nginx.urls(d.name, 2))
    assert_file(result, plait.file(), d)
    assert (result.out, result.err) == (b"", "")


def test_quiet_still_tells_errors(plait, nginx):
    assert_refused(plait.get("-q", "-o", "out", nginx.url("nowhere")), plait.file(), 4, "404")


def test_no_bars_without_a_terminal(plait, nginx, data):
    d = data(1 * MB)
    result = plait.get("-o", "out", *nginx.urls(d.name, 2))
    assert_file(result, plait.file(), d)
    assert "\r" not in result.err and "\x1b" not in result.err
    assert len(result.err.splitlines()) < 6


# Bars.

class Terminal:
    """A pseudo-terminal that keeps what is written to it."""

    def __init__(self, columns, rows=24):
        self.master, self.slave = pty.openpty()
        self.resize(columns, rows)
        self.parts = []
        self.thread = threading.Thread(target=self.read)
        self.thread.start()

    def resize(self, columns, rows=24):
        fcntl.ioctl(self.slave, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def read(self):
        try:
            while part := os.read(self.master, 65536):
                self.parts.append(part)
        except OSError:
            pass

    def text(self):
        os.close(self.slave)
        self.thread.join(10)
        os.close(self.master)
        return b"".join(self.parts).decode()


def width(text):
    return sum(0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)


def on_terminal(plait, columns, *args, env=None, rows=24):
    terminal = Terminal(columns, rows)
    try:
        run = plait.start("get", *args, stderr=terminal.slave, env={"TERM": "xterm", **(env or {})})
        result = run.finish()
    finally:
        text = terminal.text()
    return result, text


@pytest.mark.parametrize("columns", [20, 40, 80, 200])
def test_bars_fit_the_width(plait, liar, data, columns):
    d = data(2 * MB)
    server = liar(*[{"file": str(d)}] * 2, rate=2 * MB)
    result, text = on_terminal(plait, columns, "-o", "out", *server.urls())
    assert_file(result, plait.file(), d)
    lines = re.split(r"[\r\n]+", CSI.sub("", text))
    assert max(width(line) for line in lines if not line.startswith("out: 2.0 MB in")) <= columns, lines
    assert CSI.sub("", text).endswith("\n")
    assert len(lines) > 4, "no bars: %r" % text
    assert text.count("\x1b[?25l") == text.count("\x1b[?25h")


def test_a_bar_for_each_path(plait, liar, data):
    d = data(2 * MB)
    server = liar(*[{"file": str(d)}] * 3, rate=1 * MB)
    result, text = on_terminal(plait, 100, "-o", "out", *server.urls())
    assert_file(result, plait.file(), d)
    for i in range(3):
        assert "127.0.0.%d" % (2 + i) in text


def test_more_paths_than_rows(plait, liar, data):
    d = data(2 * MB)
    server = liar({"resources": {"/%d" % i: {"file": str(d), "rate": 100_000} for i in range(20)}})
    result, text = on_terminal(plait, 80, "-o", "out", *[server.url(0, "/%d" % i) for i in range(20)], rows=8)
    assert_file(result, plait.file(), d)
    ups = [int(n or 1) for n in re.findall(r"\x1b\[(\d*)[AF]", text)]
    assert max(ups, default=0) < 8, "the cursor goes up beyond the screen"


def test_the_cursor_comes_back_after_a_signal(plait, liar, data):
    server = liar({"file": str(data(2 * MB)), "hold": 500_000})
    terminal = Terminal(80)
    try:
        run = plait.start("get", "-o", "out", server.url(), stderr=terminal.slave, env={"TERM": "xterm"})
        wait_for(lambda: server.sent() >= 500_000, "the hold", run)
        wait_for(lambda: terminal.parts, "a bar", run)
        run.kill(signal.SIGINT)
        assert run.finish().status == 130
    finally:
        text = terminal.text()
    assert text.count("\x1b[?25l") == text.count("\x1b[?25h")
    assert CSI.sub("", text).endswith("\n")


def test_a_server_that_is_reached_and_not_needed_is_not_connecting(plait, nginx, liar, data):
    """It says nothing after it has been connected to."""
    d = data(6 * MB)
    mute = liar({"file": str(d), "mute": True})
    result, text = on_terminal(plait, 120, "--limit-rate", "4M", "-o", "out", nginx.url(d.name), mute.url())
    assert_file(result, plait.file(), d)
    assert "connected  " + mute.url() in CSI.sub("", text), text


def test_quiet_on_a_terminal(plait, nginx, data):
    result, text = on_terminal(plait, 80, "-q", "-o", "out", nginx.url(data(1 * MB).name))
    assert_file(result, plait.file(), data(1 * MB))
    assert text == ""


def test_a_dumb_terminal(plait, nginx, data):
    result, text = on_terminal(plait, 80, "-o", "out", nginx.url(data(1 * MB).name), env={"TERM": "dumb"})
    assert_file(result, plait.file(), data(1 * MB))
    assert "\x1b" not in text


def test_names_cannot_control_the_terminal(plait, liar, data):
    d = data(1 * MB)
    field = ["Content-Disposition", 'attachment; filename="a\x1b]0;evil\x07\u009b2J"']
    server = liar({"file": str(d), "rate": 2 * MB, "headers": [field]})
    _, text = on_terminal(plait, 80, server.url())
    assert "\x1b]" not in text and "\x07" not in text and "\u009b" not in text


# Rates.

def test_limit_rate(plait, liar, data):
    d = data(5 * MB)
    server = liar(*[{"file": str(d)}] * 2)
    result = plait.get("--limit-rate", "2M", "-o", "out", *server.urls())
    assert_file(result, plait.file(), d)
    times = [e["t"] for e in server.log() if e["event"] in ("request", "end")]
    rate = d.size / (max(times) - min(times))
    # M may be a million, or 1024 times 1024.
    assert 0.85 * 2 * MB < rate < 1.15 * 2 * 1048576, "%.2f MB/s" % (rate / MB)


# Checksums.

@pytest.mark.parametrize("form", ["sha-256=%s", "sha256=%s", "%s"])
def test_checksum_right(plait, nginx, data, form):
    d = data(1 * MB)
    assert_file(plait.get("--checksum", form % d.sha256, "-o", "out", *nginx.urls(d.name, 2)), plait.file(), d)


@pytest.mark.parametrize("algorithm", ["sha-512", "sha-384"])
def test_other_checksums(plait, nginx, data, algorithm):
    d = data(1 * MB)
    value = hashlib.new(algorithm.replace("-", ""), d.bytes).hexdigest().upper()
    assert_file(plait.get("--checksum", algorithm + "=" + value, "-o", "out", nginx.url(d.name)), plait.file(), d)


def test_checksum_wrong(plait, nginx, data):
    d = data(1 * MB)
    result = plait.get("--checksum", "sha-256=" + "0" * 64, "-o", "out", *nginx.urls(d.name, 2))
    assert_refused(result, plait.file(), 5, "sha-256")


def test_checksum_wrong_to_a_pipe(plait, nginx, data):
    d = data(1 * MB)
    result = plait.get("--checksum", "sha-256=" + "0" * 64, "-o", "-", nginx.url(d.name))
    assert result.status == 5, result
    assert_says(result, "sha-256")


def test_checksum_right_to_a_pipe(plait, nginx, data):
    d = data(1 * MB)
    result = plait.get("--checksum", d.sha256, "-o", "-", *nginx.urls(d.name, 2))
    assert result.status == 0 and sha256(result.out) == d.sha256, result


# Messages.

ADVICE = ("check", "choose", "use ", "run ", "name another", "make ", "free ", "give ", "try ", "wait", "see ", "shows")

# Arguments, and the place that the message must name.
FAILURES = {
    "refused": lambda n, d: (["-o", "out", n.url("nowhere")], n.url("nowhere")),
    "nothing-listens": lambda n, d: (["-o", "out", "--timeout", "1", "http://127.0.0.29:1/f"], "127.0.0.29:1"),
    "no-such-host": lambda n, d: (["-o", "out", "--timeout", "1", "http://nowhere.invalid/f"], "nowhere.invalid"),
    "exists": lambda n, d: (["-o", ".err-0", n.url(d.name)], ".err-0"),
    "no-such-folder": lambda n, d: (["-o", "no/such", n.url(d.name)], "no/such"),
    "not-a-file": lambda n, d: (["-o", "/proc/plait", n.url(d.name)], "/proc/plait"),
    "checksum": lambda n, d: (["-o", "out", "--checksum", "0" * 64, n.url(d.name)], d.name),
    "no-such-interface": lambda n, d: (["-o", "out", "--via", "plait-9", n.url(d.name)], "plait-9"),
    "no-such-metalink": lambda n, d: (["-o", "out", "nowhere.meta4"], "nowhere.meta4"),
    "certificate": lambda n, d: (["-o", "out", n.tls_url(d.name, "good")], n.tls_url(d.name, "good")),
}


@pytest.mark.parametrize("name", FAILURES)
def test_messages_say_what_where_and_what_to_do(plait, nginx, data, name):
    args, where = FAILURES[name](nginx, data(1000))
    result = plait.get(*args)
    assert result.status != 0
    assert all(line.startswith(("plait: ", "plait get: ", "  ")) for line in result.err.splitlines()), result
    assert_says(result, where, ADVICE)
    assert "errno" not in result.err.lower() and "PLAIT_" not in result.err and "(null)" not in result.err
