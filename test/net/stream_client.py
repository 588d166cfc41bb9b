"""A client of parallel HTTP, written from doc/protocol.md alone: it knows nothing of plait's code."""
import contextlib
import secrets
import socket
import struct

BLOCK, END, ERROR, MARK = 1, 2, 3, 4
UNKNOWN = 2**64 - 1
HEAD = struct.Struct(">BBHIQ")


class Offence(AssertionError):
    """The server has sent what a receiver must refuse."""


class Gone(Exception):
    """The body stopped without END or ERROR."""


def new_id():
    return secrets.token_hex(16)


def read_head(s):
    """Status and fields of an answer, and what came after them."""
    got = b""
    while b"\r\n\r\n" not in got:
        piece = s.recv(65536)
        if not piece:
            raise Gone("no answer: %r" % got)
        got += piece
    head, _, rest = got.partition(b"\r\n\r\n")
    lines = head.decode("latin-1").split("\r\n")
    fields = {}
    for line in lines[1:]:
        name, _, value = line.partition(":")
        fields[name.strip().lower()] = value.strip()
    return int(lines[0].split()[1]), fields, rest


def request_text(method, target, fields):
    lines = ["%s %s HTTP/1.1" % (method, target), "Host: plait"]
    return ("\r\n".join(lines + ["%s: %s" % f for f in fields]) + "\r\n\r\n").encode()


class Connection:
    """A GET of a group: its answer's head, then frames one by one."""

    def __init__(self, connect, target, fields, method="GET"):
        self.socket = connect()
        self.socket.sendall(request_text(method, target, fields))
        self.status, self.fields, self.buffer = read_head(self.socket)
        self.blocks, self.marks, self.ended, self.error = {}, [], None, None
        self.order, self.twice = [], 0
        if self.status == 200:
            assert self.fields["content-type"] == "application/vnd.plait.frames", self.fields
            assert self.fields["plait"] == "1"
            self.block = int(self.fields["plait-block"])
            self.size = int(self.fields["plait-size"]) if "plait-size" in self.fields else None

    def count(self):
        return None if self.size is None else -(-self.size // self.block)

    def take(self, n):
        while len(self.buffer) < n:
            piece = self.socket.recv(1 << 20)
            if not piece:
                raise Gone("%d bytes into a frame" % len(self.buffer))
            self.buffer += piece
        taken, self.buffer = self.buffer[:n], self.buffer[n:]
        return taken

    def frame(self):
        """The next (type, sequence, payload), checked as the page says."""
        kind, zero, zeros, length, sequence = HEAD.unpack(self.take(HEAD.size))
        if zero or zeros or kind not in (BLOCK, END, ERROR, MARK):
            raise Offence("frame of type %d, reserved %d %d" % (kind, zero, zeros))
        if kind in (END, MARK) and length or kind == ERROR and length > 1024:
            raise Offence("length %d of type %d" % (length, kind))
        payload = self.take(length)
        if kind == BLOCK:
            self.take_block(sequence, payload)
        elif kind == MARK:
            self.marks.append(sequence)
        elif kind == END:
            if sequence != UNKNOWN and self.size is not None and sequence != self.count():
                raise Offence("END with %d of %s blocks" % (sequence, self.count()))
            self.ended = sequence
            self.nothing_follows()
        else:
            self.error = (sequence, payload.decode())
            self.nothing_follows()
        return kind, sequence, payload

    def take_block(self, sequence, payload):
        want = self.block
        if self.size is not None:
            want = min(self.block, self.size - sequence * self.block)
        elif len(payload) < self.block:  # the last one, which tells the size
            self.size, want = sequence * self.block + len(payload), len(payload)
        if len(payload) != want or want <= 0:
            raise Offence("block %d of %d bytes, not %d" % (sequence, len(payload), want))
        self.twice += sequence in self.blocks
        self.blocks[sequence] = payload
        self.order.append(sequence)

    def nothing_follows(self):
        if self.buffer or self.socket.recv(1):
            raise Offence("bytes after the end")

    def until(self, condition):
        """Frames until the condition holds."""
        while not condition():
            self.frame()
        return self

    def run(self):
        """All frames to END or ERROR."""
        return self.until(lambda: self.ended is not None or self.error is not None)

    def read_body(self):
        length = int(self.fields.get("content-length", 0))
        return self.take(length)

    def close(self):
        self.socket.close()

    def kill(self):
        """Ends it with a reset, as a machine that has forgotten all."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()


class Group:
    """Requests of one stream to one server."""

    def __init__(self, connect, target, block=65536, id=None, **always):
        self.connect, self.target, self.block, self.id = connect, target, block, id or new_id()
        self.always = [(k.replace("_", "-"), v) for k, v in always.items()]
        self.opened = []

    def fields(self, **more):
        found = [("Plait-Stream", self.id)] + self.always
        for name, value in more.items():
            if value is not None:
                found.append((name.replace("_", "-") if "_" in name else "Plait-" + name.capitalize(), value))
        return found

    def open(self, path="A", span=None, pattern=None, blocks=None, block=None, connect=None, **more):
        size = {"block": self.block if block is None else block}
        made = Connection(connect or self.connect, self.target,
                          self.fields(path=path, span=span, pattern=pattern, blocks=blocks, **size, **more))
        self.opened.append(made)
        return made

    def steer(self, span=None, pattern=None, path=None, blocks=None, **more):
        """Status, fields."""
        fields = self.fields(path=path, span=span, pattern=pattern, blocks=blocks, **more)
        with contextlib.closing(Connection(self.connect, self.target, fields + [("Content-Length", "0")],
                                           method="POST")) as answer:
            return answer.status, answer.fields

    def close(self):
        for connection in self.opened:
            connection.close()


def joined(connections, count):
    """The stream, of blocks that the connections got; each exactly once."""
    got = {}
    for connection in connections:
        for sequence, payload in connection.blocks.items():
            assert sequence not in got, "block %d came over two connections" % sequence
            got[sequence] = payload
    missing = [n for n in range(count) if n not in got]
    assert not missing, "missing: %s" % missing[:20]
    return b"".join(got[n] for n in range(count))
