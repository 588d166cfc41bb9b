"""plait serve tells what it holds: a director, as it changes, and whoever asks on the local network."""
import os
import signal
import struct
import subprocess
import sys
import time

import pytest

from stream_client import Group, joined
from support import assert_says, closed_port, wait_for
from test_direct import SECRETS, context_of, director, sha256  # noqa: F401  (one is a fixture)
from test_serve import HOST, Served, noise, write


@pytest.fixture
def www(place):
    folder = place / "www"
    folder.mkdir()
    write(folder / "film.mkv", noise(100_000))
    write(folder / "sub" / "deep" / "a b.txt", b"hello")
    write(folder / ".hidden", b"secret")
    write(folder / ".d" / "x", b"secret")
    return folder


@pytest.fixture
def serve(plait, www):
    return lambda *options, **more: Served(plait, www, *options, **more)


@pytest.fixture
def registered(serve, director, place):
    """registered(options): a director, and a server that has registered with it as farm."""
    secret = place / "secret"
    secret.write_bytes(b"farm:" + SECRETS["farm"] + b"\n")
    secret.chmod(0o600)

    def make(*options, d=None, **more):
        d = d or director()
        server = serve("--director", d.url, "--secret-file", secret, "--name", "farm", *options, **more)
        wait_for(lambda: "farm" in [s["server"] for s in d.get("/", "application/json").json["servers"]], "to register", server.run)
        return d, server

    return make


def names(d):
    return sorted(s["name"] for s in d.get("/", "application/json").json["streams"])


def version(d, name):
    """(size, sha-256) of the one version of the stream, None where it is not known."""
    answer = d.find(name)
    if answer.status != 200 or len(answer.json["versions"]) != 1:
        return None
    found = answer.json["versions"][0]
    return found.get("size"), found.get("digests", {}).get("sha-256")


def wait_version(d, name, content):
    wait_for(lambda: version(d, name) == (len(content), sha256(content)), "%s to be told; it is %r" % (name, version(d, name)))


def test_what_lies_there_is_told_with_size_and_digest(registered, www):
    d, server = registered()
    wait_for(lambda: names(d) == ["film.mkv", "sub/deep/a b.txt"], "the names")
    wait_version(d, "film.mkv", noise(100_000))
    wait_version(d, "sub/deep/a%20b.txt", b"hello")
    source = d.find("sub/deep/a%20b.txt").json["versions"][0]["sources"][0]
    assert source == {"server": "farm", "url": "http://%s:%d/sub/deep/a%%20b.txt" % (HOST, server.port), "healthy": True}
    redirect = d.get("/film.mkv")
    assert redirect.status == 302 and redirect.fields["location"] == server.url("/film.mkv")


def test_every_change_is_told(registered, www, place):
    d, server = registered("--no-digest")
    size = lambda name: (version(d, name) or [None])[0]
    wait_for(lambda: size("film.mkv") == 100_000, "the beginning")
    write(www / "new", b"12345")
    wait_for(lambda: size("new") == 5, "a new file")
    write(www / "new", b"1234567")
    wait_for(lambda: size("new") == 7, "a new version")
    (www / "new").rename(www / "newer")
    wait_for(lambda: size("newer") == 7 and version(d, "new") is None, "a renamed file")
    write(place / "aside", b"123456789").rename(www / "newer")
    wait_for(lambda: size("newer") == 9, "a file that was moved over it")
    (www / "newer").unlink()
    wait_for(lambda: version(d, "newer") is None, "a removed file")
    write(www / "x" / "y" / "z", b"xyz")
    wait_for(lambda: size("x/y/z") == 3, "a new folder")
    (www / "x").rename(www / "w")
    wait_for(lambda: size("w/y/z") == 3 and version(d, "x/y/z") is None, "a renamed folder")
    write(www / "w" / "y" / "v", b"xyzw")
    wait_for(lambda: size("w/y/v") == 4 and version(d, "x/y/v") is None, "a file in a renamed folder")
    (www / "w").rename(place / "w")
    wait_for(lambda: version(d, "w/y/z") is None, "a folder moved away")
    write(place / "w" / "y" / "u", b"x")
    (place / "w").rename(www / "w")
    wait_for(lambda: size("w/y/u") == 1 and size("w/y/z") == 3, "a folder moved in")
    (www / "link").symlink_to("film.mkv")
    wait_for(lambda: size("link") == 100_000, "a link")
    (www / "out").symlink_to("/etc/passwd")
    write(www / ".dot", b"x")
    write(www / "last", b"x")
    wait_for(lambda: size("last") == 1, "the last one")
    assert version(d, "out") is None and names(d) == ["film.mkv", "last", "link", "sub/deep/a b.txt", "w/y/u", "w/y/v", "w/y/z"]


