#!/usr/bin/python3
"""How much of what the links could carry does a download get?

    server (nginx) ═══ link 1 … link n ═══ client (the tool under test)

Each row lays its links between two namespaces with plait-lab, one server address per link, and lets each tool fetch one
random file over all of them. Printed is the share of the fluid bound: the least time in which the links' rates could
have carried the file's bytes, divided by the time from the tool's start to its exit. A tool whose output differs from
the file gets WRONG, one that does not end gets never. Needs root and nginx; tools that are missing are left out.

Queues are drop-tail: 100 ms on every link but the satellite's, which has 600 ms. Loss and jitter are on the way down
(towards the client). Payload is 1448 of 1500 bytes (IPv4, TCP with timestamps), less the loss.
"""

import argparse
import contextlib
import dataclasses
import hashlib
import json
import os
import pathlib
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT / "lab"))
from plaitlab import Lab, plait  # noqa: E402  (found through the line above)
from webserver import Directed, nginx, plait_serve, program  # noqa: E402

PAYLOAD = 1448 / 1500
MB = 1_000_000


@dataclasses.dataclass(frozen=True)
class Link:
    mbit: float
    rtt_ms: float
    loss: float = 0.0
    jitter_ms: float = 0.0
    queue_ms: float = 100.0
    change_s: float | None = None  # when the rate changes
    change_mbit: float = 0.0  # to what; 0 = silence
    from_s: float = 0.0  # when it is there, in the bound
    limit: str | None = None  # nginx's limit_rate for each request to this link's address

    def words(self):
        return (f"rate {self.mbit}mbit rtt {self.rtt_ms}ms queue {self.queue_ms}ms "
                f"loss {self.loss}/0 jitter {self.jitter_ms}ms/0")

    def payload_bps(self, t):
        if t < self.from_s:
            return 0.0
        mbit = self.mbit if self.change_s is None or t < self.change_s else self.change_mbit
        return mbit * 1e6 * PAYLOAD * (1 - self.loss)


@dataclasses.dataclass(frozen=True)
class Row:
    number: int
    name: str
    links: tuple
    bytes: int
    tiny_bytes: int
    target: float | None
    kind: str = "share"  # of the fluid bound; "alone": against the first link alone; "cpu": a bare veth
    kill_s: float | None = None  # when the last link's server dies (as its link does, in the bound)
    join_s: float | None = None  # when the last link's server is started
    within_s: float | None = None  # after a change or a join it has to be answered by then


