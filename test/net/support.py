"""What the fixtures hand to the tests: running servers, running plaits, and ways to wait for a condition."""
import atexit
import functools
import hashlib
import json
import os
import random
import select
import signal
import socket
import subprocess
import time
from pathlib import Path

from spawn import Nursery

# Set where the program needs several times the CPU: what it does is looked at there, not how soon.
SLOW_BUILD = "PLAIT_NET_SKIP" in os.environ

HERE = Path(__file__).resolve().parent
KB, MB = 1000, 1000 * 1000


def wait_for(condition, what, run=None, timeout=15.0, every=0.01):
    """The condition's first true value; fails the test when it does not come, or when `run` has ended before."""
    end = time.monotonic() + timeout
    while not (value := condition()):
        assert run is None or run.running(), "plait ended before: %s; it said:\n%s" % (what, run.err)
        assert time.monotonic() < end, "waited %.0f s in vain for: %s" % (timeout, what)
        time.sleep(every)
    return value


def sha256(data):
    return hashlib.sha256(data).hexdigest()


class Data:
    """Random bytes in a file, the same for the same size and seed."""

    def __init__(self, folder, size, seed):
        self.size, self.path = size, Path(folder) / ("r%d-%d.bin" % (seed, size))
        self.bytes = random.Random(seed).randbytes(size)
        self.sha256 = sha256(self.bytes)
        self.path.write_bytes(self.bytes)

    name = property(lambda self: self.path.name)

    def __str__(self):
        return str(self.path)


def namespaced(ns, command):
    return ["ip", "netns", "exec", ns] + command if ns else command


@functools.lru_cache(maxsize=None)
def nursery():
    """The one of this run; it ends with us."""
    made = Nursery(HERE)
    atexit.register(made.stop)
    return made


class Server:
    """A process of ours that listens, logs JSON lines and takes JSON commands."""

    def __init__(self, script, spec, folder, ns=None):
        folder = Path(folder)
        stem = "%s-%d" % (script, len(list(folder.glob("*.log"))))
        self.log_path = folder / (stem + ".log")
        self.log_path.touch()
        spec_path = folder / (stem + ".json")
        spec_path.write_text(json.dumps({**spec, "log": str(self.log_path)}))
        self.pid, self.stdin, self.stdout = nursery().start(script, spec_path, ns)
        line = self.stdout.readline()
        assert line, "the %s did not start" % script
        self.ports = json.loads(line)["ports"]

    def tell(self, **command):
        self.stdin.write(json.dumps(command) + "\n")
        self.stdin.flush()
        return json.loads(self.stdout.readline())

    def log(self):
        # The last line may be half written.
        lines = self.log_path.read_text().split("\n")[:-1]
        return [json.loads(line) for line in lines]

    def stop(self):
        """Returns when it is gone; it leaves at once, with its connections."""
        if not self.stdin.closed:
            self.stdin.close()
            if not select.select([self.stdout], [], [], 5)[0]:
                os.kill(self.pid, signal.SIGKILL)
            self.stdout.read()
            self.stdout.close()


class Liar(Server):
    """One liar with several sites; a site is one address."""

    def __init__(self, sites, folder, ns=None):
        super().__init__("liar", {"sites": sites}, folder, ns)
        self.sites = sites

    def url(self, site=0, path="/f", host=None, user=None):
        spec = self.sites[site]
        scheme = "https" if spec.get("tls") else "http"
        host = host or spec["address"]
        host = "[%s]" % host if ":" in host else host
        return "%s://%s%s:%d%s" % (scheme, user + "@" if user else "", host, self.ports[site], path)

    def urls(self, path="/f"):
        return [self.url(i, path) for i in range(len(self.sites))]

    def requests(self, site=None, path=None):
        """The requests so far, each with what became of it: status, sent, how (None while it runs)."""
        log = self.log()
        ends = {e["id"]: e for e in log if e["event"] == "end"}
        found = []
        for r in log:
            if r["event"] != "request" or (site is not None and r["site"] != site):
                continue
            if path is None or r["path"] == path:
                end = ends.get(r["id"], {})
                found.append({**r, "status": end.get("status"), "sent": end.get("sent", 0), "how": end.get("how")})
        return found

    def faults(self):
        return [e for e in self.log() if e["event"] == "fault"]

    def sent(self, site=0, path="/f"):
        return self.tell(do="sent", site=site, path=path)["sent"]

    def set(self, site=0, path="/f", **keys):
        self.tell(do="set", site=site, path=path, **{"with": keys})

    def release(self, site=0, path="/f"):
        self.tell(do="release", site=site, path=path)

    def drop(self, site=None):
        return self.tell(do="drop", site=site)["dropped"]

    def peers(self):
        return {r["peer"].rpartition(":")[0] for r in self.requests()}


class Proxies(Server):
    def __init__(self, proxies, folder, ns=None):
        super().__init__("proxy", {"proxies": proxies}, folder, ns)
        self.proxies = proxies

    def url(self, i=0, scheme=None):
        spec = self.proxies[i]
        scheme = scheme or {"http": "http", "socks5": "socks5h"}[spec["kind"]]
        return "%s://%s:%d" % (scheme, spec["address"], self.ports[i])

    def asked(self, i=0):
        return [e for e in self.log() if e["event"] == "request" and e["proxy"] == i]

    def carried(self, i=0):
        return sum(e["down"] for e in self.log() if e["event"] == "end" and e["proxy"] == i)