def test_a_file_that_is_being_written_has_no_size_until_it_is_closed(registered, www):
    d, server = registered()
    wait_for(lambda: version(d, "film.mkv"), "the beginning")
    with open(www / "live", "wb", buffering=0) as f:
        f.write(b"begin")
        wait_for(lambda: version(d, "live") == (None, None), "it to be told without size")
        f.write(b"end")
    wait_version(d, "live", b"beginend")


def test_frames_know_what_the_contents_know(registered, www):
    """The server's user is nobody, to whom the kernel does not tell who writes."""
    d, server = registered("--user", "nobody")
    with open(www / "live", "wb", buffering=0) as f:
        f.write(noise(10_000))
        wait_for(lambda: version(d, "live") == (None, None), "it to be told without size")
        time.sleep(2.2)  # longer than a fresh file is thought to be written
        a = Group(server.connect, "/live", block=4096).open("A", span="0-")
        assert a.size is None and a.fields["etag"].startswith('"live-')
    began = time.monotonic()
    assert joined([a.run()], 3) == noise(10_000)
    wait_for(lambda: (version(d, "live") or [0])[0] == 10_000, "it to be closed")
    b = Group(server.connect, "/live", block=4096).open("A", span="0-").run()
    assert b.fields["plait-size"] == "10000" and joined([b], 3) == noise(10_000)
    assert time.monotonic() - began < 2, "nobody had to wait until it was quiet"


def test_a_flood_of_changes_ends_in_the_truth(registered, www):
    d, server = registered("--no-digest")
    wait_for(lambda: names(d), "the beginning")
    script = "import os, sys\nfor i in range(10000):\n p = sys.argv[1] + '/f%d' % (i % 900)\n" \
             " open(p, 'w').close()\n if i % 3 == 0: os.rename(p, p + 'r')\n if i % 7 == 0 and os.path.exists(p): os.unlink(p)\n"
    server.run.kill(signal.SIGSTOP)  # so that the kernel's queue runs over
    subprocess.run([sys.executable, "-I", "-c", script, www], check=True, timeout=30)
    server.run.kill(signal.SIGCONT)
    there = lambda: sorted([p.name for p in www.iterdir() if p.is_file() and p.name[0] != "."] + ["sub/deep/a b.txt"])[:500]
    wait_for(lambda: names(d)[:500] == there(), "the same names", timeout=20)


def test_it_says_goodbye(registered):
    d, server = registered()
    wait_for(lambda: d.sources("film.mkv") == ["farm"], "the stream")
    server.stop()
    assert d.find("film.mkv").status == 404


def test_one_that_was_killed_is_forgotten_in_time(registered):
    d, server = registered("--ttl", 1)
    wait_for(lambda: d.sources("film.mkv") == ["farm"], "the stream")
    time.sleep(1.5)  # longer than it lives without heartbeats
    assert d.sources("film.mkv") == ["farm"], "heartbeats keep it"
    server.run.kill(signal.SIGKILL)
    server.run.finish()
    wait_for(lambda: d.find("film.mkv").status == 404, "it to be forgotten", timeout=5)


def test_a_director_that_begins_anew_is_told_again(registered, director):
    port = closed_port()
    d, server = registered("--ttl", 1, d=director("--listen", "%s:%d" % (HOST, port)))
    wait_version(d, "film.mkv", noise(100_000))
    d.run.kill()
    d.run.finish()
    again = director("--listen", "%s:%d" % (HOST, port))
    wait_for(lambda: again.sources("film.mkv") == ["farm"], "to register again")
    wait_version(again, "film.mkv", noise(100_000))