THREE = (Link(20, 20), Link(50, 50), Link(100, 10))
ROWS = (
    Row(1, "20/20 + 50/50 + 100/10, 100 MB", THREE, 100 * MB, MB, 0.96),
    Row(2, "the same, 4 MB", THREE, 4 * MB, MB // 2, 0.57),
    Row(3, "row 1, 100 falls to 5 after 2 s", THREE[:2] + (Link(100, 10, change_s=2, change_mbit=5),),
        100 * MB, 2 * MB, 0.95, within_s=1.0),
    Row(4, "row 1, 100 dies silently after 2 s", THREE[:2] + (Link(100, 10, change_s=2),), 100 * MB, 2 * MB, 0.93),
    Row(5, "8/30 + 40/60 jittery + 20/600, 40 MB", (
        Link(8, 30), Link(40, 60, jitter_ms=10), Link(20, 600, queue_ms=600)), 40 * MB, MB, 0.80),
    Row(6, "30/40 twice, loss 1 % and 0.1 %, 40 MB", (Link(30, 40, loss=0.01), Link(30, 40, loss=0.001)),
        40 * MB, MB, 0.94),
    Row(7, "a good mirror 50/20 + one of 20 KB/s, 20 MB", (Link(50, 20), Link(50, 20, limit="20k")),
        20 * MB, MB, 0.95, "alone"),
    Row(8, "bare veth twice: CPU per GB, memory", (Link(0, 0), Link(0, 0)), 4000 * MB, 16 * MB, None, "cpu"),
    Row(9, "8/30 + 40/60 + 20/600, 40 MB", (Link(8, 30), Link(40, 60), Link(20, 600, queue_ms=600)), 40 * MB, MB, 0.85),
    Row(10, "row 1, the 100's server is killed after 2.4 s", THREE, 100 * MB, 2 * MB, 0.93, kill_s=2.4),
    Row(11, "row 1 and 50/20, whose server joins after 2 s", THREE + (Link(50, 20),), 100 * MB, 4 * MB, None,
        join_s=2.0, within_s=2.0),
)
TINY_CHANGE_S = 0.05  # in tiny mode, transfers end before the two seconds are over


def fluid_bound_s(links, size):
    """Least T with the sum over the links of the integral of their payload rates from 0 to T >= size."""
    left = size * 8
    changes = {link.change_s for link in links if link.change_s is not None}
    moments = sorted({0.0} | changes | {link.from_s for link in links})
    for i, start in enumerate(moments):
        rate = sum(link.payload_bps(start) for link in links)
        end = moments[i + 1] if i + 1 < len(moments) else float("inf")
        if left <= rate * (end - start):
            return start + left / rate
        left -= rate * (end - start)
    raise ValueError("the links never carry that much")


# topology and server


def client_address(i):
    return f"10.1.{i + 1}.2"


def server_address(i):
    return f"10.1.{i + 1}.1"


def topology(row, links, congestion):
    lines = ["host client", "host server"]
    for i, link in enumerate(links):
        ends = f"l{i + 1} client {client_address(i)}/24 server {server_address(i)}/24 default"
        lines.append(f"veth {ends}" if row.kind == "cpu" else f"link {ends} {link.words()}")
        if link.change_s is not None and row.kill_s is None:
            change = f"rate {link.change_mbit}mbit" if link.change_mbit else "dead"
            lines.append(f"at {link.change_s}s l{i + 1} {change}")
    lines += [f"sysctl {host} net.ipv4.tcp_congestion_control {congestion}" for host in ("client", "server")]
    return "\n".join(lines) + "\n"


def limited_servers(links, root):
    """nginx's sections for the addresses that are to be slow."""
    return "\n".join(f"server {{ listen {server_address(i)}:80; root {root}; limit_rate {link.limit}; }}"
                     for i, link in enumerate(links) if link.limit)


def make_file(path, size):
    """Bytes that are the same nowhere else: random blocks, each stamped with its place. Returns their SHA-256."""
    digest = hashlib.sha256()
    block = bytearray(os.urandom(1 << 20))
    with open(path, "wb") as f:
        for at in range(0, size, len(block)):
            for i in range(0, len(block), 4096):
                block[i:i + 8] = (at + i).to_bytes(8, "big")
            part = memoryview(block)[:size - at]
            digest.update(part)
            f.write(part)
    return digest.digest()


def digest_of(path):
    try:
        with open(path, "rb") as f:
            return hashlib.file_digest(f, "sha256").digest()
    except OSError:
        return None


# tools


@dataclasses.dataclass
class Job:
    lab: Lab
    row: Row
    links: tuple
    urls: list
    out: pathlib.Path
    options: argparse.Namespace


@dataclasses.dataclass(frozen=True)
class Tool:
    name: str
    needs: tuple  # programs
    argv: object  # function of a Job
    pipes: bool = False  # writes to standard output
    server_wrapper: tuple = ()
    prepare: object = None  # function of a Job, before the clock starts
    many_urls: bool = True
    server: str = "nginx"  # "plait": one on each link; "director": the same, found by one; "group": one, over all links


def plait_argv(job):
    return [job.options.plait, "get", "-q", "-f", "-o", job.out, *job.urls]


def plait_told_argv(job):
    """Says what happens, for the times until a change is answered."""
    return [job.options.plait, "get", "--json", "-f", "-o", job.out, *job.urls]


def plait_director_argv(job):
    name = job.urls[0].rsplit("/", 1)[1]
    return [job.options.plait, "get", "-q", "-f", "-o", job.out, f"plait://{server_address(0)}:{Directed.PORT}/{name}"]


def plait_pipe_argv(job):
    return [job.options.plait, "get", "-q", "-o", "-", *job.urls]


def plait_group_argv(job):
    """One address over every link: the server sees the requests of one group."""
    routes = [word for i in range(len(job.links)) for word in ("--via", f"l{i + 1}")]
    return [job.options.plait, "get", "-q", "-f", "-o", job.out, *routes, job.urls[0]]


def aria2(*flags):
    """-k1M lets it split finely; its five connections (-s5, the default) often do better than sixteen (-s16)."""
    def argv(job):
        return ["aria2c", "--no-conf", "-q", *flags, "-d", job.out.parent, "-o", job.out.name, *job.urls]
    return argv


ARIA2_TUNED = ("-x16", "-k1M", "-j1", "--file-allocation=none")


def axel_argv(job):
    return ["axel", "-q", "-o", job.out, *job.urls]


def best_url(job):
    best = max(range(len(job.links)), key=lambda i: job.links[i].mbit)
    return job.urls[best]


def curl_argv(job):
    return ["curl", "-s", "-o", job.out, best_url(job)]


def mptcp_argv(job):
    return ["mptcpize", "run", *curl_argv(job)]


def mptcp_prepare(job):
    """The server signals its other addresses; the client makes a subflow to each."""
    for host in ("client", "server"):
        job.lab.run(host, ["sysctl", "-qw", "net.mptcp.enabled=1"])
        job.lab.run(host, ["ip", "mptcp", "limits", "set", "subflow", "8", "add_addr_accepted", "8"])
    for i, url in enumerate(job.urls):
        if url != best_url(job):
            job.lab.run("server", ["ip", "mptcp", "endpoint", "add", server_address(i), "dev", f"l{i + 1}", "signal"])


TOOLS = (
    Tool("plait", ("plait",), plait_argv),
    Tool("plait-pipe", ("plait",), plait_pipe_argv, pipes=True),
    Tool("plait-push", ("plait",), plait_told_argv, server="plait"),
    Tool("plait-join", ("plait",), plait_director_argv, server="director"),
    Tool("plait-group", ("plait",), plait_group_argv, server="group"),
    Tool("plait-push-pipe", ("plait",), plait_pipe_argv, pipes=True, server="plait"),
    Tool("aria2", ("aria2c",), aria2(*ARIA2_TUNED)),
    Tool("aria2-s16", ("aria2c",), aria2(*ARIA2_TUNED, "-s16")),
    Tool("aria2-default", ("aria2c",), aria2()),
    Tool("axel", ("axel",), axel_argv),
    Tool("mptcp", ("mptcpize", "curl"), mptcp_argv, server_wrapper=("mptcpize", "run"), prepare=mptcp_prepare,
         many_urls=False),
    Tool("single", ("curl",), curl_argv, many_urls=False),
)
DEFAULT_TOOLS = "plait,plait-push,plait-join,plait-group,plait-pipe,plait-push-pipe,aria2,aria2-s16,axel,mptcp"


def missing(tool, options):
    """The program that the tool lacks, or None."""
    for name in tool.needs:
        path = options.plait if name == "plait" else name
        if not shutil.which(path):
            return path
    return None


# one transfer


@dataclasses.dataclass
class Outcome:
    verdict: str  # "right", "WRONG" or "never"
    seconds: float = 0.0
    cpu_s: float = 0.0
    peak_rss_mb: float = 0.0
    wait_s: float = 0.0  # a pipe: the longest that its reader waited for something
    answer_s: float = 0.0  # until a change, or a join, was answered; 0 = there was none, or it was not


class Memory(threading.Thread):
    """Watches a process's greatest resident size (wait4's figure would count the parent's, from before exec)."""

    def __init__(self, pid):
        super().__init__(daemon=True)
        self.pid, self.kb, self.over = pid, 0, threading.Event()
        self.start()

    def run(self):
        while not self.over.wait(0.02):
            with contextlib.suppress(OSError):
                for line in pathlib.Path(f"/proc/{self.pid}/status").read_text().splitlines():
                    if line.startswith("VmHWM:"):
                        self.kb = max(self.kb, int(line.split()[1]))

    def stop(self):
        self.over.set()
        self.join()
        return self.kb / 1000


class Consumer(threading.Thread):
    """Reads a pipe to its end and takes the digest of what comes; `wait_s`: the longest wait after the first byte."""

    def __init__(self, stream):
        super().__init__(daemon=True)
        self.stream, self.digest, self.wait_s = stream, hashlib.sha256(), 0.0
        self.start()

    def run(self):
        asked = None
        while data := self.stream.read1(1 << 20):
            if asked is not None:
                self.wait_s = max(self.wait_s, time.monotonic() - asked)
            self.digest.update(data)
            asked = time.monotonic()


class Arrivals(threading.Thread):
    """Looks when bytes come over an interface that a process sees."""

    BYTES = 50_000  # more than connections and refusals

    def __init__(self, pid, interface):
        super().__init__(daemon=True)
        self.path, self.interface = pathlib.Path(f"/proc/{pid}/net/dev"), interface
        self.at, self.over = None, threading.Event()
        self.start()

    def run(self):
        while self.at is None and not self.over.wait(0.01):
            with contextlib.suppress(OSError):
                for line in self.path.read_text().splitlines():
                    name, _, numbers = line.strip().partition(":")
                    if name == self.interface and int(numbers.split()[0]) > self.BYTES:
                        self.at = time.monotonic()

    def stop(self):
        self.over.set()
        self.join()
        return self.at


def wait_with_usage(process, limit_s):
    """Waits for the end, at most `limit_s`; (resource usage, or None if it had to be killed)."""
    timer = threading.Timer(limit_s, process.send_signal, [signal.SIGKILL])
    timer.start()
    _, status, usage = os.wait4(process.pid, 0)
    killed = not timer.is_alive()
    timer.cancel()
    process.returncode = os.waitstatus_to_exitcode(status)
    return None if killed else usage


def answered_s(job, joiner, arrived):
    """How long until the row's change, or join, showed in what the tool did; 0 where it did not."""
    if joiner is not None:
        return arrived - joiner.at if arrived and joiner.at else 0.0
    changes = [link.change_s for link in job.links if link.change_s is not None]
    if not changes or job.row.within_s is None:
        return 0.0
    said = []
    with contextlib.suppress(ValueError):  # a tool that says nothing
        for line in (job.out.parent / "tool.log").read_text(errors="replace").splitlines():
            event = json.loads(line) if line.startswith("{") else {}
            if event.get("event") == "repattern" and event["t"] > changes[0]:
                said.append(event["t"] - changes[0])
    return min(said, default=0.0)


def transfer(job, tool, digest, limit_s, joiner=None):
    command = job.lab.command("client", tool.argv(job))
    log = open(job.out.parent / "tool.log", "wb")
    job.lab.mark()
    start = time.monotonic()
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=log,
                               stdout=subprocess.PIPE if tool.pipes else log)
    memory = Memory(process.pid) if job.row.kind == "cpu" or tool.pipes else None
    arrivals = Arrivals(process.pid, f"l{len(job.links)}") if joiner else None
    consumer = Consumer(process.stdout) if tool.pipes else None
    usage = wait_with_usage(process, limit_s)
    if consumer:
        consumer.join()
        process.stdout.close()
    seconds = time.monotonic() - start
    rss = memory.stop() if memory else 0.0
    arrived = arrivals.stop() if arrivals else None
    log.close()
    if usage is None:
        return Outcome("never")
    got = consumer.digest.digest() if consumer else digest_of(job.out)
    verdict = "right" if got == digest and process.returncode == 0 else "WRONG"
    if verdict == "WRONG":
        said = (job.out.parent / "tool.log").read_text(errors="replace").strip()[-500:]
        print(f"  {tool.name}: exit status {process.returncode}; {said or 'said nothing'}", file=sys.stderr)
    return Outcome(verdict, seconds, usage.ru_utime + usage.ru_stime, rss, consumer.wait_s if consumer else 0.0,
                   answered_s(job, joiner, arrived))


