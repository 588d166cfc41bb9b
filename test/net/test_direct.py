"""plait direct: who holds what, told in every form; strangers; stores, one of them shared by several directors."""
import base64
import hashlib
import hmac
import http.client
import json
import os
import resource
import shutil
import signal
import socket
import ssl
import subprocess
import threading
import time
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

from support import MB, assert_says, closed_port, wait_for

SECRETS = {"farm": b"the farm's own secret", "barn": b"the barn's own secret"}
METALINK = "{urn:ietf:params:xml:ns:metalink}"


def sha256(data):
    return hashlib.sha256(data).hexdigest()


def sign(method, target, body, key="farm", secret=None, at=None, nonce=None):
    """The field Authorization, written from doc/director.md alone."""
    at = str(int(time.time() * 1000) if at is None else at)
    nonce = nonce or os.urandom(16).hex()
    text = "\n".join(["plait-hmac-1", key, at, nonce, method, target, sha256(body)])
    mac = hmac.new(secret or SECRETS[key], text.encode(), "sha256").hexdigest()
    return "Plait-HMAC key=%s, time=%s, nonce=%s, body=%s, mac=%s" % (key, at, nonce, sha256(body), mac)


class Answer:
    def __init__(self, response):
        self.status, self.body = response.status, response.read()
        self.fields = {k.lower(): v for k, v in response.getheaders()}

    json = property(lambda self: json.loads(self.body))

    def __repr__(self):
        return "<%d %r %r>" % (self.status, self.fields, self.body[:500])


class Events(threading.Thread):
    """Reads an event stream to its end. `all` is a list of (event, data); a comment is (None, its text)."""

    def __init__(self, director, path, source=None):
        super().__init__(daemon=True)
        self.all, self.ended = [], False
        self.connection = director.connection(source)
        self.connection.request("GET", path, headers={"Accept": "text/event-stream"})
        self.socket = self.connection.sock
        self.response = self.connection.getresponse()
        assert self.response.status == 200
        assert self.response.getheader("Content-Type") == "text/event-stream"
        self.start()

    def run(self):
        kind = None
        try:
            for line in self.response:
                line = line.decode().rstrip("\n")
                if line.startswith(":"):
                    self.all.append((None, line[1:]))
                elif line.startswith("event: "):
                    kind = line[7:]
                elif line.startswith("data: "):
                    self.all.append((kind, json.loads(line[6:])))
        except (OSError, http.client.HTTPException, ValueError, AttributeError):
            pass
        self.ended = True

    def named(self, kind):
        return [data for k, data in self.all if k == kind]

    def wait(self, kind, count=1, timeout=15):
        return wait_for(lambda: len(self.named(kind)) >= count and self.named(kind), "%d times %s; there is %r" %
                        (count, kind, self.all[-5:]), timeout=timeout)

    def close(self):
        self.socket.shutdown(socket.SHUT_RDWR)


