"""plait serve pushes blocks: patterns, groups, steering, as doc/protocol.md has it, seen with a client written from that page."""
import contextlib
import json
import os
import random
import resource
import signal
import subprocess
import threading
import time
from pathlib import Path

import pytest

from stream_client import BLOCK, Connection, Gone, Group, joined, new_id
from support import wait_for
from test_serve import HOST, OLD, Served, noise, write

K = 65536


@pytest.fixture
def www(place):
    folder = place / "www"
    folder.mkdir()
    write(folder / "f", noise(100 * K + 17))
    return folder


@pytest.fixture
def serve(plait, www):
    return lambda *options, **more: Served(plait, www, "--no-digest", *options, **more)


def all_at_once(connections, ignore=()):
    """Runs them to their ends, each in a thread; the first failure is raised here."""
    failed = []

    def run(connection):
        try:
            connection.run()
        except ignore:
            pass
        except BaseException as e:  # for the main thread to raise
            failed.append(e)

    threads = [threading.Thread(target=run, args=(c,)) for c in connections]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert not any(thread.is_alive() for thread in threads), "a connection never ended"
    if failed:
        raise failed[0]


def get(server, name="f"):
    reply = server.ask("/" + name)
    assert reply.status == 200
    return reply


# Patterns


@pytest.mark.parametrize("size", [0, 1, 4095, 4096, 4097, 5 * 4096, 300_001])
def test_one_letter_has_the_whole_stream(serve, www, size):
    content = noise(size, 2)
    write(www / "g", content)
    server = serve()
    c = Group(server.connect, "/g", block=4096).open("A", span="0-", pattern="A").run()
    count = -(-size // 4096)
    assert c.fields["plait-size"] == str(size) and c.fields["plait-block"] == "4096"
    assert c.fields["etag"] == get(server, "g")["ETag"]
    assert (joined([c], count), c.order, c.ended) == (content, list(range(count)), count)


@pytest.mark.parametrize("pattern", ["AABCC", "ABC", "CBAAAAAAAABB", "A" * 1000 + "BC"])
def test_each_letter_has_what_the_pattern_gives_it(serve, www, pattern):
    server = serve("--threads", 2)
    group = Group(server.connect, "/f")
    connections = [group.open(letter, span="0-", pattern=pattern) for letter in "ABC"]
    all_at_once(connections)
    for letter, c in zip("ABC", connections):
        assert c.order == [n for n in range(101) if pattern[n % len(pattern)] == letter]
        assert c.ended == 101
    assert joined(connections, 101) == (www / "f").read_bytes()


def test_a_pattern_counts_from_the_first_of_its_span(serve):
    group = Group(serve().connect, "/f")
    c = group.open("B", span="7-", pattern="ABB").run()
    assert c.order == [n for n in range(7, 101) if (n - 7) % 3]


def test_a_new_pattern_holds_from_its_number_on(serve):
    group = Group(serve().connect, "/f")
    a = group.open("A", span="0-19", pattern="AB")
    a.until(lambda: a.marks)
    assert group.steer(span="20-39", pattern="AAB")[0] == 204
    a.until(lambda: len(a.marks) == 2)
    assert group.steer(span="50-", pattern="BA")[0] == 204  # a gap: others carry it
    b = group.open("B", span="0-")  # late, and its own idea of the plan does not count
    a.run()
    b.run()
    want = {"A": [], "B": []}
    for n in range(101):
        letter = "AB"[n % 2] if n < 20 else "AAB"[(n - 20) % 3] if n < 40 else None if n < 50 else "BA"[(n - 50) % 2]
        if letter:
            want[letter].append(n)
    # What b asked for and was not planned, the gap, continued the pattern that was in force at its end.
    assert [n for n in a.order if not 40 <= n < 50] == want["A"]
    assert [n for n in b.order if not 40 <= n < 50] == want["B"]


def test_too_late_is_409_and_says_where_it_is(serve):
    group = Group(serve().connect, "/f")
    a = group.open("A", span="0-29", pattern="A")
    a.until(lambda: a.marks)
    status, fields = group.steer(span="20-", pattern="AB")
    assert (status, fields["plait-at"]) == (409, "30")
    assert group.steer(span="30-59", pattern="AB")[0] == 204
    a.until(lambda: len(a.marks) == 2)
    assert group.steer(span="30-59", pattern="ABAB")[0] == 204, "the same once more, as after a lost answer"
    status, fields = group.steer(span="30-59", pattern="BA")
    assert (status, fields["plait-at"]) == (409, str(max(a.order) + 1))
    assert a.order == list(range(30)) + list(range(30, 60, 2))


def test_steering_goes_over_one_connection_that_stays(serve):
    server = serve()
    group = Group(server.connect, "/f")
    a = group.open("A", span="0-9", pattern="A")
    with contextlib.closing(server.client()) as client:
        for first in range(10, 100, 10):
            client.request("POST", "/f", headers={"Plait-Stream": group.id, "Plait-Span": "%d-%d" % (first, first + 9)})
            reply = client.getresponse()
            assert (reply.status, reply.read(), reply.getheader("Plait")) == (204, b"", "1")
    a.until(lambda: len(a.order) == 100)
    assert a.order == list(range(100))


def test_a_span_without_pattern_goes_on_as_before_and_is_never_late(serve):
    group = Group(serve().connect, "/f")
    a = group.open("A", span="0-9", pattern="ABB")
    a.until(lambda: a.marks)
    assert group.steer(span="0-49")[0] == 204
    a.until(lambda: len(a.marks) == 2)
    assert group.steer(span="0-")[0] == 204
    a.run()
    assert a.order == list(range(0, 101, 3)) and a.ended == 101


def test_marks_say_how_far_it_is(serve):
    group = Group(serve().connect, "/f")
    a = group.open("A", span="0-9", pattern="A")
    a.until(lambda: a.marks)
    assert a.marks == [10] and a.order == list(range(10))
    began = time.monotonic()
    a.until(lambda: len(a.marks) == 2)
    assert 4 < time.monotonic() - began < 6, "at least every 5 s while it waits"


# Groups


def test_without_a_pattern_connections_share_the_stream(serve, www):
    group = Group(serve("--threads", 2).connect, "/f")
    connections = [group.open(letter, span="0-") for letter in "ABC"]
    all_at_once(connections)
    assert joined(connections, 101) == (www / "f").read_bytes()
    assert [c.ended for c in connections] == [101] * 3
    assert all(c.order == sorted(c.order) for c in connections)


def test_a_slow_connection_gets_little_and_a_killed_one_gives_back(serve, www):
    content = noise(48 << 20)
    write(www / "large", content)
    server = serve("--threads", 2)
    group = Group(server.connect, "/large")
    small = lambda: server.connect(receive_buffer=8192)
    slow, killed = (group.open(letter, span="0-", connect=small) for letter in "BC")
    fast = group.open("A", span="0-")
    killed.until(lambda: len(killed.order) >= 1)
    slow_end = threading.Event()

    def crawl():
        while slow.ended is None:
            slow.frame()
            slow_end.wait(0.02)

    crawler = threading.Thread(target=crawl)
    crawler.start()
    fast.until(lambda: len(fast.order) >= 300)
    killed.kill()
    fast.run()
    slow_end.set()
    crawler.join(20)
    assert slow.ended == fast.ended == 768
    assert 0 < len(slow.order) < 768 // 4
    got = {**killed.blocks, **slow.blocks, **fast.blocks}
    assert b"".join(got[n] for n in range(768)) == content
    assert not set(slow.blocks) & set(fast.blocks)


def test_a_connection_joins_late(serve, www):
    content = noise(32 << 20)
    write(www / "large", content)
    server = serve()
    group = Group(server.connect, "/large")
    first = group.open("A", span="0-", connect=lambda: server.connect(receive_buffer=8192))
    first.until(lambda: len(first.order) >= 3)
    joiner = group.open("B", span="0-")
    joiner.until(lambda: len(joiner.order) > 400)
    assert min(joiner.order) < 100
    all_at_once([first, joiner])
    assert joined([first, joiner], 512) == content


def test_a_letter_is_served_by_several_connections(serve, www):
    group = Group(serve().connect, "/f")
    connections = [group.open(letter, span="0-", pattern="AAB") for letter in "AAB"]
    all_at_once(connections)
    assert all("AAB"[n % 3] == "A" for c in connections[:2] for n in c.order)
    assert joined(connections, 101) == (www / "f").read_bytes()


def test_the_letter_of_a_broken_connection_is_taken_up_again(serve, www):
    write(www / "large", noise(32 << 20))
    server = serve()
    group = Group(server.connect, "/large")
    broken = group.open("A", span="0-", pattern="AB", connect=lambda: server.connect(receive_buffer=8192))
    broken.until(lambda: len(broken.order) == 2)
    broken.kill()
    b = group.open("B", span="0-").run()
    assert b.order == list(range(1, 512, 2)), "the other letter goes on, with nothing of A's"
    again = group.open("A", span="0-").run()
    assert set(again.order) | set(broken.order) == set(range(0, 512, 2))
    assert again.order == sorted(again.order)


def test_no_block_before_its_own_first(serve):
    group = Group(serve().connect, "/f")
    a = group.open("A", span="0-49", pattern="AB")
    a.until(lambda: a.marks)
    b = group.open("B", span="30-49")
    b.until(lambda: b.marks)
    assert b.order == list(range(31, 50, 2))


# Named blocks


def test_exactly_the_named_blocks(serve, www):
    group = Group(serve().connect, "/f")
    c = group.open("A", blocks="100, 7-9,8 , 3").run()
    content = (www / "f").read_bytes()
    assert c.order == [3, 7, 8, 9, 100] and c.ended == 101
    assert all(c.blocks[n] == content[n * K:(n + 1) * K] for n in c.order)
    assert Connection(group.connect, "/f", group.fields(path="A", blocks="101", block=K)).status == 416
    assert Connection(group.connect, "/f", group.fields(path="A", blocks="99-101", block=K)).status == 416


def test_named_blocks_go_over_the_letter_that_is_asked(serve):
    group = Group(serve().connect, "/f")
    a = group.open("A", span="0-9", pattern="AB")
    a.until(lambda: a.marks)
    assert group.steer(path="A", blocks="0,40-42")[0] == 204
    a.until(lambda: len(a.order) == 9)
    assert a.order == [0, 2, 4, 6, 8, 0, 40, 41, 42] and a.twice == 1
    assert group.steer(path="B", blocks="1")[0] == 404, "nobody has that letter"
    assert group.steer(path="A", blocks="5-101")[0] == 416
    assert group.steer(path="A", blocks="3-5")[0] == 204
    assert group.steer(span="10-", pattern="B")[0] == 204
    b = group.open("B", span="0-").run()
    assert b.order == [1, 7, 9] + list(range(10, 101)), "what was still due is now sent only by A"
    a.run()
    assert a.order[9:] == [3, 4, 5]


# Files that are being written


def opened_while_written(serve, www, user):
    """A server, a file that its user may or may not ask the kernel about, a group, a connection."""
    f = open(www / "live", "wb", buffering=0)
    f.write(noise(3 * 4096 + 100))
    server = serve("--user", user)
    group = Group(server.connect, "/live", block=4096)
    return server, f, group, group.open("A", span="0-")


@pytest.mark.parametrize("user", ["root", "nobody"])
def test_a_file_that_is_being_written_is_live_until_it_is_closed(serve, www, user):
    content = noise(10 * 4096 + 5)
    server, f, group, a = opened_while_written(serve, www, user)
    assert a.size is None and a.fields["etag"].startswith('"live-')
    a.until(lambda: len(a.order) == 3 and a.marks)
    b = group.open("B", span="0-", If_Match=a.fields["etag"])
    for at in range(3 * 4096 + 100, len(content), 1000):
        f.write(content[at:at + 1000])
    readers = [threading.Thread(target=c.run) for c in (a, b)]
    for reader in readers:
        reader.start()
    wait_for(lambda: len(a.order) + len(b.order) == 10, "what is there of it")
    assert a.ended is None and b.ended is None
    f.close()
    for reader in readers:
        reader.join(20)
    assert (a.ended, b.ended) == (11, 11)
    assert joined([a, b], 11) == content
    late = group.open("A", blocks="10")
    assert late.status == 200 and late.size == len(content) and late.run().blocks[10] == content[-5:]
    assert group.open("A", blocks="10", If_Match=a.fields["etag"]).status == 200
    plain = Group(server.connect, "/live", block=4096).open("A", span="0-", pattern="A").run()
    assert plain.size == len(content) and joined([plain], 11) == content


def test_a_live_file_with_patterns_and_named_blocks(serve, www):
    content = noise(20 * 4096 + 1)
    server, f, group, a = opened_while_written(serve, www, "root")
    a.close()
    group = Group(server.connect, "/live", block=4096)
    a, b = (group.open(letter, span="0-9", pattern="AAB") for letter in "AB")
    assert group.steer(span="10-", pattern="BA")[0] == 204 and group.steer(path="B", blocks="14")[0] == 204
    named = group.open("A", blocks="15")
    f.write(content[3 * 4096 + 100:])
    f.close()
    all_at_once([a, b, named])
    assert named.order == [15] and 14 in b.order
    assert joined([a, b, named], 21) == content


def test_a_live_file_that_becomes_shorter_is_another_version(serve, www):
    server, f, group, a = opened_while_written(serve, www, "root")
    a.until(lambda: len(a.order) == 3)
    os.truncate(www / "live", 100)
    a.run()
    assert a.error[0] == 2 and a.ended is None
    f.close()


def test_a_file_that_was_written_lately_ends_soon(serve, www):
    (www / "fresh").write_bytes(noise(5000))
    server = serve("--user", "nobody")
    a = Group(server.connect, "/fresh", block=4096).open("A", span="0-").run()
    assert joined([a], 2) == noise(5000)


def test_plain_clients_follow_where_they_may(serve, www):
    content = noise(100_000)
    f = open(www / "live", "wb", buffering=0)
    f.write(content[:50_000])
    server, plain = serve("--follow", "--user", "root"), serve("--user", "root")
    reply = plain.ask("/live")
    assert reply.body == content[:50_000] and reply["Plait-Live"] == "1", "what there is at this moment"
    assert plain.ask("/live", "HEAD")["Plait-Live"] == plain.ask("/live", Range="bytes=5-")["Plait-Live"] == "1"
    assert plain.ask("/f")["Plait-Live"] is None
    assert server.ask("/live", Range="bytes=0-9").body == content[:10]
    assert server.ask("/live", "HEAD")["Content-Length"] == "50000"
    with server.connect() as s:
        s.sendall(b"GET /live HTTP/1.1\r\nHost: x\r\n\r\n")
        got = b""
        while len(got) < 49_152:
            got += s.recv(65536)
        f.write(content[50_000:])
        f.close()
        while piece := s.recv(65536):
            got += piece
    head, _, body = got.partition(b"\r\n\r\n")
    assert body == content and b"Content-Length" not in head and b"application/octet-stream" in head
    assert server.ask("/live")["Content-Length"] == "100000" and plain.ask("/live")["Plait-Live"] is None


def test_a_plain_follower_learns_that_it_has_not_all(serve, www):
    f = open(www / "live", "wb", buffering=0)
    f.write(noise(50_000))
    server = serve("--follow", "--user", "root", "--grace", 5)
    with server.connect() as s:
        s.sendall(b"GET /live HTTP/1.1\r\nHost: x\r\n\r\n")
        assert s.recv(65536)
        server.run.kill(signal.SIGTERM)
        with pytest.raises(ConnectionResetError):
            while s.recv(65536):
                pass
    f.close()


# What a group is bound to


def test_ids_are_bound_to_the_resource_and_the_credentials(serve, www):
    write(www / "other", noise(1000))
    server = serve()
    group = Group(server.connect, "/f", Authorization="Basic dTpw")
    a = group.open("A", span="0-9", pattern="A")
    for target, fields, status in [
            ("/other", group.fields(), 403), ("/f", [("Plait-Stream", group.id)], 403),
            ("/f", [("Plait-Stream", group.id), ("Authorization", "Basic dTpx")], 403),
            ("/f", [("Plait-Stream", new_id())], 404)]:
        assert Connection(server.connect, target, fields + [("Plait-Span", "10-")], "POST").status == status
        if status == 403:
            opening = [("Plait-Span", "10-"), ("Plait-Path", "B"), ("Plait-Block", str(K))]
            assert Connection(server.connect, target, fields + opening).status == 403
    assert Connection(server.connect, "/f", group.fields(path="B", span="0-", block=2 * K)).status == 400
    a.until(lambda: a.marks)
    assert a.order == list(range(10)), "nobody has steered"


def test_ids_are_bound_to_the_version(serve, www):
    server = serve()
    tag = get(server)["ETag"]
    group = Group(server.connect, "/f", If_Match=tag)
    a = group.open("A", span="0-9", pattern="A")
    fresh = write(www / "new", noise(100 * K, 3), OLD + 5)
    fresh.rename(www / "f")
    old = Group(server.connect, "/f", id=group.id)
    status, fields = old.steer(span="10-")
    assert status == 409 and "plait-at" not in fields
    refused = old.open("B", span="0-")
    assert refused.status == 409 and "plait-at" not in refused.fields
    assert group.steer(span="10-")[0] == 412 and group.open("B", span="0-").status == 412
    a.until(lambda: a.marks)
    assert a.order == list(range(10)), "the old version goes on where it is open"


def test_a_change_under_way_is_told(serve, www):
    write(www / "large", noise(32 << 20))
    server = serve()
    a = Group(server.connect, "/large").open("A", span="0-", pattern="A", connect=lambda: server.connect(receive_buffer=8192))
    a.until(lambda: len(a.order) == 1)
    os.utime(www / "large", (OLD + 9, OLD + 9))
    a.run()
    assert a.error[0] == 2 and a.ended is None and "changed" in a.error[1]


def test_a_group_is_forgotten_where_its_place_is_needed(serve):
    server = serve("--groups", 1)
    first, second = (Group(server.connect, "/f") for _ in range(2))
    a = first.open("A", span="0-9", pattern="A")
    a.until(lambda: a.marks)
    assert second.open("A", span="0-9").status == 503
    a.close()
    assert first.steer(span="10-19")[0] == 204, "it is kept for those who come again"
    wait_for(lambda: second.open("A", span="0-9").status == 200, "a place", every=0.05)
    assert first.steer(span="20-")[0] == 404 and second.steer(span="10-")[0] == 204


def test_limits(serve):
    server = serve("--groups", 2)
    group, other, third = (Group(server.connect, "/f") for _ in range(3))
    opened = [group.open("A", span="0-9", pattern="AB") for _ in range(96)]
    assert {c.status for c in opened} == {200}
    assert group.open("A", span="0-9").status == 429
    assert other.open("A", span="0-9").status == 200
    refused = third.open("A", span="0-9")
    assert refused.status == 503 and refused.fields["retry-after"] == "1", "both groups have connections"
    statuses = [group.steer(span="%d-%d" % (n, n), pattern="A" * (n % 7 + 1) + "B")[0] for n in range(20, 2000, 10)]
    assert 429 in statuses and set(statuses) <= {204, 429}, "patterns ahead are bounded"


GOOD = {"Plait-Stream": "0" * 32, "Plait-Path": "A", "Plait-Block": "65536", "Plait-Span": "0-", "Plait-Pattern": "AB"}


@pytest.mark.parametrize("fields", [
    {"Plait-Stream": "0" * 31}, {"Plait-Stream": "0" * 33}, {"Plait-Stream": "A" * 32}, {"Plait-Stream": ""},
    {"Plait-Stream": "0x" + "0" * 30}, {"Plait-Path": "AB"}, {"Plait-Path": "1"}, {"Plait-Path": ""}, {"Plait-Path": None},
    {"Plait-Path": "\xe4"}, {"Plait-Block": "65535"}, {"Plait-Block": "2048"}, {"Plait-Block": "8388608"}, {"Plait-Block": None},
    {"Plait-Block": "065536"}, {"Plait-Block": "18446744073709617152"}, {"Plait-Block": "-4096"}, {"Plait-Span": "1-0"},
    {"Plait-Span": "-5"}, {"Plait-Span": "0"}, {"Plait-Span": "0-0-0"}, {"Plait-Span": "2251799813685248-"}, {"Plait-Span": None},
    {"Plait-Span": "0-18446744073709551615"}, {"Plait-Span": "99999999999999999999999-"}, {"Plait-Pattern": ""},
    {"Plait-Pattern": "A B"}, {"Plait-Pattern": "A" * 1025}, {"Plait-Pattern": "A1"}, {"Plait-Blocks": "1"},
    {"Plait-Span": None, "Plait-Pattern": None, "Plait-Blocks": ""}, {"Plait-Span": None, "Plait-Blocks": "1"},
    {"Plait-Span": None, "Plait-Pattern": None, "Plait-Blocks": "3-1"},
    {"Plait-Span": None, "Plait-Pattern": None, "Plait-Blocks": ",".join(["1"] * 65)},
    {"Plait-Span": None, "Plait-Pattern": None, "Plait-Blocks": "1-"}], ids=str)
def test_hostile_fields_are_400(serve_once, fields):
    sent = [(k, v) for k, v in {**GOOD, **fields}.items() if v is not None]
    assert Connection(serve_once.connect, "/f", sent).status == 400
    if "Plait-Path" not in fields and "Plait-Block" not in fields:
        post = [f for f in sent if f[0] not in ("Plait-Path", "Plait-Block")]
        assert Connection(serve_once.connect, "/f", post, "POST").status == 400


def test_a_field_that_comes_twice_is_400(serve_once):
    for name, value in GOOD.items():
        assert Connection(serve_once.connect, "/f", list(GOOD.items()) + [(name, value)]).status == 400


def test_what_is_not_of_this_protocol(serve_once, www):
    without = {"Plait-Path": "A", "Plait-Pattern": "nonsense!", "Plait-Span": "x"}
    plain = serve_once.ask("/f", **without)
    assert plain.status == 200 and plain.body == (www / "f").read_bytes()
    assert serve_once.ask("/f", "POST").status == 405
    assert serve_once.ask("/", "POST", Plait_Stream="0" * 32, Plait_Span="0-").status == 405
    assert serve_once.ask("/none", "POST", Plait_Stream="0" * 32, Plait_Span="0-").status == 404
    head = serve_once.ask("/f", "HEAD", **{k.replace("-", "_"): v for k, v in GOOD.items()})
    assert head.status == 200 and head["Content-Length"] == str(100 * K + 17)


@pytest.fixture
def serve_once(serve):
    return serve()


# Around


def test_over_tls(serve, www, certificates):
    write(www / "large", noise(8 << 20))
    cert, key = certificates.pairs["good"]
    server = serve("--tls-cert", cert, "--tls-key", key, "--threads", 2, tls=True)
    group = Group(server.connect, "/large", block=1 << 20)
    one = group.open("A", span="0-", pattern="A").run()
    assert joined([one], 8) == (www / "large").read_bytes()
    group = Group(server.connect, "/large", block=4096)
    connections = [group.open(letter, span="0-") for letter in "AB"]
    all_at_once(connections)
    assert joined(connections, 2048) == (www / "large").read_bytes()


@pytest.mark.parametrize("version", ["--http1.0", "--http1.1"])
def test_any_client_sees_the_body(serve_once, version):
    fields = {**GOOD, "Plait-Pattern": "A", "Plait-Stream": new_id()}
    words = [word for field in fields.items() for word in ("-H", "%s: %s" % field)]
    done = subprocess.run(["curl", "-s", version, *words, serve_once.url("/f")], capture_output=True, check=True, timeout=20)
    assert len(done.stdout) == 100 * K + 17 + 16 * 102  # a frame for each block, and the end


def test_the_access_log_counts_what_was_sent(serve, place):
    log = place / "access.json"
    server = serve("--access-log", log, "--log-format", "json")
    Group(server.connect, "/f").open("A", span="0-", pattern="A").run()
    line = json.loads(wait_for(lambda: log.exists() and log.read_text(), "the log"))
    assert line["status"] == 200 and 100 * K + 17 + 16 * 102 in line.values(), line


def test_it_leaves_no_descriptors(serve):
    server = serve()
    group = Group(server.connect, "/f")
    group.open("A", span="0-", pattern="A").run()
    before = wait_for(lambda: server.descriptors() and server.descriptors(), "any")
    for _ in range(20):
        group = Group(server.connect, "/f")
        a, b = group.open("A", span="0-", pattern="AB"), group.open("B", span="0-9")
        a.run()
        b.kill() if b.status == 200 else None
        group.steer(path="A", blocks="1")
        group.close()
    wait_for(lambda: server.descriptors() <= before, "descriptors to be closed")


def test_the_end_of_one_does_not_wait_for_others(serve):
    server = serve("--threads", 1)
    with contextlib.closing(server.client()) as idle:
        idle.request("GET", "/f", headers={"Range": "bytes=0-0"})
        assert idle.getresponse().read()
        before = server.descriptors()
        group = Group(server.connect, "/f")
        ended, broken = group.open("A", span="0-", pattern="A").run(), group.open("B", span="0-", pattern="AB")
        broken.kill()
        wait_for(lambda: server.descriptors() <= before, "both to be closed", timeout=5)


def test_those_who_wait_are_told_when_it_leaves(serve):
    server = serve("--grace", 5)
    group = Group(server.connect, "/f")
    a = group.open("A", span="0-9", pattern="A")
    a.until(lambda: a.marks)
    server.run.kill(signal.SIGTERM)
    a.run()
    assert a.error[0] == 4
    assert server.run.finish(timeout=5).status == 0


def test_those_who_are_served_may_end_when_it_leaves(serve, www):
    write(www / "large", noise(16 << 20))
    server = serve("--grace", 10)
    a = Group(server.connect, "/large").open("A", span="0-", pattern="A", connect=lambda: server.connect(receive_buffer=8192))
    a.until(lambda: len(a.order) == 2)
    server.run.kill(signal.SIGTERM)
    a.run()
    assert a.ended == 256 and joined([a], 256) == (www / "large").read_bytes()
    assert server.run.finish(timeout=5).status == 0


def test_it_leaves_though_somebody_takes_nothing(serve, www):
    write(www / "large", noise(16 << 20))
    server = serve("--grace", 0.3, "--threads", 2)
    stuck = [Group(server.connect, "/large").open("A", span="0-", pattern="A", connect=lambda: server.connect(receive_buffer=8192))
             for _ in range(4)]
    server.run.kill(signal.SIGTERM)
    assert server.run.finish(timeout=5).status == 0
    with pytest.raises((Gone, ConnectionResetError)):
        while True:
            stuck[0].frame()


def test_who_takes_nothing_for_too_long_is_broken_off(serve, www):
    write(www / "large", noise(16 << 20))
    server = serve("--stall-timeout", 1)
    before = server.descriptors()
    group = Group(server.connect, "/large")
    stuck = group.open("A", span="0-", connect=lambda: server.connect(receive_buffer=4096))
    wait_for(lambda: server.descriptors() <= before, "the connection to be broken off", timeout=15)
    b = group.open("B", span="0-").run()
    assert b.ended == 256 and len(b.order) >= 254, "what it had not taken goes to others"
    stuck.close()


def storm(server, content, seconds, seed):
    """Receivers that do anything at any time with a few groups. Whatever block comes must be right."""
    rng = random.Random(seed)
    ids, end, wrong = [new_id() for _ in range(6)], time.monotonic() + seconds, []

    def span():
        first = rng.randrange(100)
        return "%d-%s" % (first, rng.choice(["", first + rng.randrange(50)]))

    def pattern():
        return rng.choice([None, "".join(rng.choices("ABC", k=rng.randrange(1, 8)))])

    def one():
        if rng.random() < 0.02:
            ids[rng.randrange(6)] = new_id()
        group = Group(server.connect, "/f", id=rng.choice(ids))
        kind = rng.random()
        if kind < 0.3:
            group.steer(span=span(), pattern=pattern())
        elif kind < 0.4:
            group.steer(path=rng.choice("ABC"), blocks="%d" % rng.randrange(110))
        else:
            named = rng.random() < 0.2
            c = group.open(rng.choice("ABC"), span=None if named else span(), pattern=None if named else pattern(),
                           blocks="%d-%d" % (3, 3 + rng.randrange(90)) if named else None)
            if c.status != 200:
                return
            c.socket.settimeout(0.2)
            try:
                c.until(lambda: c.ended is not None or len(c.order) >= rng.randrange(1, 80))
            except TimeoutError:
                pass
            wrong.extend(n for n, b in c.blocks.items() if b != content[n * K:(n + 1) * K])
            rng.choice([c.close, c.kill])()

    def run():
        while time.monotonic() < end:
            try:
                one()
            except (Gone, ConnectionError):
                pass
            except BaseException as e:
                wrong.append(e)
                raise

    threads = [threading.Thread(target=run) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(seconds + 20)
    assert not wrong, (seed, wrong[:5])


def test_a_storm(serve, www):
    server = serve("--threads", 4, "--groups", 5)
    before = server.descriptors()
    storm(server, (www / "f").read_bytes(), 3, time.time_ns())
    assert Group(server.connect, "/f").open("A", span="0-", pattern="A").run().ended == 101
    wait_for(lambda: server.descriptors() <= before, "all connections to be closed")
    server.stop()


def test_a_thousand_slow_readers_at_once(serve, www, plait):
    write(www / "large", noise(4 << 20))
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < 4096:
        pytest.skip("too few descriptors")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 4096), hard))
    server = serve("--connections-per-address", 0)
    readers = [Group(server.connect, "/large").open("A", span="0-", connect=lambda: server.connect(receive_buffer=4096))
               for _ in range(1000)]
    try:
        assert {r.status for r in readers} == {200}
        for reader in readers:
            assert reader.frame()[:2] == (BLOCK, 0)
        # A sanitizer takes memory of its own.
        if not any(name in Path(plait.exe).read_bytes() for name in (b"__asan_init", b"__tsan_init")):
            assert server.run.rss_max() < 200 * 1000 * 1000, "%d MB" % (server.run.rss_max() / 1e6)
        one = Group(server.connect, "/f").open("A", span="0-", pattern="A")
        assert one.status == 200 or one.status == 503
    finally:
        for reader in readers:
            reader.close()
    wait_for(lambda: Group(server.connect, "/f").open("A", span="0-").status == 200, "the others to be forgotten")