class Event(threading.Timer):
    """What happens to the last link's server, and when (a row's kill_s or join_s; None: nothing does)."""

    def __init__(self, at_s, act):
        super().__init__(at_s or 0, act if at_s else lambda: None)
        self.daemon = True

    def over(self):
        """Does not happen any more, or has."""
        self.cancel()
        if self.is_alive():
            self.join()


class Joiner(Event):
    """Starts the last link's server, which registers with the director; `at` is when it did."""

    def __init__(self, row, directed, address):
        super().__init__(row.join_s, self.join_in)
        self.at, self.directed, self.address = None, directed, address

    def join_in(self):
        self.at = time.monotonic()
        self.directed.serve(self.address)


@contextlib.contextmanager
def directing(row, links, lab, source, options):
    """A director and all servers but the last; yields what starts that."""
    with tempfile.TemporaryDirectory(prefix="plait-bench-") as directory:
        directed = Directed(lab, "server", source.parent, directory, options.plait)
        try:
            for i in range(len(links) - 1):
                directed.serve(server_address(i))
                directed.wait(server_address(i))
            end = time.monotonic() + 10
            while directed.known(source.name) < len(links) - 1:
                if time.monotonic() > end:
                    raise RuntimeError("the director does not come to know the servers")
                time.sleep(0.05)
            joiner = Joiner(row, directed, server_address(len(links) - 1))
            yield joiner
            joiner.over()
        finally:
            directed.stop()