def test_a_certificate_in_place_of_a_secret(director, serve, authorities):
    ours = authorities[0]
    cert, key = ours.pairs["good"]
    d = director("--tls-cert", cert, "--tls-key", key, "--client-ca", ours.ca, context=context_of(ours))
    cert, key = ours.pairs["client"]
    server = serve("--director", "https://localhost:%d" % d.port, "--cert", cert, "--key", key, "--ca", ours.ca, "--user", "root")
    wait_for(lambda: version(d, "film.mkv") == (100_000, sha256(noise(100_000))), "the stream", server.run)


def test_a_director_that_is_away_stops_nothing(serve, place):
    secret = place / "secret"
    secret.write_text("farm:0123456789abcdef\n")
    server = serve("--director", "http://%s:%d" % (HOST, closed_port()), "--secret-file", secret)
    wait_for(lambda: "director" in server.run.err, "a warning")
    assert server.ask("/film.mkv").status == 200
    server.stop()


def test_get_needs_no_more_than_the_director(registered, plait):
    d, server = registered()
    wait_version(d, "film.mkv", noise(100_000))
    result = plait.get("-q", "-o", "out", d.url + "/film.mkv")
    assert result.status == 0 and plait.file().read_bytes() == noise(100_000), result


@pytest.mark.parametrize("options, words", [
    (["--director", "ftp://x"], "ftp://x"), (["--director", "http://d.example"], "--secret-file"),
    (["--url", "ftp://x"], "--url"), (["--url", "http://x/?y"], "--url"), (["--name", "a b"], "--name"), (["--ttl", "0"], "--ttl"),
    (["--cert", "x"], "--key"), (["--secret-file", "empty"], "empty")])
def test_bad_usage(plait, www, options, words):
    (plait.folder / "empty").write_text("\n")
    if "--director" not in options:
        (plait.folder / "s").write_text("k:0123456789abcdef\n")
        options = [*options, "--director", "http://d.example", *([] if "--secret-file" in options else ["--secret-file", "s"])]
    result = plait.start("serve", www, "--listen", HOST + ":0", *options).finish()
    assert result.status == 2, result
    assert_says(result, words)


def test_every_address_is_none_for_a_director(plait, www):
    (plait.folder / "s").write_text("k:0123456789abcdef\n")
    result = plait.start("serve", www, "--listen", ":0", "--director", "http://d.example", "--secret-file", "s").finish()
    assert result.status == 2, result
    assert_says(result, "--url")


# The local network. Written from doc/protocol.md alone.

GROUP, PORT = "239.255.76.65", 4076
HEAD = struct.Struct(">4sBBH16sQ32s")
ANY = 2**64 - 1


def question(name, nonce=b"n" * 16, size=ANY, digest=None, magic=b"plaq", version=1, kind=None, length=1232):
    raw = name.encode()
    head = HEAD.pack(magic, version, (digest is not None) if kind is None else kind, len(raw), nonce, size, digest or bytes(32))
    return (head + raw).ljust(length, b"\0")[:length]


def read_answer(data):
    magic, version, kind, length, nonce, size, digest = HEAD.unpack_from(data)
    assert (magic, version) == (b"plaa", 1)
    tag_length = data[HEAD.size]
    tag, url = data[HEAD.size + 1:HEAD.size + 1 + tag_length], data[HEAD.size + 1 + tag_length:]
    assert len(url) == length and len(data) <= 1232
    return {"nonce": nonce, "size": size, "sha256": digest if kind & 1 else None, "tag": tag.decode(), "url": url.decode()}


ASKER = r"""
import socket, struct, sys
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, 1)
s.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton(sys.argv[1]))
for line in sys.stdin:
    words = line.split()
    if words[0] == "ask":
        s.sendto(bytes.fromhex(words[2].strip("-")), (words[1], int(sys.argv[2])))
    s.settimeout(float(words[-1]))
    try:
        data, peer = s.recvfrom(65536)
        print(peer[0], data.hex(), flush=True)
    except TimeoutError:
        print("-", flush=True)
"""


