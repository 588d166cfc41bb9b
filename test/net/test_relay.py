"""plait relay: what it carries, whom it refuses, what strangers cannot do to it."""
import base64
import json
import os
import resource
import shutil
import signal
import socket
import struct
import subprocess
import threading
import time
from pathlib import Path

import pytest

from support import MB, BlackHole, assert_says, closed_port, wait_for

ALL = ("--allow", "127.0.0.0/8:*")


class Relay:
    """A running relay, and ways to ask it."""

    def __init__(self, plait, *args, ns=None):
        self.run = plait.start("relay", "--listen", "127.0.0.1:0", "--json", *args, ns=ns)
        line = self.run.stdout.readline()
        assert line, self.run.err
        self.started = json.loads(line)
        self.port = self.started["port"]
        self.ns = ns

    url = property(lambda self: "http://127.0.0.1:%d" % self.port)

    def connect(self, source=None):
        s = socket.create_connection(("127.0.0.1", self.port), timeout=20, source_address=(source, 0) if source else None)
        s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return s

    def ask(self, head, source=None):
        """Sends the bytes and returns (status, all that comes back until the end)."""
        with self.connect(source) as s:
            s.sendall(head)
            s.settimeout(20)
            got = b""
            try:
                while piece := s.recv(65536):
                    got += piece
            except ConnectionResetError:
                pass
        return int(got.split()[1]) if got else None, got

    def request(self, target, *fields):
        return self.ask("".join("%s\r\n" % line for line in ("CONNECT %s HTTP/1.1" % target,) + fields + ("",)).encode())

    def tunnel(self, target, *fields, source=None, early=b""):
        """A socket on which the tunnel's bytes come and go."""
        s = self.connect(source)
        lines = ("CONNECT %s HTTP/1.1" % target,) + fields + ("", "")
        s.sendall("\r\n".join(lines).encode() + early)
        got = b""
        while b"\r\n\r\n" not in got:
            piece = s.recv(1)
            assert piece, got
            got += piece
        assert got.startswith(b"HTTP/1.1 200"), got
        return s

    def log(self):
        return [json.loads(line) for line in self.run.err.splitlines() if line.startswith("{")]

    def descriptors(self):
        return len(os.listdir("/proc/%d/fd" % self.run.pid))

    def pipes(self):
        folder = "/proc/%d/fd" % self.run.pid
        return sum(os.readlink("%s/%s" % (folder, fd)).startswith("pipe:") for fd in os.listdir(folder))

    def memory(self):
        """What it has taken at most, in bytes."""
        if "libasan" in Path("/proc/%d/maps" % self.run.pid).read_text():
            return 0  # a sanitizer keeps much of what has been freed: this is looked at in the ordinary build
        return self.run.rss_max()

    def stop(self, sig=signal.SIGTERM):
        self.run.kill(sig)
        return self.run.finish()


class Far:
    """A destination on 127.0.0.1: each connection is handed to `serve` in a thread."""

    def __init__(self, serve, address="127.0.0.1"):
        self.listener = socket.socket()
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.listener.bind((address, 0))
        self.listener.listen(4096)
        self.target = "%s:%d" % self.listener.getsockname()
        self.serve, self.errors = serve, []
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                s = self.listener.accept()[0]
            except OSError:
                return
            threading.Thread(target=self.handle, args=(s,), daemon=True).start()

    def handle(self, s):
        try:
            with s:
                self.serve(s)
        except Exception as e:
            self.errors.append(e)

    def close(self):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()


def echo(s):
    while data := s.recv(65536):
        s.sendall(data)


def hold(s):
    while s.recv(65536):
        pass


def read_all(s):
    got = bytearray()
    while piece := s.recv(1 << 20):
        got += piece
    return bytes(got)


@pytest.fixture
def far():
    made = []

    def make(serve, address="127.0.0.1"):
        made.append(Far(serve, address))
        return made[-1]

    yield make
    for f in made:
        f.close()


@pytest.fixture
def relay(plait):
    """relay(args): a running one, which must end with status 0 and say nothing that a sanitizer would."""
    made = []

    def make(*args, ns=None):
        made.append(Relay(plait, *args, ns=ns))
        return made[-1]

    yield make
    for r in made:
        if r.run.running():
            r.run.kill(signal.SIGINT)
        result = r.run.finish()
        assert result.status == 0, result
        assert "runtime error" not in result.err and "Sanitizer" not in result.err, result