@contextlib.contextmanager
def changing(row, links, lab, root):
    """An nginx on each link; yields what kills the last of them, or starts it, in time."""
    with contextlib.ExitStack() as servers:
        def start(i):
            return servers.enter_context(nginx(lab, "server", root, address=server_address(i)))

        last = len(links) - 1
        for i in range(last):
            start(i)
        event = Event(row.join_s, lambda: start(last)) if row.join_s else Event(row.kill_s, start(last).kill)
        yield event
        event.over()


@contextlib.contextmanager
def serving(row, tool, links, lab, root, options):
    """The tool's servers; yields what happens to the last link's in time."""
    if tool.server == "nginx" and (row.kill_s or row.join_s):
        with changing(row, links, lab, root) as event:
            yield event
        return
    if tool.server == "nginx":
        with nginx(lab, "server", root, limited_servers(links, root), tool.server_wrapper):
            yield Event(None, None)
        return
    addresses = [server_address(i) for i in range(len(links))] if tool.server == "plait" else ["0.0.0.0"]
    with plait_serve(lab, "server", root, addresses, options.plait) as processes:
        event = Event(row.kill_s, processes[-1].kill)
        yield event
        event.over()


def measure(row, tool, links, source, digest, limit_s, options):
    """One transfer in a fresh lab, with a fresh server and nothing kept from before."""
    directs = tool.server == "director"
    with Lab(topology(row, links, options.congestion), options.lab) as lab, \
            (directing(row, links, lab, source, options) if directs else
             serving(row, tool, links, lab, source.parent, options)) as timer, \
            tempfile.TemporaryDirectory(prefix="plait-bench-", dir=options.dir) as directory:
        urls = [f"http://{server_address(i)}/{source.name}" for i in range(len(links))]
        job = Job(lab, row, links, urls, pathlib.Path(directory) / "out.bin", options)
        if tool.prepare:
            tool.prepare(job)
        timer.start()
        return transfer(job, tool, digest, limit_s, timer if directs else None)