class Asker:
    """A socket in the client's namespace."""

    def __init__(self, net):
        command = ["ip", "netns", "exec", net.client, "/usr/bin/python3", "-I", "-c", ASKER, "10.91.1.2", str(PORT)]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def tell(self, line):
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        peer, _, data = self.process.stdout.readline().strip().partition(" ")
        return None if peer == "-" else {**read_answer(bytes.fromhex(data)), "peer": peer, "length": len(data) // 2}

    def ask(self, data, to=GROUP, patience=5.0):
        return self.tell("ask %s %s %f" % (to, data.hex() or "-", patience))

    def more(self, patience=0.3):
        return self.tell("more %f" % patience)

    def close(self):
        self.process.stdin.close()
        self.process.wait(10)
        self.process.stdout.close()


@pytest.fixture
def lan(netns, plait, www):
    """(asker, server) on a link of their own."""
    net = netns(1)
    server = Served(plait, www, "--answer-lan", listen=("10.91.1.1:0",), ns=net.server)
    asker = Asker(net)
    yield net, asker, server
    asker.close()


def test_the_question_on_the_local_network(lan, www):
    net, asker, server = lan
    answer = wait_for(lambda: (a := asker.ask(question("film.mkv"), patience=0.5)) and a["sha256"] and a, "an answer with digest",
                      every=0.3)
    digest = bytes.fromhex(sha256(noise(100_000)))
    assert answer == {"nonce": b"n" * 16, "size": 100_000, "sha256": digest, "tag": answer["tag"], "length": answer["length"],
                      "url": "http://10.91.1.1:%d/film.mkv" % server.port, "peer": "10.91.1.1"}
    assert answer["tag"].startswith('"')
    head = subprocess.run(["ip", "netns", "exec", net.client, "curl", "-sI", answer["url"]], capture_output=True, text=True, timeout=20)
    assert "ETag: " + answer["tag"] in head.stdout
    assert asker.ask(question("sub/deep/a b.txt"))["url"].endswith("/sub/deep/a%20b.txt")
    assert asker.ask(question("film.mkv", size=100_000))["size"] == 100_000
    assert asker.ask(question("another name", digest=digest))["url"].endswith("/film.mkv"), "the digest is what counts"
    with open(www / "live", "wb", buffering=0) as f:
        f.write(b"x")
        answer = wait_for(lambda: asker.ask(question("live"), patience=0.3), "the live one", every=0.3)
        assert answer["size"] == ANY and answer["tag"] == "" and answer["sha256"] is None


def test_questions_that_get_no_answer(lan):
    net, asker, server = lan
    wait_for(lambda: asker.ask(question("film.mkv"), patience=0.5), "an answer")
    silent = [question("none"), question(".hidden"), question("../film.mkv"), question("film.mkv", size=5),
              question("film.mkv", digest=b"\1" * 32), question("film.mkv", magic=b"plaa"), question("film.mkv", version=2),
              question("film.mkv", kind=2), question("film.mkv", length=1231), question("film.mkv", length=1233),
              question("film.mkv", length=64), question(""), question("a\nb"), question("film.mkv", size=2**63), b"", os.urandom(1232)]
    for data in silent:
        assert asker.ask(data, patience=0.02) is None, data[:80]
    assert asker.ask(question("film.mkv"), to="10.91.1.1", patience=0.1) is None, "only the group is asked"
    assert asker.more(0.2) is None
    assert asker.ask(question("film.mkv", nonce=b"z" * 16))["nonce"] == b"z" * 16


def test_nobody_gets_many_answers(lan):
    net, asker, server = lan
    wait_for(lambda: asker.ask(question("film.mkv"), patience=0.5), "an answer")
    time.sleep(1.1)  # a new second's allowance
    began, got = time.monotonic(), 0
    for i in range(200):
        got += asker.ask(question("film.mkv"), patience=0.001) is not None
    while asker.more(0.05):
        got += 1
    assert 15 <= got <= 20 * (int(time.monotonic() - began) + 2), got