# What it carries.

def test_it_says_what_it_serves(relay):
    r = relay("--allow", "WWW.example.net:443", "--allow", "192.0.2.0/24:*", "--allow", "[2001:db8::/32]:80")
    serves = ["www.example.net:443", "192.0.2.0/24:*", "[2001:db8::/32]:80"]
    assert r.started["event"] == "listening" and r.started["serves"] == serves
    status, got = r.ask(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    said = json.loads(got.partition(b"\r\n\r\n")[2])
    assert (status, said["plait"], said["serves"], said["auth"]) == (200, "relay", serves, None)
    assert b"Content-Type: application/json\r\n" in got
    status, got = r.ask(b"HEAD / HTTP/1.1\r\n\r\n")
    assert status == 200 and got.endswith(b"\r\n\r\n")


def test_both_directions_whole(relay, far, data):
    d = data(20 * MB, 3)
    f = far(echo)
    s = relay(*ALL).tunnel(f.target)
    sender = threading.Thread(target=lambda: (s.sendall(d.bytes), s.shutdown(socket.SHUT_WR)))
    sender.start()
    assert read_all(s) == d.bytes
    sender.join()
    assert f.errors == []


def test_curl_uses_it(relay, liar, data):
    d = data(3 * MB)
    site = liar({"file": str(d)})
    r = relay(*ALL)
    done = subprocess.run(["curl", "-q", "-s", "-S", "--noproxy", "", "-p", "-x", r.url, "-m", "20", site.url()],
                          capture_output=True)
    assert (done.returncode, done.stdout) == (0, d.bytes), done.stderr


def test_early_bytes_are_carried(relay, far):
    early = b"early" * 1000
    s = relay(*ALL).tunnel(far(echo).target, early=early)
    s.sendall(b"late")
    s.shutdown(socket.SHUT_WR)
    assert read_all(s) == early + b"late"


def test_half_closed_one_way_goes_on_the_other(relay, far):
    ended = threading.Event()

    def answers_after_the_end(s):
        assert read_all(s) == b"question"
        ended.set()
        s.sendall(b"answer" * 100_000)

    s = relay(*ALL).tunnel(far(answers_after_the_end).target)
    s.sendall(b"question")
    s.shutdown(socket.SHUT_WR)
    assert ended.wait(10)
    assert read_all(s) == b"answer" * 100_000
    # And the other way about: the far end says it has ended, and still hears us.
    heard = []

    def listens_after_its_end(s):
        s.shutdown(socket.SHUT_WR)
        heard.append(read_all(s))

    f = far(listens_after_its_end)
    s = relay(*ALL).tunnel(f.target)
    assert read_all(s) == b""
    s.sendall(b"still here")
    s.close()
    wait_for(lambda: heard == [b"still here"], "what was sent after the far end's end")


def test_a_reset_stays_a_reset(relay, far):
    """A truncated stream must not look like one that has ended."""
    def resets(s):
        s.sendall(b"part")
        s.recv(1)
        s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    r = relay(*ALL)
    s = r.tunnel(far(resets).target)
    assert s.recv(4) == b"part"
    s.sendall(b"x")
    with pytest.raises(ConnectionResetError):
        s.recv(1)
    seen = []

    def is_reset(s):
        try:
            seen.append(s.recv(1))
        except ConnectionResetError:
            seen.append("reset")

    s = r.tunnel(far(is_reset).target)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    s.close()
    wait_for(lambda: seen == ["reset"], "the reset on the far side")
    assert [line["end"] for line in r.log()] == ["broken", "broken"]


def test_who_does_not_read_is_waited_for_in_bounded_memory(relay, far):
    size = 60 * MB
    blob = bytes(range(256)) * (size // 256)
    f = far(lambda s: s.sendall(blob))
    r = relay(*ALL)
    before, own = r.memory(), r.pipes()
    tunnels = [r.tunnel(f.target) for _ in range(4)]
    wait_for(lambda: r.pipes() == own + 8, "all tunnels to be stuck")
    assert r.memory() - before < 4 * MB
    assert read_all(tunnels[2]) == blob
    for s in tunnels:
        s.close()
    wait_for(lambda: len(r.log()) == 4, "the tunnels' end")


def test_idle_tunnels_hold_no_pipes(relay, far):
    f = far(echo)
    r = relay(*ALL)
    own = r.pipes()
    tunnels = [r.tunnel(f.target) for _ in range(50)]
    for s in tunnels:
        s.sendall(b"x" * 1000)
        got = 0
        while got < 1000:
            got += len(s.recv(1000))
    assert r.pipes() <= own + 4  # those that are kept for the next
    before = r.descriptors()
    for s in tunnels:
        s.close()
    wait_for(lambda: r.descriptors() <= before - 100, "all sockets to be closed")


# Whom and what it refuses.

def test_nothing_is_allowed_that_no_rule_names(relay, far):
    f = far(echo)
    host, port = f.target.split(":")
    r = relay("--allow", "127.0.0.1:%d" % closed_port(), "--allow", "www.example.net:443")
    for target in (f.target, "127.0.0.2:" + port, "localhost:" + port, "192.0.2.1:443", "www.example.net:80", "[::1]:443",
                   "example.net:443", "a.www.example.net:443"):
        status, got = r.request(target)
        assert status == 403, (target, got)
        assert b"Connection: close" in got
    wait_for(lambda: [line["status"] for line in r.log()] == [403] * 8, "eight lines of the log")


@pytest.mark.parametrize("target", ["127.1:%d", "2130706433:%d", "0x7f000001:%d", "0177.0.0.1:%d", "127.0.0.1.:%d", "0:%d",
                                    "localhost%%00.example.net:%d", "user@127.0.0.1:%d", "127.0.0.1:%d@example.net:1",
                                    "[127.0.0.1]:%d", "::1:%d", "[::1%%lo]:%d", "http://127.0.0.1:%d/", "127.0.0.1"])
def test_odd_targets(relay, far, target):
    """Nothing that a resolver would read as an address passes for a name."""
    f = far(echo)
    r = relay("--allow", "0.0.0.0/0:*", "--allow", "localhost:*", "--allow", "127.0.0.2:1")
    target = target % int(f.target.split(":")[1]) if "%d" in target else target
    assert r.request(target)[0] == 400


@pytest.mark.parametrize("target", ["127.0.0.1:%d", "localhost:%d", "[::ffff:127.0.0.1]:%d", "0.0.0.0:%d", "[::]:%d", "[::1]:%d",
                                    "[::127.0.0.1]:%d", "[64:ff9b::127.0.0.1]:%d", "[2002:7f00:1::]:%d", "10.0.0.1:%d",
                                    "169.254.169.254:%d", "255.255.255.255:%d", "224.0.0.1:%d", "[fe80::1]:%d", "[ff02::1]:%d"])
def test_wide_rules_do_not_lead_inside(relay, far, target):
    f = far(echo)
    r = relay("--allow", "0.0.0.0/0:*", "--allow", "[::/0]:*", "--allow", "localhost:*")
    assert r.request(target % int(f.target.split(":")[1]))[0] == 403


@pytest.mark.parametrize("name", ["http_proxy", "all_proxy"])
def test_a_relay_in_the_environment(plait, relay, nginx, data, name):
    """It is asked for CONNECT as soon as it has said that it serves nothing else, as one that --via names is."""
    d = data(1_000_000)
    url = nginx.url(d.name)
    result = plait.get("-o", "out", url, env={name: relay("--allow", url.split("/")[2]).url})
    assert result.status == 0 and plait.file().read_bytes() == d.bytes, result


def test_other_methods_and_malformed_heads(relay):
    r = relay(*ALL)
    assert r.ask(b"GET http://127.0.0.1/ HTTP/1.1\r\nHost: x\r\n\r\n")[0] == 501
    assert r.ask(b"POST / HTTP/1.1\r\nContent-Length: 0\r\n\r\n")[0] == 501
    assert r.ask(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n")[0] == 400
    assert r.ask(b"CONNECT 127.0.0.1:1 HTTP/1.1\r\nA: \x00\r\n\r\n")[0] == 400
    assert r.ask(b"CONNECT 127.0.0.1:1 HTTP/1.1\r\nA: " + b"x" * 9000)[0] == 431
    assert r.ask(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")[0] == 400


def test_a_destination_that_cannot_be_reached(relay):
    hole = BlackHole("127.0.0.1")
    r = relay(*ALL, "--connect-timeout", "1")
    assert r.request("127.0.0.1:%d" % closed_port())[0] == 502
    started = time.monotonic()
    assert r.request("127.0.0.1:%d" % hole.port)[0] == 504
    assert time.monotonic() - started < 5
    hole.close()


@pytest.fixture
def hosts():
    """hosts(namespace, text): /etc/hosts as processes started in that namespace see it."""
    made = []

    def make(ns, text):
        folder = Path("/etc/netns") / ns
        folder.mkdir(parents=True)
        made.append(folder)
        (folder / "hosts").write_text(text)
        (folder / "resolv.conf").write_text("nameserver 127.0.0.1\noptions timeout:1 attempts:1\n")

    yield make
    for folder in made:
        shutil.rmtree(folder)
        if not list(folder.parent.iterdir()):
            folder.parent.rmdir()


class NetnsRelay:
    """A relay in a namespace of its own, asked from inside by curl; names lead where /etc/hosts says.

        client: the relay; 127.0.0.1, 192.0.2.200 ====== server: 192.0.2.10 and .11, 10.99.0.1, each with a web server
    """

    def __init__(self, net, hosts, plait, folder):
        self.net, self.plait, self.folder, self.children = net, plait, Path(folder), []
        for address in ("192.0.2.10", "192.0.2.11"):
            self.ip(net.server, "address", "add", address + "/32", "dev", "lo")
        self.ip(net.server, "route", "add", "blackhole", "192.0.2.12/32")
        self.ip(net.client, "address", "add", "192.0.2.200/32", "dev", "lo")
        hosts(net.client, "127.0.0.1 localhost inside.plait.test\n192.0.2.200 own.plait.test\n"
                          "192.0.2.10 good.plait.test\n10.99.0.1 mixed.plait.test\n192.0.2.11 mixed.plait.test\n"
                          "192.0.2.13 dead.plait.test\n192.0.2.12 dead.plait.test\n192.0.2.10 dead.plait.test\n"
                          "10.99.0.1 lan.plait.test\n")
        for ns, address in ((net.server, "192.0.2.10"), (net.server, "192.0.2.11"), (net.server, "10.99.0.1"),
                            (net.client, "127.0.0.1"), (net.client, "192.0.2.200")):
            self.web(ns, address)

    @staticmethod
    def ip(ns, *args):
        subprocess.run(["ip", "-n", ns, *args], check=True)

    def web(self, ns, address):
        """A server on port 80 that answers with its own address."""
        folder = self.folder / address
        folder.mkdir()
        (folder / "who").write_text(address)
        child = subprocess.Popen(["ip", "netns", "exec", ns, "/usr/bin/python3", "-u", "-m", "http.server", "80", "--bind",
                                  address, "-d", str(folder)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        self.children.append(child)
        assert b"Serving" in child.stdout.readline()

    def who(self, relay, name):
        """Which server a tunnel to that name leads to, or the relay's refusal."""
        done = subprocess.run(["ip", "netns", "exec", self.net.client, "curl", "-q", "-s", "-S", "-p", "-x", relay.url, "-m", "20",
                               "http://%s/who" % name], capture_output=True, text=True)
        if done.returncode == 0:
            return done.stdout
        return done.stderr.split("response ")[1].split()[0] if "response " in done.stderr else done.stderr

    def close(self):
        for child in self.children:
            child.kill()
            child.wait()
            child.stdout.close()


@pytest.fixture
def inside(netns, hosts, plait, place):
    net = NetnsRelay(netns(1), hosts, plait, place)
    yield net
    net.close()


def test_a_name_cannot_lead_inside(inside, relay):
    names = ("good", "mixed", "inside", "own", "lan", "dead")
    r = relay(*[a for n in names for a in ("--allow", n + ".plait.test:80")], "--connect-timeout", "8", ns=inside.net.client)
    got = {n: inside.who(r, n + ".plait.test") for n in names}
    assert got == {"good": "192.0.2.10", "mixed": "192.0.2.11", "inside": "403", "own": "403", "lan": "403",
                   "dead": "192.0.2.10"}
    assert inside.who(r, "10.99.0.1") == inside.who(r, "192.0.2.10") == "403"
    assert inside.who(r, "nowhere.plait.test") == "403"
    log = [line for line in r.log() if line["target"] == "mixed.plait.test:80"]
    assert log[0]["address"] == "192.0.2.11"


def test_prefixes_hold_for_names_as_well(inside, relay):
    r = relay("--allow", "192.0.2.0/24:80", ns=inside.net.client)
    got = {n: inside.who(r, n) for n in ("good.plait.test", "192.0.2.11", "192.0.2.200", "own.plait.test", "lan.plait.test")}
    assert got == {"good.plait.test": "192.0.2.10", "192.0.2.11": "192.0.2.11", "192.0.2.200": "403", "own.plait.test": "403",
                   "lan.plait.test": "403"}
    assert inside.who(r, "nowhere.plait.test") == "502"
    r = relay("--allow", "10.0.0.0/8:80", "--allow", "192.0.2.200:80", ns=inside.net.client)
    got = {n: inside.who(r, n) for n in ("lan.plait.test", "mixed.plait.test", "inside.plait.test", "own.plait.test")}
    assert got == {"lan.plait.test": "10.99.0.1", "mixed.plait.test": "10.99.0.1", "inside.plait.test": "403",
                   "own.plait.test": "192.0.2.200"}


# Credentials.

def basic(user, password):
    return "Proxy-Authorization: Basic " + base64.b64encode(("%s:%s" % (user, password)).encode()).decode()


def hash_of(password, *method):
    return subprocess.run(["openssl", "passwd", *(method or ("-6",)), password], check=True, capture_output=True,
                          text=True).stdout.strip()


def test_credentials(relay, far, place):
    users = place / "users"
    users.write_text("# ours\nanna:%s\nböb:%s\n" % (hash_of("secret: of hers"), hash_of("öther")))
    f = far(echo)
    r = relay(*ALL, "--auth", users)
    status, got = r.request(f.target)
    assert status == 407 and b'Proxy-Authenticate: Basic realm="plait relay"' in got
    for wrong in (basic("anna", "secret"), basic("anna", ""), basic("nobody", "secret: of hers"), basic("", ""),
                  "Proxy-Authorization: Bearer x", "Proxy-Authorization: Basic !!!", "Authorization: " + basic("x", "y")[21:]):
        assert r.request(f.target, wrong)[0] == 407
    for _ in range(3):
        s = r.tunnel(f.target, basic("anna", "secret: of hers"))
        s.close()
    r.tunnel(f.target, basic("böb", "öther")).close()
    assert r.ask(b"GET / HTTP/1.1\r\n\r\n")[0] == 401
    self = basic("anna", "secret: of hers").replace("Proxy-", "").encode()
    assert r.ask(b"GET / HTTP/1.1\r\n" + self + b"\r\n\r\n")[0] == 200
    wait_for(lambda: len(r.log()) == 14, "the log")
    assert sorted(line["user"] for line in r.log() if line["status"] == 200) == ["anna"] * 4 + ["böb"]
    assert all(line["user"] is None for line in r.log() if line["status"] != 200)
    assert "secret" not in r.run.err
    # Told to look again, it does.
    users.write_text("anna:%s\n" % hash_of("new one"))
    r.run.kill(signal.SIGHUP)
    wait_for(lambda: r.request("127.0.0.1:%d" % closed_port(), basic("anna", "new one"))[0] == 502, "the new password")
    assert r.request(f.target, basic("anna", "secret: of hers"))[0] == 407
    # A file that is no good changes nothing.
    users.write_text("anna\n")
    r.run.kill(signal.SIGHUP)
    wait_for(lambda: "line 1" in r.run.err, "the complaint")
    assert r.request("127.0.0.1:%d" % closed_port(), basic("anna", "new one"))[0] == 502


def test_guessing_passwords_keeps_nobody_out(relay, far, place):
    users = place / "users"
    users.write_text("anna:%s\n" % hash_of("right"))
    f = far(echo)
    r = relay(*ALL, "--auth", users)
    r.tunnel(f.target, basic("anna", "right")).close()
    guessers = []
    for i in range(100):
        s = r.connect()
        s.sendall(("CONNECT %s HTTP/1.1\r\n%s\r\n\r\n" % (f.target, basic("anna", "guess %d" % i))).encode())
        guessers.append(s)
    started = time.monotonic()
    r.tunnel(f.target, basic("anna", "right")).close()
    assert time.monotonic() - started < 1
    answers = [int(s.recv(65536).split()[1]) for s in guessers]
    assert set(answers) <= {407, 503} and answers.count(503) >= 1 and answers.count(407) >= 64
    assert r.request(f.target, basic("anna", "wrong again"))[0] == 407


@pytest.mark.parametrize("line", ["anna", "anna:", ":%s", "anna:plain words", "anna:$6$", "anna:abJnggxhB/yWI", "anna:%s\nanna:%s"])
def test_files_of_users_that_are_not(plait, place, line):
    users = place / "users"
    users.write_text("# users\n" + line.replace("%s", hash_of("x")) + "\n")
    result = plait.start("relay", *ALL, "--auth", users).finish()
    assert result.status == 2
    assert_says(result, "users, line %d" % (3 if "\n" in line else 2))


# Limits.

def test_one_address_cannot_keep_others_out(relay, far):
    f = far(echo)
    r = relay(*ALL, "--connections", "40", "--per-address", "8")
    greedy = [r.connect("127.0.0.5") for _ in range(30)]
    refused = wait_for(lambda: [line for line in r.log() if line["status"] == 503], "the refusals")
    wait_for(lambda: len([line for line in r.log() if line["status"] == 503]) == 22, "22 of them")
    assert all(line["client"].startswith("127.0.0.5:") for line in refused)
    r.tunnel(f.target, source="127.0.0.6").close()


def test_the_total_has_a_bound(relay, far):
    f = far(echo)
    r = relay(*ALL, "--connections", "20")
    crowd = [r.tunnel(f.target) for _ in range(20)]
    for _ in range(3):
        status, got = r.request(f.target)
        assert status == 503 and b"Retry-After" in got
    for s in crowd:
        s.close()

    def served():
        try:
            r.tunnel(f.target, source="127.0.0.7").close()
            return True
        except (AssertionError, ConnectionResetError):
            return False

    wait_for(served, "places to be free again")


def test_ten_thousand_connections(relay, far):
    """Strangers open 10,000 connections and say nothing; the relay stays small, and others are served meanwhile."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < 12000:
        pytest.skip("needs 12,000 descriptors")
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    f = far(echo)
    r = relay(*ALL, "--connections", "2000")
    carried = r.tunnel(f.target, source="127.0.0.8")
    before = r.memory()
    crowd = []
    try:
        for i in range(10_000):
            crowd.append(r.connect("127.0.%d.%d" % (1 + i // 250, 1 + i % 25)))
        s = r.tunnel(f.target, source="127.0.0.9")
        s.sendall(b"hello")
        assert s.recv(5) == b"hello"
        s.close()
        carried.sendall(b"all the time")
        assert carried.recv(100) == b"all the time"
        carried.close()
        assert len([line for line in r.log() if line["end"] == "pushed out"]) >= 8000 and r.descriptors() < 2100
        assert r.memory() - before < 64 * MB
    finally:
        for s in crowd:
            s.close()
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    wait_for(lambda: r.descriptors() < 64, "the strangers' sockets to be closed")
    r.tunnel(f.target).close()


def test_slow_heads_have_a_deadline(relay, far):
    """A byte now and then does not prolong it."""
    r = relay(*ALL)
    silent, dripping, started = r.connect(), r.connect(), time.monotonic()
    dripping.settimeout(0.5)
    got = b""
    while not got and time.monotonic() - started < 20:
        dripping.sendall(b"C")
        try:
            got = dripping.recv(4096)
        except socket.timeout:
            pass
    assert b" 408 " in got and 9 < time.monotonic() - started < 14
    assert silent.recv(4096) == b""
    assert {line["end"] for line in r.log()} >= {"nothing asked"}
    r.tunnel(far(echo).target).close()


def test_idle_tunnels_end(relay, far):
    r = relay(*ALL, "--idle", "1")
    s = r.tunnel(far(hold).target)
    for _ in range(4):
        time.sleep(0.5)  # the time that passes is what is tested
        s.sendall(b"x")
    started = time.monotonic()
    with pytest.raises(ConnectionResetError):
        s.recv(1)
    assert 0.9 < time.monotonic() - started < 3
    assert r.log()[-1]["end"] == "idle"


def test_the_rate_holds_for_all_together(relay, far):
    f = far(lambda s: s.sendall(b"x" * 500_000))
    r = relay(*ALL, "--rate", "1M")
    started = time.monotonic()
    tunnels = [r.tunnel(f.target) for _ in range(4)]
    sizes, ends = [], []

    def read(s):
        sizes.append(len(read_all(s)))
        ends.append(time.monotonic() - started)

    readers = [threading.Thread(target=read, args=(s,)) for s in tunnels]
    for t in readers:
        t.start()
    for t in readers:
        t.join()
    assert sizes == [500_000] * 4
    assert 1.7 < max(ends) < 3.5
    assert min(ends) > 0.5 * max(ends)  # none of them was served before the others


# Signals, the log, usage.

def test_sigterm_lets_tunnels_end(relay, far):
    f = far(echo)
    r = relay(*ALL, "--grace", "20")
    idle, s = r.connect(), r.tunnel(f.target)
    r.run.kill(signal.SIGTERM)
    assert idle.recv(1) == b""
    with pytest.raises(ConnectionRefusedError):
        r.connect()
    s.sendall(b"still carried")
    assert s.recv(100) == b"still carried"
    s.close()
    result = r.run.finish()
    assert result.status == 0 and result.seconds < 15


def test_grace_and_patience_have_an_end(relay, far):
    f = far(echo)
    r = relay(*ALL, "--grace", "1")
    s = r.tunnel(f.target)
    assert r.stop().status == 0
    with pytest.raises(ConnectionResetError):
        s.recv(1)
    r = relay(*ALL, "--grace", "600")
    s = r.tunnel(f.target)
    r.run.kill(signal.SIGTERM)
    wait_for(lambda: "waiting up to" in r.run.err, "the first signal")
    assert r.stop().seconds < 10


def test_the_access_log(relay, far, place):
    f = far(echo)
    path = place / "access.log"
    r = relay(*ALL, "--log", path)
    s = r.tunnel(f.target, early=b"12345")
    assert s.recv(5) == b"12345"
    peer = "%s:%d" % s.getsockname()
    s.close()
    wait_for(lambda: path.read_text().endswith("\n"), "the line")
    line = json.loads(path.read_text())
    assert line.pop("time").endswith("Z") and 0 < line.pop("seconds") < 10
    assert line == {"client": peer, "user": None, "target": f.target, "address": "127.0.0.1", "status": 200, "up": 5,
                    "down": 5, "end": "closed"}
    path.rename(place / "old.log")
    r.run.kill(signal.SIGHUP)
    wait_for(path.exists, "a new log")
    assert r.request("127.0.0.1:%d" % closed_port())[0] == 502
    wait_for(lambda: path.read_text().endswith("\n"), "the line")
    assert json.loads(path.read_text())["status"] == 502
    quiet = relay(*ALL, "--log", "none")
    quiet.tunnel(f.target).close()
    assert "{" not in quiet.stop().err


@pytest.mark.parametrize("args, word", [((), "--allow"), (("--allow", "x"), "--allow x"), (("--allow", "10.0.0.1/8:80"), "prefix"),
                                        ((*ALL, "--listen", "nonsense"), "--listen nonsense"),
                                        ((*ALL, "--auth", "/nonexistent"), "/nonexistent"),
                                        ((*ALL, "--idle", "0"), "--idle 0"), ((*ALL, "--rate", "fast"), "--rate fast"),
                                        ((*ALL, "--director", "http://127.0.0.1:1"), "--secret"),
                                        ((*ALL, "--cert", "x"), "--key"), ((*ALL, "--secret", "x"), "--director"), ((*ALL, "stray"), "stray"), (("--nonsense",), "nonsense")])
def test_usage(plait, args, word):
    result = plait.start("relay", *args).finish()
    assert result.status == 2
    assert_says(result, word)


def test_a_port_that_is_taken(plait):
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        s.listen()
        result = plait.start("relay", *ALL, "--listen", "127.0.0.1:%d" % s.getsockname()[1]).finish()
    assert result.status == 1
    assert_says(result, "cannot listen", "another port")


def test_help(plait):
    result = plait.start("relay", "--help").finish()
    assert result.status == 0 and result.out.startswith(b"usage: plait relay")
