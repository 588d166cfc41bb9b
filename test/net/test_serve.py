"""plait serve is a good web server: seen with sockets of our own, and with curl, wget and aria2c."""
import base64
import contextlib
import email.utils
import hashlib
import http.client
import json
import os
import re
import signal
import socket
import ssl
import subprocess
import time

import pytest

from support import MB, closed_port, wait_for

HOST = "127.0.0.1"
OLD = 1_600_000_000  # a time that no file system's clock is near to


class Reply:
    def __init__(self, response):
        self.status, self.body = response.status, response.read()
        self.fields = {name.lower(): value for name, value in response.getheaders()}

    def __getitem__(self, name):
        return self.fields.get(name.lower())

    def __repr__(self):
        return "<%d %r %r>" % (self.status, self.fields, self.body[:200])


class Served:
    """A running plait serve and its folder."""

    def __init__(self, plait, folder, *options, tls=False, listen=(HOST + ":0",), **more):
        self.folder, self.tls = folder, tls
        words = [word for where in listen for word in ("--listen", where)]
        self.run = plait.start("serve", folder, "--json", *words, *options, **more)
        line = self.run.stdout.readline()
        assert line, "it did not start: " + self.run.err
        self.told = json.loads(line)
        self.port = self.told["ports"][0]

    def connect(self, receive_buffer=None, context=None, port=None, host=HOST):
        s = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
        if receive_buffer:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        s.settimeout(20)
        s.connect((host, port or self.port))
        return (context or trusting()).wrap_socket(s) if self.tls else s

    def client(self):
        made = http.client.HTTPConnection(HOST, self.port, timeout=20)
        made.sock = self.connect()
        return made

    def ask(self, target, method="GET", **fields):
        with contextlib.closing(self.client()) as client:
            client.request(method, target, headers={k.replace("_", "-"): v for k, v in fields.items()})
            return Reply(client.getresponse())

    def raw(self, request):
        """Everything that comes back for these bytes until the server closes."""
        with self.connect() as s:
            s.sendall(request)
            return read_all(s)

    def url(self, path="/"):
        return "%s://%s:%d%s" % ("https" if self.tls else "http", HOST, self.port, path)

    def descriptors(self):
        return len(os.listdir("/proc/%d/fd" % self.run.pid))

    def stop(self):
        self.run.kill(signal.SIGTERM)
        result = self.run.finish()
        assert result.status == 0, result
        return result


def trusting():
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


def read_all(s):
    got = b""
    with contextlib.suppress(ConnectionResetError, ssl.SSLEOFError):
        while piece := s.recv(1 << 16):
            got += piece
    return got


def write(path, content, mtime=OLD):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    os.utime(path, (mtime, mtime))
    return path


def noise(size, seed=1):
    return hashlib.shake_128(b"%d" % seed).digest(size)


@pytest.fixture
def www(place):
    folder = place / "www"
    folder.mkdir()
    write(folder / "a.txt", b"hello, world\n")
    write(folder / "noise", noise(100_000))
    write(folder / "empty", b"")
    return folder


@pytest.fixture
def serve(plait, www):
    return lambda *options, **more: Served(plait, www, *options, **more)


def boundary_of(reply):
    return re.fullmatch(r"multipart/byteranges; boundary=(\w+)", reply["Content-Type"])[1].encode()


def parts_of(reply):
    """[(first, last, size, bytes)] of a multipart/byteranges body."""
    pieces = reply.body.split(b"--" + boundary_of(reply))
    assert pieces[0] == b"" and pieces[-1] == b"--\r\n"
    found = []
    for piece in pieces[1:-1]:
        head, _, body = piece.partition(b"\r\n\r\n")
        numbers = re.search(rb"Content-Range: bytes (\d+)-(\d+)/(\d+)", head)
        assert body.endswith(b"\r\n")
        found.append((*map(int, numbers.groups()), body[:-2]))
    return found


# Files


def test_a_file(serve):
    reply = serve().ask("/a.txt")
    assert (reply.status, reply.body) == (200, b"hello, world\n")
    assert reply["Content-Type"] == "text/plain; charset=utf-8"
    assert reply["Accept-Ranges"] == "bytes" and reply["Plait"] == "1"
    assert reply["Last-Modified"] == email.utils.formatdate(OLD, usegmt=True)
    assert re.fullmatch(r'"[\x21\x23-\x7e]+"', reply["ETag"])


def test_head_is_get_without_the_body(serve):
    server = serve("--no-digest")
    get, head = server.ask("/noise"), server.ask("/noise", "HEAD")
    assert (head.status, head.body) == (200, b"")
    same = ("content-length", "content-type", "etag", "last-modified", "accept-ranges", "plait")
    assert [head[f] for f in same] == [get[f] for f in same] and head["Content-Length"] == "100000"


@pytest.mark.parametrize("name, kind", [
    ("a.html", "text/html; charset=utf-8"), ("a.JPG", "image/jpeg"), ("a.tar.gz", "application/gzip"), ("a.mkv", "video/matroska"),
    ("a.meta4", "application/metalink4+xml"), ("a", "application/octet-stream"), ("a.nosuchending", "application/octet-stream")])
