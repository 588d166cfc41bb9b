"""A server that takes part in parallel HTTP (doc/protocol.md) and does it wrong in one way, or right in none.

"plain" does not take part at all. Ranges it serves truly. Its streams are simple: blocks by the pattern of the request that opened them and of the steering
that came later, one after the other, without any care for connections that break.
"""
import re
import socket
import struct
import threading
import time

RATE = 3_000_000  # bytes/s of all its connections together
TAG = '"true"'


class PushLiar:
    def __init__(self, content, lie=None, address="127.0.0.1"):
        self.content, self.lie = content, lie
        self.plan = {}  # block -> letter
        self.named = []
        self.changed = threading.Condition()
        self.streams = self.steered = self.sent = 0
        self.pace, self.free_at = threading.Lock(), 0.0
        self.listener = socket.create_server((address, 0))
        self.port = self.listener.getsockname()[1]
        self.stopped = False
        threading.Thread(target=self.accept, daemon=True).start()

    def url(self):
        return "http://%s:%d/f" % self.listener.getsockname()

    def stop(self):
        self.stopped = True
        self.listener.close()
        with self.changed:
            self.changed.notify_all()

    def send(self, s, data):
        """At the pace of the whole server, so that there is time for streams."""
        for at in range(0, len(data), 16384):
            part = data[at:at + 16384]
            with self.pace:
                self.free_at = max(self.free_at, time.monotonic() - 0.01) + len(part) / RATE
                wait = self.free_at - time.monotonic()
            if wait > 0:
                time.sleep(wait)
            s.sendall(part)

    def accept(self):
        while not self.stopped:
            try:
                s, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=(s,), daemon=True).start()

    def serve(self, s):
        s.settimeout(30)
        try:
            with s, s.makefile("rb") as lines:
                while head := self.read_head(lines):
                    self.answer(s, *head)
        except OSError:
            pass

    @staticmethod
    def read_head(lines):
        first = lines.readline().decode()
        fields = {}
        while (line := lines.readline().decode().strip()):
            name, _, value = line.partition(":")
            fields[name.lower()] = value.strip()
        return (first.split()[0], fields) if first else None

    def answer(self, s, method, fields):
        if method == "POST":
            self.steer(s, fields)
        elif "plait-stream" in fields:
            self.stream(s, fields)
        else:
            self.ranges(s, fields)

    def head(self, s, status, *lines):
        said = [] if self.lie == "plain" else ["Plait: 1"]
        s.sendall("\r\n".join(["HTTP/1.1 %s" % status, *said, "ETag: " + TAG, *lines, "", ""]).encode())

    def ranges(self, s, fields):
        size = len(self.content)
        match = re.fullmatch(r"bytes=(\d+)-(\d*)", fields.get("range", ""))
        lo, hi = (int(match[1]), min(size, int(match[2] or size) + 1)) if match else (0, size)
        self.head(s, "206 Partial Content" if match else "200 OK", "Content-Length: %d" % (hi - lo),
                  *(["Content-Range: bytes %d-%d/%d" % (lo, hi - 1, size)] if match else []))
        self.send(s, self.content[lo:hi])

    def add(self, fields):
        if "plait-blocks" in fields:
            for item in fields["plait-blocks"].split(","):
                first, _, last = item.strip().partition("-")
                self.named += range(int(first), int(last or first) + 1)
            return
        first, last = map(int, fields["plait-span"].split("-"))
        pattern = fields.get("plait-pattern")
        for n in range(first, last + 1):
            if pattern:
                self.plan[n] = pattern[(n - first) % len(pattern)]
            elif n not in self.plan:
                self.plan[n] = "*"

    def steer(self, s, fields):
        self.steered += 1
        if self.lie == "steering-refused":
            self.head(s, "400 Bad Request", "Content-Length: 0")
        elif self.lie == "group-forgotten":
            self.head(s, "404 Not Found", "Content-Length: 0")
        elif self.lie == "always-late" and "plait-span" in fields:
            first = int(fields["plait-span"].split("-")[0])
            self.head(s, "409 Conflict", "Plait-At: %d" % (first + 3), "Content-Length: 0")
        elif self.lie == "late-without-where":
            self.head(s, "409 Conflict", "Content-Length: 0")
        elif self.lie == "late-backwards":
            self.head(s, "409 Conflict", "Plait-At: 0", "Content-Length: 0")
        elif self.lie == "mute-steering":
            pass
        else:
            with self.changed:
                self.add(fields)
                self.changed.notify_all()
            self.head(s, "204 No Content")

    def stream(self, s, fields):
        self.streams += 1
        block, letter = int(fields["plait-block"]), fields["plait-path"]
        size = {"other-size": len(self.content) + 5}.get(self.lie, len(self.content))
        if self.lie == "plain-200":
            self.head(s, "200 OK", "Content-Length: %d" % size)
            self.send(s, self.content)
            return
        kind = "text/html" if self.lie == "other-type" else "application/vnd.plait.frames"
        said = {"other-block": 2 * block, "absurd-block": 77}.get(self.lie, block)
        self.head(s, "200 OK", "Content-Type: " + kind, "Plait-Block: %d" % said, "Plait-Size: %d" % size,
                  "Connection: close")
        with self.changed:
            self.add(fields)
        self.push(s, block, letter)
        raise OSError("the body ends with the connection")

    def next_block(self, letter):
        with self.changed:
            while not self.stopped:
                if self.named:
                    return self.named.pop(0)
                for n in sorted(self.plan):
                    if self.lie == "all-blocks" or self.plan[n] in (letter, "*"):
                        self.plan.pop(n)
                        return n
                self.changed.wait(0.2)
        return None

    def push(self, s, block, letter):
        count = 0
        while (n := self.next_block(letter)) is not None:
            if n * block < len(self.content):
                count += 1
                self.send(s, self.frame(n, block, count))
                self.sent += 1
                if self.lie == "breaks" and count == 8:
                    return
                while self.lie == "marks-without-end" and count == 8:
                    s.sendall(struct.pack(">BBHIQ", 4, 0, 0, 0, 0) * 1000)

    def frame(self, n, block, count):
        part = self.content[n * block:(n + 1) * block]
        kind, zero, number, length = 1, 0, n, len(part)
        lie = self.lie if count > 2 else None
        if lie == "other-type-of-frame":
            kind = 9
        elif lie == "reserved-bytes":
            zero = 1
        elif lie == "wrong-number":
            number = n + 1
        elif lie == "number-beyond":
            number = n + (1 << 40)
        elif lie == "too-long":
            length += 1
        elif lie == "too-short":
            part, length = part[:-1], length - 1
        elif lie == "absurd-length":
            length = 0xFFFFFFFF
        elif lie == "wrong-bytes":
            part = bytes(len(part))
        elif lie == "left-out" and n % 3 == 0:
            return b""
        elif lie == "not-asked-for":
            number = 0
            part = self.content[:block]
        elif lie == "error":
            return struct.pack(">BBHIQ", 3, 0, 0, 4, 3) + b"oops"
        elif lie == "end-too-soon":
            return struct.pack(">BBHIQ", 2, 0, 0, 0, -(-len(self.content) // block))
        elif lie == "wrong-end":
            return struct.pack(">BBHIQ", 2, 0, 0, 0, 3)
        elif lie == "mark-far-ahead":
            return struct.pack(">BBHIQ", 4, 0, 0, 0, 1 << 50)
        elif lie == "half-a-header":
            return b"\1\0\0"
        return struct.pack(">BBHIQ", kind, zero, 0, length, number) + part