class Director:
    """A running director, and its interface."""

    def __init__(self, plait, folder, *args, context=None, **more):
        folder = Path(folder)
        self.secret = folder / "secrets"
        self.secret.write_text("".join("%s:%s\n" % (k, s.decode()) for k, s in SECRETS.items()))
        secret = () if "--client-ca" in args else ("--secret", self.secret)
        listen = () if "--listen" in args else ("--listen", "127.0.0.1:0")
        self.run = plait.start("direct", *listen, "--json", *secret, *args, **more)
        line = self.run.stdout.readline()
        assert line, self.run.err
        self.port, self.context = json.loads(line)["port"], context

    url = property(lambda self: "http://127.0.0.1:%d" % self.port)

    def connection(self, source=None):
        if self.context:
            return http.client.HTTPSConnection("127.0.0.1", self.port, timeout=20, context=self.context)
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=20, source_address=(source, 0) if source else None)

    def ask(self, method, target, body=b"", headers=None):
        c = self.connection()
        try:
            c.request(method, target, body=body or None, headers=headers or {})
            return Answer(c.getresponse())
        finally:
            c.close()

    def get(self, target, accept=None, **headers):
        return self.ask("GET", target, headers={**({"Accept": accept} if accept else {}), **headers})

    def find(self, name):
        return self.get("/" + name, "application/json")

    def signed(self, method, id, document=None, key="farm"):
        body = b"" if document is None else json.dumps(document).encode()
        target = "/.plait/servers/" + id
        return self.ask(method, target, body, {"Authorization": sign(method, target, body, key)})

    def register(self, id, *streams, url=None, ttl_ms=30000, key="farm", **more):
        return self.signed("PUT", id, {"url": url or "http://%s.example/" % id, "ttl_ms": ttl_ms, "streams": streams, **more}, key)

    def heartbeat(self, id):
        return self.signed("POST", id, {})

    def sources(self, name):
        """The servers of the best version, sorted; None where the name is not known."""
        answer = self.find(name)
        return sorted(s["server"] for s in answer.json["versions"][0]["sources"]) if answer.status == 200 else None

    def raw(self, data, timeout=20):
        """Sends bytes, returns what comes back until the end."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=timeout) as s:
            got = b""
            try:
                s.sendall(data)
                while piece := s.recv(65536):
                    got += piece
            except OSError:
                pass
            return got

    def memory(self):
        """What it has taken at most, in bytes."""
        if "libasan" in Path("/proc/%d/maps" % self.run.pid).read_text():
            return 0  # a sanitizer keeps much of what has been freed: this is looked at in the ordinary build
        return self.run.rss_max()

    def stop(self, sig=signal.SIGTERM):
        self.run.kill(sig)
        return self.run.finish()


def stream(name, size=5, digest=None):
    return {"name": name, **({} if size is None else {"size": size}), **({"digests": {"sha-256": sha256(digest)}} if digest else {})}


@pytest.fixture
def director(plait, place):
    """director(args): a running one; those that still run at the end must end with status 0."""
    made = []

    def make(*args, **more):
        folder = place / ("director-%d" % len(made))
        folder.mkdir()
        made.append(Director(plait, folder, *args, **more))
        return made[-1]

    yield make
    for d in made:
        if d.run.running():
            result = d.stop(signal.SIGINT)
            assert result.status == 0, result
        assert "runtime error" not in d.run.err and "Sanitizer" not in d.run.err, d.run.err


class Redis:
    """A real redis-server that keeps nothing on disk."""

    def __init__(self, folder, *args, port=None):
        self.folder, self.args, self.port = Path(folder), args, port or closed_port()
        self.process = None
        self.start()

    where = property(lambda self: "redis://127.0.0.1:%d" % self.port)

    def start(self):
        self.process = subprocess.Popen(["redis-server", "--port", str(self.port), "--bind", "127.0.0.1", "--save", "",
                                         "--appendonly", "no", "--dir", str(self.folder), *self.args],
                                        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_for(self.answers, "redis-server to answer")

    def answers(self):
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=1) as s:
                s.sendall(b"PING\r\n")
                return s.recv(64) != b""
        except OSError:
            return False

    def command(self, *words):
        with socket.create_connection(("127.0.0.1", self.port), timeout=5) as s:
            s.sendall(b"".join([b"*%d\r\n" % len(words)] + [b"$%d\r\n%s\r\n" % (len(w), w) for w in words]))
            return s.recv(65536)

    def stop(self, sig=signal.SIGKILL):
        if self.process:
            self.process.send_signal(signal.SIGCONT)
            self.process.send_signal(sig)
            self.process.wait()
        self.process = None


@pytest.fixture
def redis(place):
    if not shutil.which("redis-server"):
        pytest.skip("redis-server is not installed")
    made = []

    def make(*args, **more):
        made.append(Redis(place, *args, **more))
        return made[-1]

    yield make
    for r in made:
        r.stop()


# Answers.

def test_a_stream_in_every_form(director):
    d = director()
    digest = sha256(b"film")
    answer = d.register("a", stream("film.mkv", 4, b"film"), url="http://a.example/x")
    assert answer.status == 201 and answer.json == {"id": "a", "ttl_ms": 30000, "streams": 1, "conflicts": []}
    assert d.register("a", stream("film.mkv", 4, b"film"), url="http://a.example/x").status == 200
    assert d.register("b", stream("film.mkv", 4, b"film")).status == 201
    answer = d.find("film.mkv")
    assert answer.fields["content-type"] == "application/json" and answer.fields["vary"] == "Accept"
    found = answer.json
    assert found["name"] == "film.mkv" and found["conflict"] is False and found["routes"] == []
    assert found["events"] == "/film.mkv?events"
    [version] = found["versions"]
    assert version["size"] == 4 and version["digests"] == {"sha-256": digest}
    assert sorted((s["server"], s["url"], s["healthy"]) for s in version["sources"]) == [
        ("a", "http://a.example/x/film.mkv", True), ("b", "http://b.example/film.mkv", True)]
    # Metalink.
    answer = d.get("/film.mkv", "application/metalink4+xml")
    assert answer.fields["content-type"] == "application/metalink4+xml"
    assert answer.fields["content-disposition"] == "attachment; filename*=UTF-8''film.mkv.meta4"
    file = ElementTree.fromstring(answer.body).find(METALINK + "file")
    assert file.get("name") == "film.mkv" and file.find(METALINK + "size").text == "4"
    assert file.find(METALINK + "hash").text == digest and file.find(METALINK + "hash").get("type") == "sha-256"
    assert [u.get("priority") for u in file.findall(METALINK + "url")] == ["1", "2"]
    assert {u.text for u in file.findall(METALINK + "url")} == {"http://a.example/x/film.mkv", "http://b.example/film.mkv"}
    assert d.get("/film.mkv?format=metalink").body.startswith(b"<?xml")
    assert d.get("/film.mkv?format=json").json["name"] == "film.mkv"
    # A redirection.
    answer = d.get("/film.mkv")
    first, other = answer.fields["location"], ({"http://a.example/x/film.mkv", "http://b.example/film.mkv"} -
                                               {answer.fields["location"]}).pop()
    assert answer.status == 302 and first != other
    assert "<%s>; rel=duplicate; pri=2" % other in answer.fields["link"]
    assert 'rel=describedby; type="application/metalink4+xml"' in answer.fields["link"]
    value = base64.b64encode(bytes.fromhex(digest)).decode()
    assert answer.fields["digest"] == "SHA-256=" + value and answer.fields["repr-digest"] == "sha-256=:%s:" % value
    answer = d.ask("HEAD", "/film.mkv")
    assert answer.status == 302 and answer.body == b"" and "location" in answer.fields
    answer = d.ask("HEAD", "/film.mkv", headers={"Accept": "application/json"})
    assert answer.status == 200 and answer.body == b""
    assert d.find("other").status == 404 and "no server" in d.find("other").json["error"]


def test_holders_take_turns(director):
    d = director()
    for id in "abcd":
        d.register(id, stream("x"))
    got = [d.get("/x").fields["location"] for _ in range(12)]
    assert all(got.count("http://%s.example/x" % id) == 3 for id in "abcd")
    assert len(set(got[:4])) == 4


def test_a_plain_client_gets_the_stream(director, liar, data):
    content = data(1 * MB)
    site = liar({"resources": {"/d/" + "a%20b": {"file": str(content)}}}, {"resources": {"/d/a%20b": {"file": str(content)}}})
    d = director()
    for i in range(2):
        d.register("s%d" % i, stream("a b", content.size, content.bytes), url=site.url(i, "/d/"))
    for _ in range(2):
        done = subprocess.run(["curl", "-q", "-s", "-S", "-L", "-m", "20", "--noproxy", "*", d.url + "/a%20b"], capture_output=True)
        assert (done.returncode, done.stdout) == (0, content.bytes), done.stderr
    assert sorted(r["site"] for r in site.requests()) == [0, 1]


def test_aria2_takes_it_from_both(director, liar, data, place):
    if not shutil.which("aria2c"):
        pytest.skip("aria2c is not installed")
    content = data(4 * MB)
    site = liar(*[{"resources": {"/f": {"file": str(content), "rate": 4 * MB}}}] * 2)
    d = director()
    for i in range(2):
        d.register("s%d" % i, stream("f", content.size, content.bytes), url=site.url(i, "/"))
    subprocess.run(["aria2c", "-q", "--no-conf", "-d", str(place), "-k1M", "-x2", "-s2", d.url + "/f?format=metalink"], check=True,
                   timeout=30)
    assert sha256((place / "f").read_bytes()) == content.sha256
    assert {r["site"] for r in site.requests()} == {0, 1}


@pytest.mark.parametrize("name", ["a", "dir/film.mkv", "a b", "ä/ö", "100%", "a?b#c", "%2e%2e", "a+b;c=d", "x" * 1024, '"<&>\'"'])
def test_names(director, name):
    d = director()
    assert d.register("s", stream(name)).status == 201
    path = "".join(chr(b) if chr(b).isalnum() and b < 128 or chr(b) in "/-._~" else "%%%02X" % b for b in name.encode())
    assert d.find(path).json["name"] == name
    assert d.get("/" + path).fields["location"] == "http://s.example/" + path
    file = ElementTree.fromstring(d.get("/" + path, "application/metalink4+xml").body).find(METALINK + "file")
    assert file.get("name") == name.split("/")[-1]


def test_what_differs_is_kept_apart_and_reported(director):
    d = director()
    events = Events(d, "/x?events")
    d.register("a", stream("x", 5, b"one"))
    d.register("b", stream("x", 5, b"one"), stream("y"))
    answer = d.register("c", stream("x", 5, b"two"), stream("y"))
    assert answer.json["conflicts"] == ["x"]
    assert "c (key:farm) holds x otherwise than others do" in d.run.err
    d.register("d", stream("x", 6))
    found = d.find("x").json
    assert found["conflict"] is True
    assert [sorted(s["server"] for s in v["sources"]) for v in found["versions"]] == [["a", "b"], ["c"], ["d"]]
    assert d.find("y").json["conflict"] is False
    # A redirection and a Metalink speak of one version, by default of the one that most hold.
    for _ in range(4):
        assert d.get("/x").fields["location"] in ("http://a.example/x", "http://b.example/x")
    assert d.get("/x?sha-256=" + sha256(b"two")).fields["location"] == "http://c.example/x"
    assert d.get("/x?size=6", "application/metalink4+xml").body.count(b"<url") == 1
    assert d.get("/x?size=7").status == 404
    assert [e["conflict"] for e in events.wait("joined", 4)] == [False, False, True, True]
    assert d.register("c", stream("x", 5, b"one")).json["conflicts"] == ["x"]  # d is still another
    assert events.wait("changed")[0]["source"]["server"] == "c"


def test_who_has_not_told_a_digest_yet_holds_nothing_else(director):
    d = director()
    d.register("a", stream("x", 5, b"one"))
    assert d.register("b", stream("x", 5)).json["conflicts"] == []
    assert d.find("x").json["conflict"] is True  # and yet the two are not to be mixed
    assert d.register("b", stream("x", 5, b"one")).json["conflicts"] == []
    assert d.register("b", stream("x", 5, b"two")).json["conflicts"] == ["x"]
    assert d.run.err.count("otherwise") == 1


def test_streams_that_are_being_written(director):
    d = director()
    d.register("a", stream("live", None))
    [version] = d.find("live").json["versions"]
    assert "size" not in version
    assert b"<size>" not in d.get("/live", "application/metalink4+xml").body


def test_routes_are_told_with_streams(director):
    d = director()
    assert d.signed("PUT", "r", {"kind": "relay", "url": "http://r.example:3128", "reaches": ["a.example:80"], "auth": "basic"}).status == 201
    d.register("a", stream("x"))
    assert d.find("x").json["routes"] == [{"relay": "r", "url": "http://r.example:3128", "healthy": True,
                                           "reaches": ["a.example:80"], "auth": "basic"}]
    assert d.signed("POST", "r", {"add": [stream("x")]}).status == 400
    assert d.heartbeat("r").status == 200


def test_the_overview(director):
    d = director()
    d.register("a", stream("<b>&\"'"), *[stream("s%04d" % i) for i in range(700)], url="http://a.example/&amp;")
    d.signed("PUT", "r", {"kind": "relay", "url": "http://r:1", "reaches": ["x:%d" % i for i in range(1, 40)]})
    answer = d.get("/", "text/html,*/*;q=0.8")
    page = answer.body.decode()
    assert answer.fields["content-type"].startswith("text/html")
    assert "default-src 'none'" in answer.fields["content-security-policy"]
    assert "&lt;b&gt;&amp;" in page and "<b>" not in page and "/%3Cb%3E%26%22%27?format=json" in page
    assert "http://a.example/&amp;amp;" in page and "1 servers, 1 relays, 701 streams" in page
    # Nothing is loaded from anywhere.
    assert all(word not in page for word in ("src=", "url(", "@import", "<script", "<link"))
    assert page.count("href=") == page.count('href="/')
    assert "s0498" in page and "s0600" not in page
    more = d.get("/?after=s0498").body.decode()
    assert "s0499" in more and "s0699" in more and "s0498<" not in more
    said = d.get("/", "application/json").json
    assert (said["server_count"], said["relay_count"], said["stream_count"], said["store"]) == (1, 1, 701, "memory")
    assert said["servers"][0]["streams"] == 701 and said["routes"][0]["relay"] == "r"
    assert len(said["streams"]) == 500


# Coming and going.

def test_events_tell_what_happens(director):
    d = director()
    d.register("a", stream("x", 5, b"one"))
    events, others = Events(d, "/x?events"), Events(d, "/other")
    [snapshot] = events.wait("snapshot")
    assert snapshot == d.find("x").json
    assert others.wait("snapshot")[0]["versions"] == []
    d.register("b", stream("x", 5, b"one"), stream("z"))
    assert events.wait("joined")[0] == {
        "name": "x", "conflict": False, "size": 5, "digests": {"sha-256": sha256(b"one")},
        "source": {"server": "b", "url": "http://b.example/x", "healthy": True}}
    d.register("b", stream("x", 5, b"one"), stream("z", 9))  # nothing new for x
    d.register("b", stream("z"), url="http://b2.example/")
    assert events.wait("left")[0]["source"]["server"] == "b"
    assert d.signed("DELETE", "a").status == 204
    assert [e["source"]["server"] for e in events.wait("left", 2)] == ["b", "a"]
    d.signed("PUT", "r", {"kind": "relay", "url": "http://r:1", "reaches": []})
    for e in (events, others):
        assert e.wait("route-joined")[0]["relay"] == "r"
    d.signed("DELETE", "r")
    for e in (events, others):
        assert e.wait("route-left")[0]["url"] == "http://r:1"
    assert [k for k, _ in events.all] == ["snapshot", "joined", "left", "left", "route-joined", "route-left"]
    assert [k for k, _ in others.all] == ["snapshot", "route-joined", "route-left"]
    # Streams that are begun by a program without its own Accept field.
    assert Events(d, "/x?events&size=5").wait("snapshot")


def test_streams_come_and_go_one_by_one(director):
    d = director()
    d.register("a", stream("x"), stream("y"))
    events = Events(d, "/z?events")
    answer = d.signed("POST", "a", {"add": [stream("z"), stream("y", 6)], "remove": ["x", "unknown"]})
    assert answer.status == 200 and answer.json["streams"] == 2
    assert d.find("x").status == 404 and d.find("y").json["versions"][0]["size"] == 6
    assert events.wait("joined")
    assert d.signed("POST", "b", {"add": [stream("z")]}).status == 404


def test_servers_expire(director):
    d = director()
    d.register("a", stream("x"), ttl_ms=1500)
    d.register("b", stream("x"), ttl_ms=30000)
    events = Events(d, "/x?events")
    end = time.monotonic() + 2.5
    while time.monotonic() < end:
        assert d.heartbeat("a").status == 200
        assert d.sources("x") == ["a", "b"]
        time.sleep(0.2)  # as a server does
    started = time.monotonic()
    assert events.wait("expired")[0]["source"]["server"] == "a"
    assert 1.0 < time.monotonic() - started < 3
    assert d.sources("x") == ["b"] and d.heartbeat("a").status == 404
    assert "a has expired" in d.run.err


def test_who_is_late_is_not_chosen(director):
    d = director()
    d.register("a", stream("x"), ttl_ms=6000)
    d.register("b", stream("x"))
    wait_for(lambda: not all(s["healthy"] for s in d.find("x").json["versions"][0]["sources"]), "a to be late")
    assert [d.get("/x").fields["location"] for _ in range(4)] == ["http://b.example/x"] * 4
    assert "<http://a.example/x>; rel=duplicate" in d.get("/x").fields["link"]
    assert b'class="bad">late' in d.get("/").body
    d.heartbeat("a")
    assert len({d.get("/x").fields["location"] for _ in range(2)}) == 2


def test_listeners_are_kept_alive(director):
    d = director()
    events = Events(d, "/x")
    wait_for(lambda: (None, "") in events.all, "a comment", timeout=8)


def test_listeners_that_go_are_forgotten(director):
    d = director()
    before = len(os.listdir("/proc/%d/fd" % d.run.pid))
    crowd = [Events(d, "/x") for _ in range(50)]
    for e in crowd:
        e.wait("snapshot")
        e.close()
    wait_for(lambda: len(os.listdir("/proc/%d/fd" % d.run.pid)) <= before, "their sockets to be closed", timeout=25)


def test_listeners_that_do_not_read_are_dropped(director):
    d = director()
    deaf = socket.socket()
    deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    deaf.connect(("127.0.0.1", d.port))
    deaf.sendall(b"GET /x?events HTTP/1.1\r\nHost: x\r\n\r\n")
    hearing = Events(d, "/x")
    hearing.wait("snapshot")
    before, size = d.memory(), 0
    # A name at its longest makes an event of more than a kilobyte; the queue holds half a megabyte.
    url = "http://s.example/" + "u" * 1900
    for i in range(1500):
        assert d.register("s", stream("x", i), url=url).status in (200, 201)
    assert len(hearing.wait("changed", 1499)) == 1499 and not hearing.ended
    assert d.memory() - before < 8 * MB
    deaf.settimeout(20)
    while piece := deaf.recv(1 << 20):
        size += len(piece)
    assert size < 1499 * 2000
    deaf.close()


# Strangers.

def unchanged(d):
    said = d.get("/", "application/json").json
    return said["server_count"] == 1 and said["servers"][0]["url"] == "http://a.example/" and d.sources("x") == ["a"]


def test_a_stranger_changes_nothing(director):
    d = director()
    d.register("a", stream("x"))
    target, body = "/.plait/servers/a", json.dumps({"url": "http://evil.example/", "streams": [stream("x")]}).encode()
    good = sign("PUT", target, body)
    now = int(time.time() * 1000)
    for field in (None, "", "Basic eDp5", "Bearer secret", "Plait-HMAC", "Plait-HMAC key=farm", good.replace("key=farm", "key=barn"),
                  good.replace("key=farm", "key=nobody"), sign("PUT", target, body, secret=b"guess"),
                  sign("PUT", target, body, at=now - 180_000), sign("PUT", target, body, at=now + 180_000),
                  sign("POST", target, body), sign("PUT", "/.plait/servers/b", body), sign("PUT", target, b"{}"),
                  good[:-1] + ("0" if good[-1] != "0" else "1"), good + ", x=y", good.upper()):
        answer = d.ask("PUT", target, body, {"Authorization": field} if field is not None else {})
        assert answer.status == 401, (field, answer)
        assert answer.fields.get("www-authenticate") == "Plait-HMAC" or "body" in answer.json["error"]
        assert unchanged(d)
    assert d.ask("DELETE", target).status == 401 and d.ask("POST", target, b"{}").status == 401
    assert unchanged(d)


def test_a_signature_is_good_once(director):
    d = director()
    body = json.dumps({"url": "http://a.example/", "streams": [stream("x")]}).encode()
    field = {"Authorization": sign("PUT", "/.plait/servers/a", body)}
    assert d.ask("PUT", "/.plait/servers/a", body, field).status == 201
    assert d.signed("DELETE", "a").status == 204
    answer = d.ask("PUT", "/.plait/servers/a", body, field)
    assert answer.status == 401 and "used before" in answer.json["error"]
    assert d.find("x").status == 404


def test_others_keys_open_no_doors(director):
    d = director()
    assert d.register("a", stream("x")).status == 201
    assert d.register("a", stream("x"), url="http://barn.example/", key="barn").status == 403
    assert d.signed("POST", "a", {"remove": ["x"]}, key="barn").status == 403
    assert d.signed("DELETE", "a", key="barn").status == 403
    assert d.signed("POST", "a", {}, key="barn").status == 403
    assert unchanged(d)
    assert d.register("b", stream("x"), key="barn").status == 201


def test_secrets_are_read_anew(director):
    d = director()
    assert d.register("a", stream("x")).status == 201
    d.secret.write_text("farm:another secret of theirs\n")
    d.run.kill(signal.SIGHUP)
    wait_for(lambda: d.heartbeat("a").status == 401, "the old secret to be refused")
    d.secret.write_text("short\n")
    d.run.kill(signal.SIGHUP)
    wait_for(lambda: "line 1" in d.run.err, "the complaint")
    target = "/.plait/servers/a"
    assert d.ask("POST", target, b"{}", {"Authorization": sign("POST", target, b"{}", secret=b"another secret of theirs")}).status == 200


@pytest.mark.parametrize("document, word", [
    ("nonsense", "JSON"), ({}, "url"), ({"url": "http://evil\r\nX: y/"}, "url"), ({"url": "file:///etc/"}, "url"),
    ({"url": "http://a/", "streams": [{"name": "../../etc/passwd"}]}, "../../etc/passwd"),
    ({"url": "http://a/", "streams": [{"name": ".plait/servers/x"}]}, "name"),
    ({"url": "http://a/", "streams": [stream("x"), stream("x")]}, "twice"),
    ({"url": "http://a/", "streams": [stream("x", -1)]}, "size"), ({"url": "http://a/", "streams": 5}, "array")])
def test_registrations_that_cannot_be(director, document, word):
    d = director()
    answer = d.signed("PUT", "a", document)
    assert answer.status == 400 and word in answer.json["error"]
    assert d.find("x").status == 404


def test_ids_and_methods(director):
    d = director()
    for id in ("", ".", "..", "-a", "a/b", "a%2fb", "%c3%a4", "a?b", "x" * 129):
        assert d.ask("PUT", "/.plait/servers/" + id, b"{}").status == 400, id
    assert d.ask("GET", "/.plait/servers/a").status == 405
    assert d.ask("PUT", "/x", b"{}").status == 405 and d.ask("DELETE", "/").status == 405
    assert d.ask("OPTIONS", "/x").status == 405
    assert d.register("A.b_c~d-1", stream("x")).status == 201


@pytest.mark.parametrize("target", ["/../etc/passwd", "/a/../b", "/%2e%2e/x", "/.plait/", "/.plait", "/.hidden", "/a//b", "/%00", "/x%0d%0aX:y",
                                    "/%ff", "/%c0%af", "/x\\y", "/" + "x" * 1025, "/x?size=-1", "/x?size=1e9", "/x?format=exe",
                                    "/x?sha-256=zz", "/?after=..", "/%"])
def test_odd_targets(director, target):
    d = director()
    assert d.get(target).status == 400
    assert b"HTTP/1.1 400" in d.raw(("GET %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n" % target).encode())


def test_what_is_not_http(director):
    d = director()
    for data in (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" * 50 + b"\r\n\r\n", b"GET /\0x HTTP/1.1\r\n\r\n", b"GET\0/x HTTP/1.1\r\n\r\n",
                 b"GET / HTTP/1.1\r\nA: \0b\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n", b"\r\n" * 1000 + b"x\r\n\r\n",
                 b"GET / HTTP/1.1\r\nA: " + b"x" * 100_000 + b"\r\n\r\n", b"GET /" + b"x" * 100_000 + b" HTTP/1.1\r\n\r\n",
                 b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * 20_000 + b"\r\n",
                 b"PUT /.plait/servers/a HTTP/1.1\r\nContent-Length: -5\r\n\r\n",
                 b"PUT /.plait/servers/a HTTP/1.1\r\nContent-Length: 99999999999999999999\r\n\r\n",
                 b"POST /x HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"):
        got = d.raw(data)
        assert got == b"" or got.startswith(b"HTTP/1."), got
        assert not got.startswith(b"HTTP/1.1 2") and not got.startswith(b"HTTP/1.1 3"), (data[:60], got)
    assert d.find("x").status == 404


def test_huge_bodies(director):
    d = director()
    target = "/.plait/servers/a"
    head = "PUT %s HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n"
    assert b"HTTP/1.1 413" in d.raw((head % (target, (4 << 20) + 1)).encode())
    assert b"HTTP/1.1 411" in d.raw(("PUT %s HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n" % target).encode())
    # A stranger's body is neither kept nor waited for.
    before = d.memory()
    for _ in range(5):
        answer = d.ask("PUT", target, b"x" * (4 << 20))
        assert answer.status == 401
    assert d.memory() - before < 2 * MB
    got = d.raw((head % (target, 4 << 20)).replace("\r\n\r\n", "\r\nExpect: 100-continue\r\n\r\n").encode())
    assert b"HTTP/1.1 401" in got and b"100 Continue" not in got
    # Those of one who may: a full one is taken, one that would cost too much is not, and what costs memory is given back.
    names = [stream("n%06d" % i + "-" * 40) for i in range(50_000)]
    assert d.register("a", *names[:49_000]).status == 201
    assert d.signed("POST", "a", {"add": names[49_000:]}).json["streams"] == 50_000
    assert d.signed("POST", "a", {"add": [stream("one more")]}).status == 507
    assert d.signed("PUT", "b", {"url": "http://b/", "x": [[]] * 500_000}).status == 400
    assert d.ask("PUT", target, b"[" * (4 << 20), {"Authorization": sign("PUT", target, b"[" * (4 << 20))}).status == 400
    assert d.find("n000001" + "-" * 40).status == 200
    assert d.memory() - before < 200 * MB


def test_slow_strangers_have_deadlines(director, authorities):
    """A head that never ends, however it drips, a body that never comes, a handshake that is never begun."""
    cert, key = authorities[0].pairs["good"]
    plain, tls, started = director(), director("--tls-cert", cert, "--tls-key", key, context=context_of(authorities[0])), time.monotonic()
    slow = [socket.create_connection(("127.0.0.1", d.port)) for d in (plain, plain, plain, tls)]
    drips = [b"T", b"A: b\r\n", b"", b""]
    slow[0].sendall(b"GET / HT")
    slow[1].sendall(b"GET /x HTTP/1.1\r\n")
    ended = {}
    while len(ended) < 4 and time.monotonic() - started < 40:
        for i, s in enumerate(slow):
            if i in ended:
                continue
            try:
                s.sendall(drips[i])
                s.settimeout(0.2)
                if s.recv(4096) == b"":
                    ended[i] = time.monotonic() - started
            except socket.timeout:
                pass
            except OSError:
                ended[i] = time.monotonic() - started
    assert len(ended) == 4 and all(19 < t < 24 for t in ended.values()), ended
    assert plain.register("a", stream("x")).status == tls.register("a", stream("x")).status == 201


def test_ten_thousand_connections(director):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < 14000:
        pytest.skip("needs 14,000 descriptors")
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    d = director("--connections", "2000")
    d.register("a", stream("x"))
    events, before, crowd = Events(d, "/x", source="127.0.0.8"), d.memory(), []
    events.wait("snapshot")
    try:
        for i in range(10_000):
            crowd.append(socket.create_connection(("127.0.0.1", d.port), source_address=("127.0.%d.%d" % (1 + i // 250, 1 + i % 25), 0)))
            if i % 3 == 0:
                crowd[-1].sendall(b"GET / HTTP/1.1\r\n")
        for id in "bcd":
            assert d.register(id, stream("x")).status == 201
        assert d.sources("x") == ["a", "b", "c", "d"]
        events.wait("joined", 3)
        assert len(os.listdir("/proc/%d/fd" % d.run.pid)) < 2100
        assert d.memory() - before < 128 * MB
        # From one address alone it goes no further than its bound.
        for _ in range(400):
            crowd.append(socket.create_connection(("127.0.0.1", d.port), source_address=("127.0.0.5", 0)))
        assert d.sources("x") == ["a", "b", "c", "d"]
    finally:
        for s in crowd:
            s.close()
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    wait_for(lambda: len(os.listdir("/proc/%d/fd" % d.run.pid)) < 64, "their sockets to be closed")


def test_requests_in_a_row_on_one_connection(director):
    d = director()
    c = d.connection()
    for i in range(200):
        target = "/.plait/servers/s%d" % i
        body = json.dumps({"url": "http://s%d/" % i, "streams": [stream("x")]}).encode()
        c.request("PUT", target, body=body, headers={"Authorization": sign("PUT", target, body)})
        assert c.getresponse().read() and True
        c.request("GET", "/x", headers={"Accept": "application/json"})
        assert len(json.loads(c.getresponse().read())["versions"][0]["sources"]) == i + 1
        c.request("PUT", target, body=body, headers={"Authorization": "none"})  # refused after its body, and the next one is heard
        response = c.getresponse()
        assert response.status == 401 and response.read()
    c.close()


# TLS.

def context_of(authority, pair=None):
    context = ssl.create_default_context(cafile=str(authority.ca))
    context.check_hostname = False
    if pair:
        context.load_cert_chain(str(pair[0]), str(pair[1]))
    return context


def test_certificates_register(director, authorities):
    ours, theirs = authorities
    cert, key = ours.pairs["good"]
    d = director("--tls-cert", cert, "--tls-key", key, "--client-ca", ours.ca, context=context_of(ours, ours.pairs["client"]))
    body, target = json.dumps({"url": "https://a.example/", "streams": [stream("x")]}).encode(), "/.plait/servers/a"
    assert d.ask("PUT", target, body).status == 201
    assert d.sources("x") == ["a"]
    d.context = context_of(ours)  # without a certificate one may look, and nothing else
    assert d.sources("x") == ["a"]
    answer = d.ask("DELETE", target)
    assert answer.status == 401 and "certificate" in answer.json["error"]
    d.context = context_of(ours, ours.pairs["wrong"])  # another name of the same authority
    assert d.ask("DELETE", target).status == 403
    for pair in (theirs.pairs["client"], ours.pairs["own"], ours.pairs["expired"]):
        d.context = context_of(ours, pair)
        try:
            assert d.ask("DELETE", target).status == 401
        except OSError:
            pass  # refused in the handshake, as well
    d.context = context_of(ours, ours.pairs["client"])
    assert d.sources("x") == ["a"] and d.ask("DELETE", target).status == 204


def test_tls_with_a_secret(director, authorities, certificates):
    cert, key = authorities[0].pairs["good"]
    d = director("--tls-cert", cert, "--tls-key", key, context=context_of(authorities[0]))
    assert d.register("a", stream("x")).status == 201
    events = Events(d, "/x")
    d.register("b", stream("x"))
    assert events.wait("joined")
    assert b"HTTP" not in d.raw(b"GET / HTTP/1.1\r\n\r\n")


# Stores.

def test_sqlite_survives(director, place):
    where = "sqlite:%s" % (place / "store.db")
    d = director("--store", where)
    body = json.dumps({"url": "http://a.example/", "ttl_ms": 2000, "streams": [stream("x", 5, b"one"), stream("ä")]}).encode()
    field = {"Authorization": sign("PUT", "/.plait/servers/a", body)}
    assert d.ask("PUT", "/.plait/servers/a", body, field).status == 201
    d.register("b", stream("x", 5, b"one"), ttl_ms=60000)
    d.register("c", stream("x", 5, b"one"))
    d.signed("POST", "b", {"add": [stream("y")]})
    d.signed("DELETE", "c")
    d.signed("PUT", "r", {"kind": "relay", "url": "http://r:1", "reaches": ["x:1"], "auth": "basic"})
    d.stop(signal.SIGKILL)
    d = director("--store", where)
    assert d.sources("x") == ["a", "b"] and d.sources("y") == ["b"]
    found = d.find("x").json
    assert found["versions"][0]["digests"] == {"sha-256": sha256(b"one")} and found["routes"][0]["auth"] == "basic"
    assert d.heartbeat("b").status == 200
    assert d.signed("POST", "b", {}, key="barn").status == 403  # whose it is, is known as well
    assert d.ask("PUT", "/.plait/servers/a", body, field).status == 401  # used before
    events = Events(d, "/x")
    assert events.wait("expired")[0]["source"]["server"] == "a"
    d.stop(signal.SIGKILL)
    d = director("--store", where)
    assert d.sources("x") == ["b"]


def test_sqlite_is_for_one_director(director, plait, place):
    where = "sqlite:%s" % (place / "store.db")
    d = director("--store", where)
    d.register("a", stream("x"))
    result = plait.start("direct", "--listen", "127.0.0.1:0", "--store", where, "--secret", d.secret).finish()
    assert result.status == 2
    assert_says(result, "locked", "another director")
    assert d.sources("x") == ["a"]


@pytest.mark.parametrize("what", ["rubbish", "directory", "nowhere"])
def test_sqlite_files_that_cannot_be(plait, place, what):
    path = place / "store.db"
    (place / "secret").write_text("0123456789abcdef")
    if what == "rubbish":
        path.write_bytes(os.urandom(8192))
    elif what == "directory":
        path.mkdir()
    else:
        path = place / "no" / "store.db"
    result = plait.start("direct", "--listen", "127.0.0.1:0", "--store", "sqlite:%s" % path, "--secret", place / "secret").finish()
    assert result.status == 2
    assert_says(result, str(path))


def test_a_full_disk(director, place):
    """What has not been written has not happened, and the director goes on."""
    def limited():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, 400_000))

    d = director("--store", "sqlite:%s" % (place / "store.db"), preexec_fn=limited)
    assert d.register("a", stream("x")).status == 201
    answer = d.register("b", *[stream("n%05d" % i) for i in range(20_000)])
    assert answer.status == 503 and "store" in answer.json["error"]
    assert d.find("n00001").status == 404 and d.sources("x") == ["a"]
    assert_says(d.run, "store:")
    d.stop(signal.SIGKILL)
    d = director("--store", "sqlite:%s" % (place / "store.db"))
    assert d.sources("x") == ["a"] and d.find("n00001").status == 404


def test_two_directors_are_one(director, redis):
    where = redis().where
    a, b = director("--store", where), director("--store", where)
    at_a, at_b = Events(a, "/x"), Events(b, "/x")
    a.register("s1", stream("x", 5, b"one"))
    b.register("s2", stream("x", 5, b"one"), ttl_ms=2500)
    for e in (at_a, at_b):
        assert sorted(j["source"]["server"] for j in e.wait("joined", 2)) == ["s1", "s2"]
    assert a.sources("x") == b.sources("x") == ["s1", "s2"]
    # A signature is good once among them all, and heartbeats count wherever they arrive.
    body, target = b"{}", "/.plait/servers/s1"
    field = {"Authorization": sign("POST", target, body)}
    assert [d.ask("POST", target, body, field).status for d in (a, b)] == [200, 401]
    end = time.monotonic() + 4
    while time.monotonic() < end:
        assert a.heartbeat("s2").status == 200
        assert b.sources("x") == a.sources("x") == ["s1", "s2"]
        time.sleep(0.3)  # as a server does
    # Changes and withdrawals go from one to the other.
    a.signed("POST", "s2", {"add": [stream("y")]})
    wait_for(lambda: b.sources("y") == ["s2"], "the change at the other")
    b.register("s1", stream("x", 6), url="http://new.example/")
    assert at_a.wait("changed")[0]["source"]["url"] == "http://new.example/x"
    b.signed("DELETE", "s1")
    assert at_a.wait("left")[0]["source"]["server"] == "s1"
    for e in (at_a, at_b):
        assert e.wait("expired")[0]["source"]["server"] == "s2"
    # Whoever comes later finds all that is there.
    b.register("s3", stream("x"))
    assert director("--store", where).sources("x") in (None, ["s3"])


def test_one_of_two_directors_is_killed(director, redis):
    """No registration is lost, and the events on the other go on."""
    where = redis().where
    a, b = director("--store", where), director("--store", where)
    for i in range(20):
        assert (a if i % 2 else b).register("s%02d" % i, stream("x", 5, b"one"), ttl_ms=4000).status == 201
    everybody = ["s%02d" % i for i in range(20)]
    wait_for(lambda: a.sources("x") == b.sources("x") == everybody, "both to know all")
    events = Events(b, "/x")
    events.wait("snapshot")
    a.run.kill()
    a.run.finish()
    assert b.register("late", stream("x", 5, b"one")).status == 201
    assert events.wait("joined")[0]["source"]["server"] == "late"
    started = time.monotonic()
    while time.monotonic() - started < 5:  # longer than any of them lives without a heartbeat
        for id in everybody:
            assert b.heartbeat(id).status == 200
        assert b.sources("x") == sorted(everybody + ["late"])
        time.sleep(0.5)  # as servers do
    assert not events.ended and not events.named("expired") and not events.named("left")
    b.signed("DELETE", "late")
    assert events.wait("left")[0]["source"]["server"] == "late"
    again = director("--store", where)
    wait_for(lambda: again.sources("x") == everybody, "one that is started anew to know all")


def test_redis_goes_and_comes_back_empty(director, redis):
    """What is known is told all the time; who registered before registers again, and nobody expires meanwhile."""
    server = redis()
    a, b = director("--store", server.where), director("--store", server.where)
    a.register("s", stream("x"), ttl_ms=3000)
    wait_for(lambda: b.sources("x") == ["s"], "the other to know")
    events = Events(b, "/x")
    server.stop()
    wait_for(lambda: all("store:" in d.run.err for d in (a, b)), "the directors to notice")
    answer = a.heartbeat("s")
    assert answer.status == 503 and answer.fields["retry-after"]
    assert a.register("t", stream("x")).status == 503
    started = time.monotonic()
    while time.monotonic() - started < 4:
        assert a.sources("x") == b.sources("x") == ["s"]
        assert b"out of reach" in a.get("/").body or time.monotonic() - started < 2
        time.sleep(0.2)  # the time of an outage
    server.start()
    wait_for(lambda: all("there again" in d.run.err for d in (a, b)), "the directors to find it")
    assert a.heartbeat("s").status == 404  # it is not there: the server has to say all again
    assert a.sources("x") == b.sources("x") == ["s"], (a.run.err, b.run.err)
    assert b.register("s", stream("x"), ttl_ms=3000).status in (200, 201)
    assert b.register("t", stream("x")).status == 201
    wait_for(lambda: a.sources("x") == ["s", "t"], "the other to hear of it")
    assert not events.ended and [k for k, _ in events.all if k] == ["snapshot", "joined"]


def test_redis_that_hangs(director, redis):
    server = redis()
    d = director("--store", server.where)
    d.register("s", stream("x"), ttl_ms=3000)
    server.process.send_signal(signal.SIGSTOP)
    answers = []
    asking = threading.Thread(target=lambda: answers.append(d.heartbeat("s").status))
    asking.start()
    wait_for(lambda: "does not answer" in d.run.err, "the director to notice", timeout=12)
    asking.join()
    assert answers == [503] and d.sources("x") == ["s"]
    server.process.send_signal(signal.SIGCONT)
    wait_for(lambda: "there again" in d.run.err, "the director to find it")
    assert d.heartbeat("s").status in (200, 404) and d.sources("x") == ["s"]


def test_redis_that_is_not_there_yet(director, redis):
    port = closed_port()
    d = director("--store", "redis://127.0.0.1:%d" % port)
    wait_for(lambda: "store:" in d.run.err, "the complaint")
    answer = d.find("x")
    assert answer.status == 503 and "not yet" in answer.json["error"]
    assert d.register("a", stream("x")).status == 503
    redis(port=port)
    wait_for(lambda: d.register("a", stream("x")).status == 201, "the store")
    assert d.sources("x") == ["a"]


def test_redis_with_a_password_and_rubbish(director, redis):
    server = redis("--requirepass", "open sesame")
    d = director("--store", "redis://127.0.0.1:%d/3" % server.port, env={"PLAIT_REDIS_PASSWORD": "open sesame"})
    wait_for(lambda: d.register("a", stream("x")).status == 201, "the store")
    wrong = director("--store", "redis://:wrong@127.0.0.1:%d/3" % server.port)
    wait_for(lambda: "WRONGPASS" in wrong.run.err or "NOAUTH" in wrong.run.err, "the complaint")
    assert "wrong@" not in wrong.run.err
    # What others write there does no harm.
    with socket.create_connection(("127.0.0.1", server.port), timeout=5) as s:
        for line in ("AUTH|open sesame", "SELECT|3", "SADD|plait:servers|bad|../x|b2", 'SET|plait:server:bad|{"url":1}|PX|60000',
                     "HSET|plait:server:b2|a|b", "PUBLISH|plait:events:3|put x bad", "PUBLISH|plait:events:3|nonsense",
                     "PUBLISH|plait:events:3|touch y 99999999999999 a", "PUBLISH|plait:events:3|drop z ../../x",
                     "PUBLISH|plait:events:3|put x b2"):
            words = line.encode().split(b"|")
            s.sendall(b"".join([b"*%d\r\n" % len(words)] + [b"$%d\r\n%s\r\n" % (len(w), w) for w in words]))
            assert s.recv(4096)[:1] in b"+:"
    wait_for(lambda: "bad cannot be used" in d.run.err, "the complaint")
    late = director("--store", "redis://:open sesame@127.0.0.1:%d/3" % server.port)
    wait_for(lambda: late.sources("x") == ["a"], "what is good to be read")
    assert d.sources("x") == ["a"]


# The relay registers.

def start_relay(plait, place, *directors, secret="farm:" + SECRETS["farm"].decode(), name="r", extra=()):
    path = place / ("relay-secret-%d" % len(list(place.glob("relay-secret-*"))))
    path.write_text(secret + "\n")
    run = plait.start("relay", "--listen", "127.0.0.1:0", "--json", "--allow", "127.0.0.0/8:*", "--allow", "www.example.net:443",
                      "--secret", path, "--name", name, "--grace", "1", *extra, *[a for d in directors for a in ("--director", d)])
    line = run.stdout.readline()
    assert line, run.err
    run.port = json.loads(line)["port"]
    return run


def routes(d):
    return {r["relay"]: r for r in d.get("/", "application/json").json["routes"]}


def test_a_relay_registers_and_withdraws(director, plait, place):
    d = director()
    events = Events(d, "/x")
    relay = start_relay(plait, place, d.url + "/")
    assert events.wait("route-joined")[0] == {"relay": "r", "url": "http://127.0.0.1:%d" % relay.port, "healthy": True,
                                              "reaches": ["127.0.0.0/8:*", "www.example.net:443"], "auth": None}
    wait_for(lambda: "registered with director" in relay.err, "the relay to say so")
    relay.kill(signal.SIGTERM)
    assert events.wait("route-left")[0]["relay"] == "r"
    assert relay.finish().status == 0
    public = start_relay(plait, place, d.url, extra=("--public", "http://relay.example:3128/"))
    wait_for(lambda: routes(d).get("r", {}).get("url") == "http://relay.example:3128/", "the public URL")
    public.kill(signal.SIGTERM)
    public.finish()


def test_a_relay_registers_again_after_a_restart(director, plait, place):
    d = director()
    relay = start_relay(plait, place, d.url)
    wait_for(lambda: "r" in routes(d), "the relay")
    d.stop(signal.SIGKILL)
    again = director("--listen", "127.0.0.1:%d" % d.port)
    wait_for(lambda: "r" in routes(again), "the relay at the new director", timeout=15)
    relay.kill(signal.SIGTERM)
    assert relay.finish().status == 0
    assert routes(again) == {}


def test_a_relay_goes_over_to_the_next_director(director, redis, plait, place):
    where = redis().where
    a, b = director("--store", where), director("--store", where)
    relay = start_relay(plait, place, a.url, b.url)
    wait_for(lambda: "r" in routes(a) and "r" in routes(b), "the relay at both")
    events = Events(b, "/x")
    events.wait("snapshot")
    a.stop(signal.SIGKILL)
    wait_for(lambda: "no heartbeat" in relay.err, "the relay to notice", timeout=15)
    key = b"plait:server:r"
    with_redis = Redis.command
    server = int(where.rsplit(":", 1)[1])
    fake = type("Client", (), {"port": server})()
    wait_for(lambda: int(with_redis(fake, b"PTTL", key)[1:].split(b"\r\n")[0]) > 29000, "a heartbeat to the other director")
    assert "r" in routes(b) and [k for k, _ in events.all if k] == ["snapshot"]
    relay.kill(signal.SIGTERM)
    assert relay.finish().status == 0
    assert events.wait("route-left")


def test_a_relay_whose_director_refuses_or_is_away(director, plait, place):
    d = director()
    relay = start_relay(plait, place, d.url, secret="farm:not the farm's secret")
    wait_for(lambda: "it answered 401: the signature is wrong" in relay.err, "the complaint")
    with socket.create_connection(("127.0.0.1", relay.port)) as s:  # it relays all the same
        s.sendall(b"CONNECT 127.0.0.1:%d HTTP/1.1\r\n\r\n" % d.port)
        assert s.recv(100).startswith(b"HTTP/1.1 200")
    assert routes(d) == {}
    relay.kill(signal.SIGINT)
    assert relay.finish().status == 0
    away = start_relay(plait, place, "http://127.0.0.1:%d" % closed_port())
    wait_for(lambda: "cannot register" in away.err, "the complaint")
    started = time.monotonic()
    away.kill(signal.SIGTERM)
    assert away.finish().status == 0 and time.monotonic() - started < 3
    assert away.err.count("cannot register") == 1  # the same trouble is told once


def test_a_relay_registers_by_certificate(director, authorities, plait, place):
    ours = authorities[0]
    cert, key = ours.pairs["good"]
    d = director("--tls-cert", cert, "--tls-key", key, "--client-ca", ours.ca, context=context_of(ours))
    client = ours.pairs["client"]
    run = plait.start("relay", "--listen", "127.0.0.1:0", "--allow", "127.0.0.0/8:*", "--name", "r", "--director",
                      "https://localhost:%d" % d.port, "--cert", client[0], "--key", client[1], "--ca", ours.ca)
    wait_for(lambda: "r" in routes(d), "the relay; it said: " + run.err)
    run.kill(signal.SIGTERM)
    assert run.finish().status == 0
    assert routes(d) == {}


# Signals and usage.

def test_sigterm_ends_feeds_and_answers(director):
    d = director()
    d.register("a", stream("x"))
    events = Events(d, "/x")
    events.wait("snapshot")
    idle = socket.create_connection(("127.0.0.1", d.port))
    result = d.stop()
    assert result.status == 0
    wait_for(lambda: events.ended, "the feed's end")
    assert idle.recv(1) == b""
    idle.close()


@pytest.mark.parametrize("args, word", [((), "--secret"), (("--secret", "/nonexistent"), "/nonexistent"), (("--secret", "{none}"), "no secret in it"),
                                        (("--secret", "{s}", "--listen", "x"), "--listen x"), (("--secret", "{s}", "--store", "x"), "--store"),
                                        (("--secret", "{s}", "--store", "redis://"), "redis"), (("--secret", "{s}", "--store", "sqlite:"), "--store"),
                                        (("--secret", "{s}", "--tls-cert", "x"), "--tls-key"), (("--client-ca", "x"), "--tls-cert"),
                                        (("--secret", "{s}", "--tls-cert", "{s}", "--tls-key", "{s}"), "certificate"),
                                        (("--secret", "{s}", "stray"), "stray"), (("--connections", "0"), "--connections 0"), (("--what",), "what")])
def test_usage(plait, place, args, word):
    (place / "s").write_text("0123456789abcdef")
    (place / "none").write_text("# none yet\n")
    result = plait.start("direct", *[a.format(s=place / "s", none=place / "none") for a in args]).finish()
    assert result.status == 2
    assert_says(result, word)


def test_help(plait):
    result = plait.start("direct", "--help").finish()
    assert result.status == 0 and result.out.startswith(b"usage: plait direct")