def test_content_types(serve, www, name, kind):
    write(www / name, b"x")
    assert serve().ask("/" + name)["Content-Type"] == kind


def test_keep_alive_pipelining_and_http_1_0(serve):
    server = serve()
    with contextlib.closing(server.client()) as client:
        for _ in range(5):
            client.request("GET", "/a.txt")
            assert Reply(client.getresponse()).body == b"hello, world\n"
    both = server.raw(b"GET /a.txt HTTP/1.1\r\nHost: x\r\n\r\nGET /a.txt HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    assert both.count(b"200 OK") == 2 and both.count(b"hello, world") == 2
    assert server.raw(b"GET /a.txt HTTP/1.0\r\n\r\n").endswith(b"\r\n\r\nhello, world\n")


def test_a_client_that_closes_its_half(serve):
    server = serve()
    for _ in range(20):
        with server.connect() as s:
            s.sendall(b"GET /a.txt HTTP/1.1\r\nHost: x\r\n\r\n")
            s.shutdown(socket.SHUT_WR)
            began = time.monotonic()
            assert read_all(s).endswith(b"hello, world\n") and time.monotonic() - began < 10


def test_absolute_form_and_needless_segments(serve):
    server = serve()
    for target in ("http://example.com/a.txt", "https://x:1/a.txt", "//a.txt", "/./a.txt", "/a%2Etxt", "/a.txt?x=..%2f"):
        assert server.ask(target).body == b"hello, world\n", target


def test_an_empty_file(serve):
    server = serve()
    assert (server.ask("/empty").status, server.ask("/empty")["Content-Length"]) == (200, "0")
    assert server.ask("/empty", Range="bytes=0-")["Content-Range"] == "bytes */0"


def test_a_large_file_over_both(serve, www, certificates):
    data = noise(30 * MB)
    write(www / "large", data)
    cert, key = certificates.pairs["good"]
    for server in (serve(), serve("--tls-cert", cert, "--tls-key", key, tls=True)):
        assert server.ask("/large").body == data
        assert server.ask("/large", Range="bytes=7-25000000").body == data[7:25_000_001]
        server.stop()


def test_methods(serve):
    server = serve()
    reply = server.ask("/a.txt", "OPTIONS")
    assert (reply.status, reply["Allow"]) == (204, "GET, HEAD, OPTIONS")
    for method in ("POST", "PUT", "DELETE", "CONNECT", "TRACE", "BREW"):
        reply = server.ask("/a.txt", method)
        assert (reply.status, reply["Allow"]) == (405, "GET, HEAD, OPTIONS"), method
    answer = server.raw(b"POST /a.txt HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n")
    assert b" 405 " in answer.splitlines()[0]
    answer = server.raw(b"GET /a.txt HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nGET /")
    assert b" 413 " in answer.splitlines()[0] and answer.count(b"HTTP/1.1") == 1


def test_what_is_no_request_gets_an_answer_or_the_door(serve):
    server = serve()
    assert b" 400 " in server.raw(b"GET /a.txt HTTP/1.1\r\n\r\n").splitlines()[0]  # no Host
    for request in (b"GET\r\n\r\n", b"GET \r\n\r\n", b"GET /a.txt HTTP/9.9\r\nHost: x\r\n\r\n", b"\0\0\0\0\r\n\r\nGET\r\n"):
        assert b" 200 " not in server.raw(request)
    long = server.raw(b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n")
    assert b" 414 " in long[:20] or long == b""
    many = server.raw(b"GET /a.txt HTTP/1.1\r\nHost: x\r\n" + b"A: b\r\n" * 20_000 + b"\r\n")
    assert b" 431 " in many[:20] or many == b""
    assert server.ask("/" + "a" * 5000).status == 414
    assert server.ask("/" + "a" * 300).status == 404
    assert server.ask("/a.txt").status == 200


# Conditions


def test_conditions(serve):
    server = serve()
    tag = server.ask("/a.txt")["ETag"]
    for fields, status in [
            ({"If-None-Match": tag}, 304), ({"If-None-Match": "W/" + tag}, 304), ({"If-None-Match": '"x", ' + tag}, 304),
            ({"If-None-Match": "*"}, 304), ({"If-None-Match": '"x"'}, 200),
            ({"If-Modified-Since": email.utils.formatdate(OLD, usegmt=True)}, 304),
            ({"If-Modified-Since": email.utils.formatdate(OLD - 1, usegmt=True)}, 200), ({"If-Modified-Since": "tomorrow"}, 200),
            ({"If-None-Match": '"x"', "If-Modified-Since": email.utils.formatdate(OLD, usegmt=True)}, 200),
            ({"If-Match": tag}, 200), ({"If-Match": '"x"'}, 412), ({"If-Match": "*"}, 200), ({"If-Match": "W/" + tag}, 412),
            ({"If-Unmodified-Since": email.utils.formatdate(OLD, usegmt=True)}, 200),
            ({"If-Unmodified-Since": email.utils.formatdate(OLD - 1, usegmt=True)}, 412)]:
        reply = server.ask("/a.txt", **fields)
        assert reply.status == status, fields
        if status == 304:
            assert (reply.body, reply["ETag"]) == (b"", tag) and reply["Content-Length"] in (None, "13")


def test_the_tag_is_the_version(serve, www):
    server = serve()
    tags = {server.ask("/a.txt")["ETag"]}
    write(www / "a.txt", b"HELLO, world\n", OLD + 1)  # the same size
    tags.add(server.ask("/a.txt")["ETag"])
    write(www / "new", b"HELLO, world\n", OLD + 1).rename(www / "a.txt")  # the same size and time
    tags.add(server.ask("/a.txt")["ETag"])
    assert len(tags) == 3 and not any(tag.startswith("W/") for tag in tags)


def test_a_file_that_may_still_change_has_no_strong_tag(serve, www):
    server = serve()
    write(www / "a.txt", b"x" * 100, int(time.time()))  # without a fraction: a clock that ticks once a second
    tag = server.ask("/a.txt")["ETag"]
    assert tag.startswith('W/"')
    assert server.ask("/a.txt", Range="bytes=0-1", If_Range=tag).status == 200
    assert server.ask("/a.txt", If_None_Match=tag).status == 304


def test_if_range(serve):
    server = serve()
    first = server.ask("/noise")
    for value, status in [(first["ETag"], 206), ('"x"', 200), ("W/" + first["ETag"], 200), (first["Last-Modified"], 206),
                          (email.utils.formatdate(OLD + 1, usegmt=True), 200), ("nonsense", 200)]:
        assert server.ask("/noise", Range="bytes=5-9", If_Range=value).status == status, value


# Ranges


@pytest.mark.parametrize("field, first, last", [
    ("bytes=0-0", 0, 0), ("bytes=5-9", 5, 9), ("bytes=99999-", 99_999, 99_999), ("bytes=-10", 99_990, 99_999),
    ("bytes=-999999", 0, 99_999), ("bytes=50-99999999999999999999999999", 50, 99_999), ("Bytes=1-2", 1, 2), ("bytes= 1-2 ,", 1, 2),
    ("bytes=0-9,5-19", 0, 19), ("bytes=10-19,0-9", 0, 19), ("bytes=0-9,999999-", 0, 9)])
def test_one_range(serve, field, first, last):
    reply = serve().ask("/noise", Range=field)
    assert (reply.status, reply["Content-Range"]) == (206, "bytes %d-%d/100000" % (first, last))
    assert reply.body == noise(100_000)[first:last + 1]


@pytest.mark.parametrize("field", ["bytes=100000-", "bytes=-0", "bytes=200000-300000", "bytes=100000-,-0"])
def test_no_byte_of_it(serve, field):
    reply = serve().ask("/noise", Range=field)
    assert (reply.status, reply["Content-Range"]) == (416, "bytes */100000")


@pytest.mark.parametrize("field", ["bytes=9-5", "bytes=", "bytes=x", "bytes=1-2-3", "lines=0-1", "bytes 0-1", "bytes=0x1-2", "bytes=-",
                                   "bytes=" + ",".join("%d-%d" % (2 * i, 2 * i) for i in range(65)), "bytes=" + "0-," * 200])
def test_what_is_no_range_gets_the_whole(serve, field):
    reply = serve().ask("/noise", Range=field)
    assert (reply.status, len(reply.body)) == (200, 100_000)


def test_range_is_for_get_alone(serve):
    reply = serve().ask("/noise", "HEAD", Range="bytes=0-9")
    assert (reply.status, reply["Content-Length"]) == (200, "100000")


def test_several_ranges(serve, certificates):
    data = noise(100_000)
    cert, key = certificates.pairs["good"]
    for server in (serve(), serve("--tls-cert", cert, "--tls-key", key, tls=True)):
        reply = server.ask("/noise", Range="bytes=90000-99999, 0-9, -5, 40-49, 45-60000")
        assert reply.status == 206 and int(reply["Content-Length"]) == len(reply.body)
        wanted = [(90_000, 99_999), (0, 9), (40, 60_000)]  # joined where they touch, otherwise in the order of asking
        assert parts_of(reply) == [(lo, hi, 100_000, data[lo:hi + 1]) for lo, hi in wanted]


def test_never_more_than_the_whole(serve):
    field = "bytes=" + ",".join("%d-" % i for i in range(64))
    reply = serve().ask("/noise", Range=field)
    assert (reply.status, reply["Content-Range"]) == (206, "bytes 0-99999/100000")


# Digests


def digest_field(data):
    return "sha-256=:%s:" % base64.b64encode(hashlib.sha256(data).digest()).decode()


def test_digest_comes_when_it_is_known(serve, www):
    server = serve()
    for data in (noise(3 * MB, 2), noise(3 * MB, 3)):
        write(www / "big", data, OLD + data[0])
        assert server.ask("/big").body == data
        wait_for(lambda: server.ask("/big", "HEAD")["Repr-Digest"] == digest_field(data), "the digest")
        assert server.ask("/big", Range="bytes=0-0")["Repr-Digest"] == digest_field(data)


def test_one_request_is_enough_for_the_digest_of_a_new_file(serve, www, place):
    kept = place / "digests"
    server = serve("--digest-cache", kept)
    write(www / "new", b"just now", time.time())
    assert server.ask("/new")["Repr-Digest"] is None
    wait_for(lambda: hashlib.sha256(b"just now").hexdigest() in kept.read_text(), "the digest")
    assert server.ask("/new")["Repr-Digest"] == digest_field(b"just now")


def test_no_digest(serve):
    server = serve("--no-digest")
    for _ in range(20):
        assert server.ask("/a.txt")["Repr-Digest"] is None


def test_digests_are_kept(serve, place):
    kept = place / "digests"
    server = serve("--digest-cache", kept)
    wait_for(lambda: server.ask("/noise")["Repr-Digest"], "the digest")
    server.stop()
    with open(kept, "a") as f:
        f.write("nonsense\n1 2 3\n\0\n")
    server = serve("--digest-cache", kept)
    assert server.ask("/noise")["Repr-Digest"] == digest_field(noise(100_000))
    assert len(kept.read_text().splitlines()) == 4


# Directories


def test_listing_for_people(serve, www):
    odd = "<b>&\"' odd%2F.txt"
    write(www / odd, b"1234")
    write(www / ".hidden", b"")
    (www / "sub").mkdir()
    reply = serve().ask("/")
    text = reply.body.decode()
    assert reply.status == 200 and reply["Content-Type"] == "text/html; charset=utf-8"
    assert "<b>" not in text and "&lt;b&gt;&amp;&quot;&#39; odd%2F.txt" in text
    assert 'href="./%3Cb%3E%26%22%27%20odd%252F.txt"' in text and 'href="./sub/"' in text
    assert ".hidden" not in text and "../" not in text


def test_listing_for_programs(serve, www):
    write(www / "sub" / "x", b"abc")
    (www / os.fsdecode(b"\xff")).write_bytes(b"odd")
    os.mkfifo(www / "fifo")
    os.symlink("/etc", www / "etc")
    os.symlink("a.txt", www / "link")
    server = serve()
    wait_for(lambda: server.ask("/a.txt")["Repr-Digest"], "the digest")
    reply = server.ask("/", Accept="application/json")
    assert reply["Content-Type"] == "application/json" and "Accept" in reply["Vary"]
    listed = json.loads(reply.body)
    assert (listed["path"], listed["truncated"]) == ("/", False)
    entries = {e["href"]: e for e in listed["entries"]}
    assert list(entries) == ["sub/", "a.txt", "empty", "link", "noise", "%FF"]
    assert entries["a.txt"] == {"name": "a.txt", "href": "a.txt", "type": "file", "size": 13, "modified": "2020-09-13T12:26:40Z",
                                "sha-256": hashlib.sha256(b"hello, world\n").hexdigest()}
    assert entries["sub/"]["type"] == "directory" and "size" not in entries["sub/"]
    assert entries["%FF"]["name"] == "\ufffd"
    assert server.ask("/%FF").body == b"odd"
    assert json.loads(server.ask("/sub/?format=json").body)["entries"][0]["size"] == 3


def test_a_listing_has_an_end(serve, www):
    (www / "many").mkdir()
    for i in range(10_001):
        (www / "many" / ("f%d" % i)).touch()
    server = serve()
    listed = json.loads(server.ask("/many/?format=json").body)
    assert listed["truncated"] and len(listed["entries"]) == 10_000
    assert b"Only 10000 entries" in server.ask("/many/").body


def test_index_and_slash(serve, www):
    write(www / "sub" / "index.html", b"<p>index")
    write(www / "q?#" / "x", b"")
    server = serve()
    assert server.ask("/sub/").body == b"<p>index"
    assert json.loads(server.ask("/sub/?format=json").body)["entries"][0]["name"] == "index.html"
    for asked, sent in [("/sub", "/sub/"), ("//sub", "/sub/"), ("/q%3F%23?x", "/q%3F%23/")]:
        reply = server.ask(asked)
        assert (reply.status, reply["Location"]) == (301, sent)
    assert server.ask("/a.txt/").status == 404


def test_no_listing(serve, www):
    write(www / "sub" / "index.html", b"<p>index")
    server = serve("--no-listing")
    assert server.ask("/").status == 403
    assert server.ask("/sub/").body == b"<p>index"


# What must not be served


@pytest.fixture
def secret(place, www):
    write(place / "secret", b"SECRET")
    write(place / "outside" / "secret", b"SECRET")
    write(www / ".git" / "config", b"SECRET")
    write(www / "sub" / "x", b"fine")
    os.symlink("../secret", www / "up")
    os.symlink(place / "secret", www / "absolute")
    os.symlink("../outside", www / "updir")
    os.symlink("sub/../../secret", www / "roundabout")
    os.symlink("loop", www / "loop")
    os.symlink("/proc/self/root" + str(place), www / "magic")
    os.symlink("sub/x", www / "fine")


@pytest.mark.parametrize("target, status", [
    ("/../secret", 400), ("/sub/../../secret", 400), ("/%2e%2e/secret", 400), ("/.%2E/secret", 400), ("/..%2fsecret", 400),
    ("/%2e%2e%2fsecret", 400), ("/sub/..", 400), ("/..", 400), ("/a.txt%00", 400), ("/%00", 400), ("/a%2", 400), ("/%zz", 400),
    ("/..%5csecret", 404), ("/%252e%252e/secret", 404), ("/..%c0%afsecret", 404), ("/....//secret", 404),
    ("/.git/config", 404), ("/%2egit/config", 404), ("/.git/", 404), ("/up", 404), ("/absolute", 404), ("/updir/secret", 404),
    ("/updir/", 404), ("/roundabout", 404), ("/loop", 404), ("/magic/secret", 404), ("/fine", 200), ("/sub/x", 200)])
def test_ways_out(serve, secret, target, status):
    answer = serve().raw(b"GET %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n" % target.encode())
    assert b" %d " % status in answer.splitlines()[0]
    assert b"SECRET" not in answer


def test_dotfiles_on_request(serve, secret):
    server = serve("--dotfiles")
    assert server.ask("/.git/config").body == b"SECRET"
    assert server.ask("/../secret").status == 400
    assert any(e["name"] == ".git" for e in json.loads(server.ask("/?format=json").body)["entries"])


def test_a_fifo_is_not_touched(serve, www):
    os.mkfifo(www / "fifo")
    os.chmod(www / "fifo", 0o644)
    server = serve()
    assert server.ask("/fifo").status == 403
    with pytest.raises(OSError):  # nobody has it open for reading
        os.open(www / "fifo", os.O_WRONLY | os.O_NONBLOCK)
    with contextlib.closing(socket.socket(socket.AF_UNIX)) as s:
        s.bind(str(www / "socket"))
        assert server.ask("/socket").status == 403


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_what_the_user_may_not_read(serve, www):
    write(www / "private", b"SECRET").chmod(0o600)
    server = serve()
    assert server.told["user"] == "nobody"
    assert server.ask("/private").status == 403


# Files that change while they are served


@pytest.mark.parametrize("scheme", ["plain", "tls"])
def test_a_file_that_is_cut_short(serve, www, certificates, scheme):
    write(www / "large", noise(64 * MB))
    cert, key = certificates.pairs["good"]
    server = serve(*(["--tls-cert", cert, "--tls-key", key] if scheme == "tls" else []), tls=scheme == "tls")
    with server.connect(receive_buffer=16384) as s:
        s.sendall(b"GET /large HTTP/1.1\r\nHost: x\r\n\r\n")
        got = len(s.recv(1000))
        os.truncate(www / "large", 10 * MB)
        began = time.monotonic()
        got += len(read_all(s))
        assert got < 64 * MB and time.monotonic() - began < 10
    assert server.ask("/a.txt").status == 200
    assert server.ask("/large")["Content-Length"] == "10000000"


def test_a_file_that_is_replaced_is_finished(serve, www):
    data = noise(32 * MB)
    write(www / "large", data)
    server = serve()
    with server.connect(receive_buffer=16384) as s:
        s.sendall(b"GET /large HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        got = s.recv(1000)
        write(www / "new", noise(32 * MB, 2)).rename(www / "large")
        got += read_all(s)
    assert got.partition(b"\r\n\r\n")[2] == data


# Limits


def test_a_head_that_drips(serve):
    server = serve("--request-timeout", "1")
    with server.connect() as silent, server.connect() as dripping:
        began = time.monotonic()
        dripping.sendall(b"GET /a.txt HTTP/1.1\r\nHost: x\r\n")
        with contextlib.suppress(ConnectionError):
            while time.monotonic() - began < 10:
                dripping.sendall(b"A: b\r\n")
                dripping.settimeout(0.2)
                with contextlib.suppress(TimeoutError):
                    if not dripping.recv(100):
                        break
        assert time.monotonic() - began < 5
        assert read_all(silent) == b""
        assert time.monotonic() - began < 5
    assert server.ask("/a.txt").status == 200


def test_idle_connections_end(serve):
    server = serve("--idle-timeout", "1")
    with server.connect() as s:
        s.sendall(b"GET /a.txt HTTP/1.1\r\nHost: x\r\n\r\n")
        began = time.monotonic()
        assert read_all(s).endswith(b"hello, world\n")
        assert 0.9 < time.monotonic() - began < 5


def test_a_client_that_takes_nothing(serve, www):
    write(www / "large", noise(64 * MB))
    server = serve("--stall-timeout", "1")
    before = server.descriptors()
    with server.connect(receive_buffer=16384) as s:
        s.sendall(b"GET /large HTTP/1.1\r\nHost: x\r\n\r\n")
        wait_for(lambda: server.descriptors() > before, "the answer")
        wait_for(lambda: server.descriptors() == before, "the end of the connection", timeout=8)


def test_connections_at_once(serve):
    server = serve("--connections", "4", "--idle-timeout", "60")
    held = [server.connect() for _ in range(4)]
    for s in held:  # answered, so that they are there
        s.sendall(b"GET /a.txt HTTP/1.1\r\nHost: x\r\n\r\n")
        assert s.recv(1000)
    with server.connect() as fifth:
        assert read_all(fifth) == b""
    # Those who are idle give way to others before long.
    wait_for(lambda: b"200 OK" in server.raw(b"GET /a.txt HTTP/1.0\r\n\r\n"), "a place", timeout=8, every=0.2)
    for s in held:
        s.close()


def test_connections_of_one_address(serve):
    server = serve("--connections-per-address", "2")
    held = [server.connect() for _ in range(2)]
    with server.connect() as third:
        assert read_all(third) == b""
    held.pop().close()
    wait_for(lambda: b"200 OK" in server.raw(b"GET /a.txt HTTP/1.0\r\n\r\n"), "a place", timeout=8)
    held.pop().close()


def test_nothing_is_left_behind(serve, www):
    write(www / "large", noise(8 * MB))
    server = serve()
    before = server.descriptors()
    for i in range(60):
        with server.connect(receive_buffer=16384) as s:
            s.sendall(b"GET /large HTTP/1.1\r\nHost: x\r\n" + (b"Range: bytes=0-1,5-9000\r\n" if i % 2 else b"") + b"\r\n")
            s.recv(100)
        assert server.ask("/", "GET", Accept="application/json").status == 200
    wait_for(lambda: server.descriptors() == before, "as many descriptors as before")


# Listening, leaving, reloading


def test_where_it_listens(serve):
    server = serve(listen=(HOST + ":0", "[::1]:0", "localhost:0"))
    assert server.told["event"] == "listening" and len(server.told["ports"]) >= 3
    assert server.told["urls"][0] == "http://127.0.0.1:%d/" % server.port
    assert server.told["addresses"][0] == "127.0.0.1:%d" % server.port
    assert server.told["urls"][1] == "http://[::1]:%d/" % server.told["ports"][1]
    with server.connect(host="::1", port=server.told["ports"][1]) as s:
        s.sendall(b"GET /a.txt HTTP/1.0\r\n\r\n")
        assert b"200 OK" in read_all(s)


def test_every_address_with_one_port(serve):
    server = serve(listen=(":0",))
    assert len(set(server.told["ports"])) == 1
    assert server.ask("/a.txt").status == 200


def failed(plait, *args):
    result = plait.start("serve", *args).finish()
    lines = [line for line in result.err.splitlines() if line.startswith("plait serve: ")]
    assert lines, result
    return result.status, lines[-1]


def test_a_port_that_is_taken(serve, plait, www):
    port = serve().port
    status, text = failed(plait, www, "--listen", "%s:%d" % (HOST, port))
    assert status == 1 and "%s:%d" % (HOST, port) in text and "--listen" in text


def test_bad_usage(plait, www, certificates):
    for args in ([], [www, www], [www, "--listen", "8080"], [www, "--listen", "::1:80"], [www, "--listen", HOST + ":99999"],
                 [www, "--connections", "0"], [www, "--grace", "x"], [www, "--tls-cert", certificates.pairs["good"][0]],
                 [www, "--log-format", "xml"], [www, "--cert", "x", "--key", "y"], [www, "--secret-file", "x"]):
        assert failed(plait, *args)[0] == 2, args
    result = plait.start("serve", www, "--nonsense").finish()
    assert result.status == 2 and result.err.startswith("plait serve: unrecognized"), result
    result = plait.start("serve", "--help").finish()
    assert result.status == 0 and b"--listen" in result.out


def test_what_cannot_be_had(plait, www, place, certificates):
    there = ["--listen", HOST + ":0"]
    for folder in (place / "nowhere", www / "a.txt"):
        status, text = failed(plait, folder, *there)
        assert status == 1 and "give a folder" in text and "--user" not in text, text
    assert failed(plait, www, *there, "--access-log", place / "no" / "log")[0] == 1
    assert failed(plait, www, "--listen", "192.0.2.1:0")[0] == 1
    status, text = failed(plait, www, *there, "--user", "no-such-user")
    assert status == 1 and "no-such-user" in text
    good, own = certificates.pairs["good"], certificates.pairs["own"]
    for cert, key, word in [(good[0], place / "nowhere", "nowhere"), (good[0], own[1], "does not hold the key"),
                            (www / "a.txt", good[1], "PEM")]:
        status, text = failed(plait, www, *there, "--tls-cert", cert, "--tls-key", key)
        assert status == 1 and word in text


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_a_folder_that_nobody_may_read(plait, www):
    www.chmod(0o700)
    status, text = failed(plait, www, "--listen", HOST + ":0")
    assert status == 1 and "nobody" in text and "--user" in text
    server = Served(plait, www, "--user", "root")
    assert server.told["user"] == "root" and server.ask("/a.txt").status == 200


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_no_privilege_is_kept(serve):
    server = serve()
    for task in os.listdir("/proc/%d/task" % server.run.pid):
        status = open("/proc/%d/task/%s/status" % (server.run.pid, task)).read()
        assert re.search(r"^Uid:(\t65534){4}$", status, re.M), status
        assert re.findall(r"^Cap(?:Prm|Eff|Bnd|Amb):\t0*$", status, re.M).__len__() == 4, status
        assert "NoNewPrivs:\t1" in status


def test_leaving_lets_answers_end(serve, www):
    data = noise(16 * MB)
    write(www / "large", data)
    server = serve()
    idle = server.connect()
    idle.sendall(b"GET /a.txt HTTP/1.1\r\nHost: x\r\n\r\n")
    assert idle.recv(10) == b"HTTP/1.1 2"  # the rest is there with it, or follows
    with server.connect(receive_buffer=16384) as s:
        s.sendall(b"GET /large HTTP/1.1\r\nHost: x\r\n\r\n")
        got = s.recv(1000)
        server.run.kill(signal.SIGTERM)
        assert read_all(idle).endswith(b"hello, world\n")
        with pytest.raises(ConnectionRefusedError):
            server.connect()
        assert server.run.running()
        got += read_all(s)
    assert got.partition(b"\r\n\r\n")[2] == data
    assert server.run.finish(5).status == 0


@pytest.mark.parametrize("how", ["grace", "twice"])
def test_leaving_does_not_wait_for_ever(serve, www, how):
    write(www / "large", noise(16 * MB))
    server = serve("--grace", "0.5" if how == "grace" else "1000")
    with server.connect(receive_buffer=16384) as s:
        s.sendall(b"GET /large HTTP/1.1\r\nHost: x\r\n\r\n")
        s.recv(1000)
        server.run.kill(signal.SIGINT)
        with pytest.raises(ConnectionRefusedError):
            wait_for(lambda: server.connect().close(), "refusal")
        if how == "twice":
            server.run.kill(signal.SIGINT)
        assert server.run.finish(5).status == 0


# The log


def log_lines(path, count):
    return wait_for(lambda: (lines := path.read_text().splitlines()) and len(lines) >= count and lines, "%d lines" % count)


def test_log_for_people(serve, place):
    log = place / "log"
    server = serve("--access-log", log)
    server.raw(b'GET /a.txt?"x HTTP/1.0\r\nReferer: \x1b[31m"\\\r\nUser-Agent: some thing\r\n\r\n')
    line = log_lines(log, 1)[0]
    assert re.fullmatch(r'127\.0\.0\.1 - - \[\d\d/\w{3}/\d{4}:\d\d:\d\d:\d\d [+-]\d{4}\] "GET /a\.txt\?\\x22x HTTP/1\.0" 200 13 '
                        r'"\\x1b\[31m\\x22\\x5c" "some thing"', line), line


def test_log_for_programs(serve, www, place):
    write(www / "large", noise(16 * MB))
    log = place / "log"
    server = serve("--access-log", log, "--log-format", "json")
    server.ask("/noise", Range="bytes=0-9", User_Agent='a"\t\xe9')
    server.ask("/nothing")
    with server.connect(receive_buffer=16384) as s:
        s.sendall(b"GET /large HTTP/1.1\r\nHost: x\r\n\r\n")
        s.recv(1000)
    lines = {line["target"]: line for line in map(json.loads, log_lines(log, 3))}
    part, nothing, broken = lines["/noise"], lines["/nothing"], lines["/large"]
    assert (part["peer"], part["method"], part["target"], part["range"]) == (HOST, "GET", "/noise", "bytes=0-9")
    assert (part["status"], part["sent"], part["complete"], part["tls"]) == (206, 10, True, False)
    assert part["agent"].startswith('a"\t') and abs(part["time"] - time.time()) < 60 and 0 <= part["seconds"] < 5
    assert (nothing["status"], nothing["complete"]) == (404, True)
    assert (broken["status"], broken["complete"]) == (200, False) and 0 < broken["sent"] < 16 * MB


def test_log_is_opened_again(serve, place):
    logs = place / "logs"
    logs.mkdir()
    logs.chmod(0o777)
    server = serve("--access-log", logs / "log")
    server.ask("/a.txt")
    log_lines(logs / "log", 1)
    (logs / "log").rename(logs / "log.1")
    server.run.kill(signal.SIGHUP)
    wait_for(lambda: server.ask("/a.txt") and (logs / "log").exists(), "a new file")
    log_lines(logs / "log", 1)
    assert "cannot" not in server.run.err


def test_a_log_that_nobody_reads_holds_up_nothing(serve):
    server = serve("--access-log", "-")
    for _ in range(10):
        with contextlib.closing(server.client()) as client:
            for _ in range(400):
                client.request("GET", "/a.txt?" + "x" * 200)
                assert Reply(client.getresponse()).status == 200
    server.stop()


# TLS


def serial_of(s):
    return hashlib.sha256(s.getpeercert(True)).hexdigest()


@pytest.fixture
def pair(place, certificates):
    """cert and key that root alone may read; pair(name) replaces them as a renewal does."""
    cert, key = place / "cert.pem", place / "key.pem"

    def renew(name):
        for source, target in zip(certificates.pairs[name], (cert, key)):
            fresh = write(target.with_suffix(".new"), source.read_bytes())
            fresh.chmod(0o600)
            fresh.rename(target)
        return cert, key

    return renew


def serve_tls(serve, pair, *options):
    cert, key = pair("good")
    return serve("--tls-cert", cert, "--tls-key", key, *options, tls=True)


def test_tls(serve, certificates):
    cert, key = certificates.pairs["good"]
    server = serve("--tls-cert", cert, "--tls-key", key, listen=("127.0.0.11:0",), tls=True)
    context = ssl.create_default_context(cafile=certificates.ca)
    assert server.told["urls"][0].startswith("https://")
    with socket.create_connection(("127.0.0.11", server.port), timeout=10) as plain:
        with context.wrap_socket(plain, server_hostname="127.0.0.11") as s:
            assert s.version() == "TLSv1.3"
            s.sendall(b"GET /a.txt HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            assert read_all(s).endswith(b"hello, world\n")
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    with socket.create_connection(("127.0.0.11", server.port), timeout=10) as plain:
        with context.wrap_socket(plain, server_hostname="127.0.0.11") as s:
            assert s.version() == "TLSv1.2"


def test_a_session_is_resumed(serve, pair):
    server = serve_tls(serve, pair)
    context = trusting()
    with server.connect(context=context) as s:
        s.sendall(b"GET /a.txt HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        read_all(s)
        session = s.session
    with socket.create_connection((HOST, server.port), timeout=10) as plain:
        with context.wrap_socket(plain, session=session) as s:
            assert s.session_reused


@pytest.mark.parametrize("how", ["signal", "alone"])
def test_a_new_certificate(serve, pair, how):
    server = serve_tls(serve, pair)
    with contextlib.closing(server.client()) as client:
        old = serial_of(client.sock)
        pair("own")
        if how == "signal":
            server.run.kill(signal.SIGHUP)

        def renewed():
            with server.connect() as s:
                return serial_of(s) != old

        wait_for(renewed, "the new certificate", every=0.1)
        client.request("GET", "/a.txt")
        assert Reply(client.getresponse()).status == 200 and serial_of(client.sock) == old
    server.stop()


def test_a_bad_new_certificate_changes_nothing(serve, pair, place):
    server = serve_tls(serve, pair)
    (place / "cert.pem").write_text("nonsense")
    server.run.kill(signal.SIGHUP)
    wait_for(lambda: "the old certificate stays" in server.run.err, "a complaint")
    assert server.ask("/a.txt").status == 200
    (place / "cert.pem").unlink()
    server.run.kill(signal.SIGHUP)
    wait_for(lambda: server.run.err.count("the old certificate stays") == 2, "a second complaint")
    assert server.ask("/a.txt").status == 200
    assert len(server.run.err.splitlines()) == 2


def test_plain_http_at_a_tls_port(serve, pair):
    server = serve_tls(serve, pair)
    with socket.create_connection((HOST, server.port), timeout=10) as s:
        s.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert b"200" not in read_all(s)
    assert server.ask("/a.txt").status == 200


def test_the_keeper_ends_with_the_server(serve, pair):
    server = serve_tls(serve, pair)
    children = open("/proc/%d/task/%d/children" % (server.run.pid, server.run.pid)).read().split()
    assert len(children) == (1 if os.geteuid() == 0 else 0)
    server.run.kill(signal.SIGKILL)
    server.run.finish()
    for child in children:
        wait_for(lambda: not os.path.exists("/proc/" + child), "the end of the keeper")


# Other clients


def curl(*args):
    done = subprocess.run(["curl", "-q", "-s", "-f", "--noproxy", "*", "-m", "30", *map(str, args)], capture_output=True)
    assert done.returncode == 0, done
    return done.stdout


def test_curl_resumes_and_asks_again(serve, www, place):
    data = write(www / "large", noise(5 * MB)).read_bytes()
    server = serve()
    out, tag = place / "out", place / "tag"
    out.write_bytes(data[:1_234_567])
    curl("-C", "-", "-o", out, server.url("/large"))
    assert out.read_bytes() == data
    for expected in ("200", "304"):
        code = curl("--etag-save", tag, "--etag-compare", tag, "-o", "/dev/null", "-w", "%{http_code}", server.url("/large"))
        assert code.decode() == expected


def test_wget_mirrors_a_tree(serve, www, place):
    write(www / "sub" / "deep" / "x y&z", b"deep")
    server = serve()
    subprocess.run(["wget", "-q", "--no-config", "--no-proxy", "-r", "-np", "-nH", "-e", "robots=off", "-P", place / "mirror", server.url()],
                   check=True, timeout=30)
    assert (place / "mirror" / "sub" / "deep" / "x y&z").read_bytes() == b"deep"
    assert (place / "mirror" / "noise").read_bytes() == noise(100_000)


def test_aria2_with_sixteen_connections(serve, www, place, certificates):
    data = write(www / "large", noise(32 * MB)).read_bytes()
    cert, key = certificates.pairs["own"]
    for server in (serve(), serve("--tls-cert", cert, "--tls-key", key, tls=True)):
        subprocess.run(["aria2c", "--no-conf", "-q", "-x16", "-s16", "-k1M", "--check-certificate=false", "--allow-overwrite=true",
                        "--max-tries=1", "-d", place, "-o", "out", server.url("/large")], check=True, timeout=60)
        assert (place / "out").read_bytes() == data