# rows


def median_outcome(outcomes):
    """The median run; one that went wrong speaks for all."""
    for verdict in ("WRONG", "never"):
        if any(o.verdict == verdict for o in outcomes):
            return Outcome(verdict)
    return Outcome("right", *(statistics.median(getattr(o, f) for o in outcomes)
                              for f in ("seconds", "cpu_s", "peak_rss_mb", "wait_s", "answer_s")))


def repeat(row, tool, links, source, digest, limit_s, options):
    outcomes = []
    for _ in range(options.runs):
        outcomes.append(measure(row, tool, links, source, digest, limit_s, options))
        if outcomes[-1].verdict != "right":
            break
    return median_outcome(outcomes)


def result_of(row, tool, source, digest, links, options):
    """A row's figure for one tool, as it goes into the JSON."""
    size = source.stat().st_size
    bound = fluid_bound_s(links, size) if row.kind != "cpu" else 10.0
    limit_s = options.limit or min(10 * bound + 10, 120)
    outcome = repeat(row, tool, links, source, digest, limit_s, options)
    result = {"row": row.number, "tool": tool.name, "bytes": size, "verdict": outcome.verdict}
    if outcome.verdict != "right":
        return result
    result["seconds"] = round(outcome.seconds, 3)
    if tool.pipes:
        result["longest_wait_s"] = round(outcome.wait_s, 3)
        result["peak_rss_mb"] = round(outcome.peak_rss_mb, 1)
    if row.within_s is not None and tool.name in ("plait-push", "plait-join"):
        result["answered_s"] = round(outcome.answer_s, 3) if outcome.answer_s else None
    if row.kind == "cpu":
        result["cpu_s_per_gb"] = round(outcome.cpu_s / size * 1e9, 3)
        result["peak_rss_mb"] = round(outcome.peak_rss_mb, 1)
        result["gbit_s"] = round(size * 8 / outcome.seconds / 1e9, 2)
        return result
    if row.kind == "alone":
        alone = repeat(row, tool, links[:1], source, digest, limit_s, options)
        result["alone_seconds"] = round(alone.seconds, 3)
        result["share"] = round(alone.seconds / outcome.seconds, 3)
        return result
    result["bound_seconds"] = round(bound, 3)
    result["share"] = round(bound / outcome.seconds, 3)
    return result