class Result:
    """What a finished plait left: status, out (bytes), err (text)."""

    def __init__(self, args, status, out, err, seconds):
        self.args, self.status, self.out, self.err, self.seconds = args, status, out, err, seconds

    @property
    def events(self):
        return [json.loads(line) for line in self.out.decode().splitlines()]

    def __repr__(self):
        return "<plait %s\n -> %d after %.2f s; out %d bytes: %.2000r; err:\n%s>" % (
            " ".join(self.args), self.status, self.seconds, len(self.out), self.out[:2000], self.err[-4000:])


class Running:
    """A plait that runs. Its standard error goes to a file, its standard output to a pipe unless told otherwise."""

    def __init__(self, command, args, cwd, env, stdout=subprocess.PIPE, stderr=None, **more):
        self.args, self.started = args, time.monotonic()
        self.err_path = cwd / (".err-%d" % len(list(cwd.glob(".err-*"))))
        with open(self.err_path, "wb") as err:
            self.process = subprocess.Popen(command, cwd=cwd, env=env, stdin=subprocess.DEVNULL, stdout=stdout,
                                            stderr=err if stderr is None else stderr, **more)

    pid = property(lambda self: self.process.pid)
    stdout = property(lambda self: self.process.stdout)

    @property
    def err(self):
        return self.err_path.read_text(errors="replace")

    def running(self):
        return self.process.poll() is None

    def kill(self, sig=signal.SIGKILL):
        self.process.send_signal(sig)

    def rss_max(self):
        """The most memory it has had, in bytes."""
        for line in Path("/proc/%d/status" % self.pid).read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
        raise AssertionError("no VmHWM")

    def finish(self, timeout=20.0):
        try:
            out, _ = self.process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.communicate()
            raise AssertionError("plait %s did not end within %.0f s; it said:\n%s" %
                                 (" ".join(self.args), timeout, self.err[-4000:])) from None
        return Result(self.args, self.process.returncode, out or b"", self.err, time.monotonic() - self.started)

    def end(self):
        """For the fixture: nothing of it is left."""
        if self.running():
            self.process.kill()
        self.process.wait()
        if self.process.stdout:
            self.process.stdout.close()


class Plait:
    """Runs the program under test in a folder of its own, without the caller's environment."""

    def __init__(self, exe, folder):
        self.exe, self.folder, self.all = exe, Path(folder), []
        self.env = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": str(self.folder), "LANG": "C.UTF-8"}
        # A sanitizer's report must not look like one of the documented statuses.
        self.env.update({k: v for k, v in os.environ.items() if k.endswith("SAN_OPTIONS")})

    def start(self, *args, ns=None, env=None, **more):
        args = [str(a) for a in args]
        run = Running(namespaced(ns, [self.exe] + args), args, self.folder, {**self.env, **(env or {})}, **more)
        self.all.append(run)
        return run

    def get(self, *args, timeout=20.0, **more):
        return self.start("get", *args, **more).finish(timeout)

    def file(self, name="out"):
        return self.folder / name

    def partial(self, name="out"):
        return self.folder / (name + ".plait-part")

    def journal(self, name="out"):
        return self.folder / (name + ".plait-journal")

    def names(self):
        """What lies in the folder, except for what the tests put there themselves."""
        return sorted(p.name for p in self.folder.iterdir() if not p.name.startswith("."))

    def stop(self):
        for run in self.all:
            run.end()


def kept_bytes(path):
    """How much of a sparse file is there."""
    return path.stat().st_blocks * 512 if path.exists() else 0


def assert_file(result, path, data):
    """The transfer succeeded and left exactly these bytes under the final name, and nothing beside it."""
    assert result.status == 0, result
    assert path.exists(), result
    got = path.read_bytes()
    assert len(got) == data.size, "size %d instead of %d; %r" % (len(got), data.size, result)
    if got != data.bytes:
        at = next(i for i in range(len(got)) if got[i] != data.bytes[i])
        raise AssertionError("wrong bytes from offset %d on; %r" % (at, result))
    left = [n for n in os.listdir(path.parent) if n.startswith(path.name + ".plait")]
    assert left == [], "left behind: %s" % left


def assert_refused(result, path, status, *words):
    """The transfer failed as it should: the status, what the message names, and nothing under the final name."""
    statuses = (status,) if isinstance(status, int) else status
    assert result.status in statuses, result
    assert_says(result, *words)
    assert not path.exists(), "a failed transfer left %s; %r" % (path, result)


def assert_says(result, *words):
    """There is a message of plait's on standard error, and it holds the words (one of them, where they are a tuple)."""
    lines = [line for line in result.err.splitlines() if line.startswith("plait")]
    assert lines, "no message: %r" % result
    for word in words:
        choice = (word,) if isinstance(word, str) else word
        assert any(w.lower() in result.err.lower() for w in choice), "nothing about %s: %r" % (choice, result)


class BlackHole:
    """An address that takes SYNs and never answers them: a listener whose queue is full."""

    def __init__(self, address):
        self.listener = socket.socket()
        self.listener.bind((address, 0))
        self.listener.listen(0)
        self.address, self.port = self.listener.getsockname()
        self.fillers = []
        for _ in range(4):
            s = socket.socket()
            s.setblocking(False)
            s.connect_ex((self.address, self.port))
            self.fillers.append(s)

    def close(self):
        for s in self.fillers + [self.listener]:
            s.close()


def closed_port(address="127.0.0.1"):
    """A port that nothing listens on."""
    with socket.socket() as s:
        s.bind((address, 0))
        return s.getsockname()[1]