def applies(row, tool):
    if tool.server == "director" or row.join_s is not None:
        return row.join_s is not None and tool.many_urls and tool.server in ("director", "nginx")
    if row.kill_s is not None:
        return tool.many_urls and tool.server != "group"
    if tool.server != "nginx" and row.kind != "share":
        return False
    if row.kind == "cpu":
        return tool.name in ("plait", "plait-pipe", "aria2", "aria2-s16")
    return tool.many_urls or row.kind != "alone"


def links_of(row, options):
    links = row.links
    if row.kill_s is not None:  # for the bound
        links = links[:-1] + (dataclasses.replace(links[-1], change_s=row.kill_s),)
    if row.join_s is not None:
        links = links[:-1] + (dataclasses.replace(links[-1], from_s=row.join_s),)
    if options.tiny:
        links = tuple(dataclasses.replace(link, change_s=link.change_s and TINY_CHANGE_S) for link in links)
    if options.fastest_first:
        links = tuple(sorted(links, key=lambda link: -link.mbit))
    return links


def size_of(row, options):
    if options.tiny:
        return row.tiny_bytes
    return options.cpu_mb * MB if row.kind == "cpu" else row.bytes


def run_row(row, tools, options):
    links, size = links_of(row, options), size_of(row, options)
    base = options.dir
    if row.kind == "cpu" and os.path.isdir("/dev/shm"):
        base = "/dev/shm"  # the server's file must not cost a disk
    with tempfile.TemporaryDirectory(prefix="plait-bench-", dir=base) as directory:
        os.chmod(directory, 0o755)
        source = pathlib.Path(directory) / "file.bin"
        digest = make_file(source, size)
        os.utime(source, (time.time() - 3600,) * 2)  # it is not being written any more
        note = f", bound {fluid_bound_s(links, size):.2f} s" if row.kind == "share" else ""
        print(f"{row.number}. {row.name} ({size / MB:g} MB{note})", file=sys.stderr)
        for tool in tools:
            if applies(row, tool):
                result = result_of(row, tool, source, digest, links, options)
                print(f"   {tool.name:15} {describe(result)}", file=sys.stderr, flush=True)
                yield result


def describe(result):
    if result["verdict"] != "right":
        return result["verdict"]
    if "cpu_s_per_gb" in result:
        return (f"{result['cpu_s_per_gb']:.2f} CPU s/GB, {result['peak_rss_mb']:.0f} MB peak, "
                f"{result['gbit_s']:.1f} Gbit/s")
    more = ""
    if "longest_wait_s" in result:
        more += f", longest wait {result['longest_wait_s']:.2f} s, {result['peak_rss_mb']:.0f} MB peak"
    if "answered_s" in result:
        more += ", never answered" if result["answered_s"] is None else f", answered after {result['answered_s']:.2f} s"
    return f"{result['share']:.2f}   {result['seconds']:.2f} s{more}"


def cell(result):
    if result is None:
        return "–"
    if result["verdict"] != "right":
        return result["verdict"]
    if "cpu_s_per_gb" in result:
        return f"{result['cpu_s_per_gb']:.2f}/{result['peak_rss_mb']:.0f}"
    return f"{result['share']:.2f}"


def print_table(rows, tools, results, options):
    found = {(r["row"], r["tool"]): r for r in results}
    width = max(len(row.name) for row in rows) + 3
    print(f"{'':{width}}" + "".join(f"{tool.name:>17}" for tool in tools) + f"{'must reach':>14}")
    for row in rows:
        cells = "".join(f"{cell(found.get((row.number, tool.name))):>17}" for tool in tools)
        print(f"{row.number}. {row.name:{width - 3}}{cells}{f'{row.target:.2f}' if row.target else '–':>14}")
    if options.tiny:
        print("(tiny files: only that it works; the shares say nothing)")
        return
    if any(row.kind == "cpu" for row in rows):
        print("(row 8: CPU seconds per GB / peak resident MB)")
    for row in rows:
        for tool in tools:
            one = found.get((row.number, tool.name), {})
            if "longest_wait_s" in one:
                print(f"pipe: row {row.number}, {tool.name}: the reader waited {one['longest_wait_s']:.2f} s at most, "
                      f"{one['peak_rss_mb']:.0f} MB at most")
            if "answered_s" in one:
                late = one["answered_s"] is None or one["answered_s"] > row.within_s
                print(f"{'late' if late else 'answered'}: row {row.number}, {tool.name}: "
                      f"{'never' if one['answered_s'] is None else one['answered_s']} of {row.within_s} s")
    for row in rows:
        for tool in tools:
            share = found.get((row.number, tool.name), {}).get("share")
            if tool.name.startswith("plait") and row.target and share is not None and share < row.target:
                print(f"below: row {row.number}, {tool.name}: {share:.3f} of {row.target}")


# the command line


def congestion_control(wanted):
    """`wanted` if new namespaces may have it, else what they have anyway."""
    ipv4 = pathlib.Path("/proc/sys/net/ipv4")
    present = (ipv4 / "tcp_congestion_control").read_text().strip()
    if wanted == present or wanted in (ipv4 / "tcp_allowed_congestion_control").read_text().split():
        return wanted
    print(f"{wanted} is not among net.ipv4.tcp_allowed_congestion_control: {present} instead; "
          "the targets were set with bbr", file=sys.stderr)
    return present


def parse_options():
    parser = argparse.ArgumentParser(description="Share of the fluid bound that downloads over several links get.")
    parser.add_argument("--rows", default="1,2,3,4,5,6,7,8,9,10,11", help="which rows (1,2,…)")
    parser.add_argument("--tools", default=DEFAULT_TOOLS, help="of " + ", ".join(t.name for t in TOOLS))
    parser.add_argument("--runs", type=int, default=1, help="of each; the median counts")
    parser.add_argument("--limit", type=float, metavar="SECONDS",
                        help="when a transfer has failed (ten times the bound and ten more, at most 120)")
    parser.add_argument("--json", metavar="FILE", help="write the results there as well (- : standard output)")
    parser.add_argument("--fastest-first", action="store_true",
                        help="give the tools the fastest link's URL first, not in the order of the row")
    parser.add_argument("--tiny", action="store_true", help="small files, seconds in all: only that it works")
    parser.add_argument("--plait", default=plait(), help="the program under test (%(default)s)")
    parser.add_argument("--lab", help="plait-lab, if not the build's")
    parser.add_argument("--dir", help="where the files go (the system's place for temporary ones)")
    parser.add_argument("--cpu-mb", type=int, default=4000, help="size of row 8's file (%(default)s)")
    parser.add_argument("--cc", default="bbr", help="the hosts' congestion control (%(default)s)")
    return parser.parse_args()


def choose(options):
    rows = [row for row in ROWS if str(row.number) in options.rows.split(",")]
    names = options.tools.split(",")
    unknown = set(names) - {tool.name for tool in TOOLS}
    if unknown or not rows:
        sys.exit(f"no such tool: {', '.join(unknown)}" if unknown else "no such row")
    tools = []
    for tool in TOOLS:
        lacks = tool.name in names and missing(tool, options)
        if lacks:
            print(f"left out: {tool.name} (no {lacks})", file=sys.stderr)
        elif tool.name in names:
            tools.append(tool)
    return rows, tools


def main():
    options = parse_options()
    if os.geteuid() != 0:
        sys.exit("needs root, to make network namespaces")
    if not program():
        sys.exit("needs nginx")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    options.congestion = congestion_control(options.cc)
    rows, tools = choose(options)
    if not tools:
        sys.exit("no tool to measure")
    print(f"congestion control {options.congestion}, {options.runs} run(s) each", file=sys.stderr)
    results = [result for row in rows for result in run_row(row, tools, options)]
    if options.json:
        text = json.dumps({"congestion": options.congestion, "tiny": options.tiny, "results": results}, indent=1)
        if options.json == "-":
            print(text)
        else:
            pathlib.Path(options.json).write_text(text + "\n")
    if options.json != "-":
        print_table(rows, tools, results, options)
    bad = [r for r in results if r["verdict"] != "right" and (options.tiny or r["tool"].startswith("plait"))]
    sys.exit(1 if bad else 0)


if __name__ == "__main__":
    main()
