#!/usr/bin/python3
"""An HTTP/1.1 server that misbehaves to order.

    liar.py SPEC.json

prints one line {"ports": [...]} when it listens, then obeys commands on its standard input, one JSON object a line,
each answered with one line; it ends when its standard input does. SPEC:

    {"log": FILE,                      one JSON object per line: accept, request, end, close
     "sites": [{"address": "127.0.0.2", "port": 0,
                "tls": {"cert": F, "key": F},
                "rate": B,             bytes/s of all its responses together
                "accept": {"max": N},  closes further connections at once with a reset
                "resources": {"/path": RESOURCE}}]}

A RESOURCE is a set of the keys below, and "rules": a list of such sets, each with conditions; all rules that match a
request are laid over the resource in their order.

    conditions   first, last      the number of the request for this resource, from 1
                 ranged           true: only requests with a Range; false: only those without
                 after_bytes      body bytes that the resource has sent so far, at least
                 above            so many responses of this site are being sent already (this one not counted)
                 covers           the requested range holds this offset
                 method           GET, HEAD
    content      file             what is served; text: the same, given here
                 other            [[lo, hi], ...]: these bytes are changed
                 etag             with its quotes; absent = made from the content's length; null = none
                 last_modified    an HTTP date; absent or null = none
                 type             Content-Type
    ranges       ranges           serve (default), ignore (200 and everything), none (ignore, and says so)
                 if_range         honour (default), ignore (206 whatever it says)
                 content_range    shift, grow (the range's ends), total (a difference, or "*"), or "drop", or a text
                 multipart        true: 206 multipart/byteranges
    framing      framing          length (default), chunked, close
                 claim            a difference added to Content-Length
                 extra            so many bytes more than announced are sent; negative: fewer, and the end
                 cut              {"after": K, "how": "fin" | "rst"}
                 stall            after K bytes of a body, for ever
                 hold             after the resource has sent K bytes in all, until {"do": "release"}
                 mute             true: read the request, answer nothing
                 rate             bytes/s of one response
                 delay            seconds before the answer
    refusals     status           with text or file as the body, of which a rule's own replaces the resource's
                 retry_after      a number of seconds, or "date:N" for an HTTP date so far ahead
                 auth             "user:password" asked for by Basic
    head         redirect         a Location; status 302 if none is given
                 headers          [[name, value], ...]
                 digest           right, wrong: Repr-Digest, and Digest
                 encoding         gzip: the body is compressed, unasked
                 giant            one header field of so many bytes
                 garbage          true: lines that are no header fields
                 endless          true: header fields without end
"""
import asyncio
import base64
import fcntl
import gzip
import hashlib
import json
import mmap
import os
import socket
import ssl
import struct
import sys
import termios
import time
from email.utils import formatdate

PIECE = 64 * 1024
FLIP = bytes(i ^ 0x5A for i in range(256))
REASONS = {200: "OK", 206: "Partial Content", 301: "Moved Permanently", 302: "Found", 303: "See Other",
           307: "Temporary Redirect", 308: "Permanent Redirect", 401: "Unauthorized", 403: "Forbidden",
           404: "Not Found", 410: "Gone", 412: "Precondition Failed", 416: "Range Not Satisfiable",
           429: "Too Many Requests", 500: "Internal Server Error", 503: "Service Unavailable"}


class Cut(Exception):
    """The response ends here, by order; the argument says how."""


class Content:
    """Bytes to serve: a file or a text, some of them changed."""

    cache = {}

    def __init__(self, rule):
        key = (rule.get("file"), rule.get("text"))
        if key not in self.cache:
            self.cache[key] = self.load(rule)
        self.bytes = self.cache[key]
        self.other = [tuple(span) for span in rule.get("other", ())]
        self.size = len(self.bytes)

    @staticmethod
    def load(rule):
        if rule.get("file") is None:
            return rule.get("text", "").encode()
        with open(rule["file"], "rb") as f:
            if os.fstat(f.fileno()).st_size == 0:
                return b""
            return memoryview(mmap.mmap(f.fileno(), 0, access=mmap.ACCESS_READ))

    def read(self, lo, hi):
        piece = bytes(self.bytes[lo:hi])
        for a, b in self.other:
            a, b = max(a, lo), min(b, hi)
            if a < b:
                piece = piece[:a - lo] + piece[a - lo:b - lo].translate(FLIP) + piece[b - lo:]
        return piece

    def sha256(self):
        h = hashlib.sha256()
        for lo in range(0, self.size, 1 << 20):
            h.update(self.read(lo, min(self.size, lo + (1 << 20))))
        return h.digest()


class Bucket:
    """Paces bytes in turn, like a link: who leaves the queue has used nothing."""

    def __init__(self, rate):
        self.rate, self.free, self.turn = rate, 0.0, asyncio.Lock()
        self.piece = max(1, min(PIECE, int(rate / 200)))

    async def take(self, n):
        async with self.turn:
            now = time.monotonic()
            self.free = max(self.free, now - 0.02) + n / self.rate
            if self.free > now:
                await asyncio.sleep(self.free - now)


class Resource:
    def __init__(self, spec):
        self.spec = spec
        self.requests = 0
        self.sent = 0
        self.released = asyncio.Event()

    def rule_for(self, request, busy):
        """The spec with all matching rules laid over it."""
        rule = {k: v for k, v in self.spec.items() if k != "rules"}
        for r in self.spec.get("rules", ()):
            if self.matches(r, request, busy):
                if {"file", "text", "status"} & set(r):
                    rule.pop("file", None), rule.pop("text", None)
                rule.update(r)
        return rule

    def matches(self, r, request, busy):
        if not r.get("first", 1) <= self.requests <= r.get("last", self.requests):
            return False
        if "ranged" in r and r["ranged"] != ("range" in request.headers):
            return False
        if self.sent < r.get("after_bytes", 0) or ("above" in r and busy < r["above"]):
            return False
        if "method" in r and r["method"] != request.method:
            return False
        return "covers" not in r or request.covers(r["covers"])


class Request:
    def __init__(self, head):
        lines = head.decode("latin-1").split("\r\n")
        self.method, self.target, self.version = (lines[0].split(" ") + ["", ""])[:3]
        self.path = self.target.split("?")[0]
        self.headers = {}
        for line in lines[1:]:
            name, _, value = line.partition(":")
            if name:
                self.headers[name.strip().lower()] = value.strip()

    def range_of(self, size):
        """(lo, hi) of a single byte range, None for no usable Range, "beyond" for one past the end."""
        value = self.headers.get("range", "")
        if not value.startswith("bytes=") or "," in value:
            return None
        a, _, b = value[6:].partition("-")
        try:
            if a == "":
                return (max(0, size - int(b)), size) if int(b) and size else "beyond"
            lo, hi = int(a), int(b) + 1 if b else size
        except ValueError:
            return None
        return (lo, min(hi, size)) if lo < size and lo < hi else "beyond"

    def covers(self, offset):
        span = self.range_of(1 << 62)
        return span is None or (span != "beyond" and span[0] <= offset < span[1])

    def keep_alive(self):
        token = self.headers.get("connection", "").lower()
        return "close" not in token and (self.version == "HTTP/1.1" or "keep-alive" in token)


class Server:
    def __init__(self, spec):
        self.log_file = open(spec["log"], "a", buffering=1)
        self.sites = [Site(self, i, s) for i, s in enumerate(spec["sites"])]
        self.ids = 0
        self.connections = set()

    def log(self, event, **fields):
        print(json.dumps({"event": event, "t": time.monotonic(), **fields}), file=self.log_file)

    def next_id(self):
        self.ids += 1
        return self.ids

    async def start(self):
        return [await s.start() for s in self.sites]

    def command(self, c):
        """One command of the standard input: set, release, sent, drop (connections, of one site or of all)."""
        if c["do"] == "drop":
            chosen = [x for x in self.connections if c.get("site") in (None, x.site.index)]
            for conn in chosen:
                conn.reset()
            return {"dropped": len(chosen)}
        if c["do"] == "deaf":
            self.sites[c["site"]].deaf = c["on"]
            return {}
        r = self.sites[c["site"]].resources[c["path"]]
        if c["do"] == "set":
            r.spec = {**r.spec, **c["with"]}
        elif c["do"] == "release":
            r.released.set()
        return {"sent": r.sent, "requests": r.requests}


class Site:
    def __init__(self, server, index, spec):
        self.server, self.index, self.spec = server, index, spec
        self.resources = {path: Resource(r) for path, r in spec["resources"].items()}
        self.bucket = Bucket(spec["rate"]) if spec.get("rate") else None
        self.busy = 0
        self.open = 0
        self.deaf = False

    async def start(self):
        context = None
        if self.spec.get("tls"):
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(self.spec["tls"]["cert"], self.spec["tls"]["key"])
        family = socket.AF_INET6 if ":" in self.spec["address"] else socket.AF_INET
        sock = socket.socket(family, socket.SOCK_STREAM)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        # Small, so that what was sent is about what was taken.
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 64 * 1024)
        sock.bind((self.spec["address"], self.spec.get("port", 0)))
        await asyncio.get_running_loop().create_server(lambda: Connection(self), sock=sock, ssl=context, backlog=128)
        return sock.getsockname()[1]


class Connection(asyncio.Protocol):
    def __init__(self, site):
        self.site, self.server = site, site.server
        self.id = self.server.next_id()
        self.data, self.arrived = b"", asyncio.Event()
        self.writable = asyncio.Event()
        self.writable.set()
        self.task = None

    # What the event loop tells.

    def connection_made(self, transport):
        self.transport = transport
        transport.set_write_buffer_limits(high=1)  # 0 would pause TLS for ever
        self.local = "%s:%d" % transport.get_extra_info("sockname")[:2]
        self.peer = "%s:%d" % transport.get_extra_info("peername")[:2]
        self.server.log("accept", connection=self.id, site=self.site.index, local=self.local, peer=self.peer)
        self.server.connections.add(self)
        self.site.open += 1
        if self.site.open > self.site.spec.get("accept", {}).get("max", 1 << 30):
            self.reset()
            return
        self.task = asyncio.get_running_loop().create_task(self.serve())

    def data_received(self, data):
        self.data += data
        self.arrived.set()

    def pause_writing(self):
        self.writable.clear()

    def resume_writing(self):
        self.writable.set()

    def connection_lost(self, exc):
        self.site.open -= 1
        self.server.connections.discard(self)
        self.server.log("close", connection=self.id)
        if self.task:
            self.task.cancel()

    # What it does.

    def reset(self):
        sock = self.transport.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.transport.abort()

    async def drained(self):
        """A reset throws away what has not arrived yet: wait until it has."""
        queue = bytearray(4)
        for _ in range(200):
            fcntl.ioctl(self.transport.get_extra_info("socket").fileno(), termios.TIOCOUTQ, queue)
            if not any(queue) and self.transport.get_write_buffer_size() == 0:
                break
            await asyncio.sleep(0.005)

    async def serve(self):
        try:
            while (request := await self.next_request()) is not None:
                if not await self.answer(request):
                    break
            self.transport.close()
        except asyncio.CancelledError:
            pass
        except Exception as e:  # a fault of this server must show in the test, as a line in its log
            self.server.log("fault", connection=self.id, what=repr(e))
            self.transport.abort()

    async def next_request(self):
        while b"\r\n\r\n" not in self.data:
            self.arrived.clear()
            await self.arrived.wait()
        head, _, self.data = self.data.partition(b"\r\n\r\n")
        return Request(head)

    async def answer(self, request):
        """Answer and log; True when the connection can serve another request."""
        resource = self.site.resources.get(request.path)
        rid = self.server.next_id()
        if resource:
            resource.requests += 1
        self.server.log("request", id=rid, connection=self.id, site=self.site.index, local=self.local, peer=self.peer,
                        method=request.method, path=request.target, headers=request.headers,
                        range=request.headers.get("range"), tls=self.site.spec.get("tls") is not None,
                        number=resource.requests if resource else 0)
        answer = Answer(self, request, resource)
        self.site.busy += 1
        how = "lost"
        try:
            how = await answer.give()
        except Cut as cut:
            how = str(cut)
        finally:
            self.site.busy -= 1
            self.server.log("end", id=rid, status=answer.status, sent=answer.sent, how=how)
        if how == "rst":
            await self.drained()
            self.reset()
        return how == "complete" and answer.persistent and request.keep_alive()

    async def write(self, data):
        self.transport.write(data)
        await self.writable.wait()
        await asyncio.sleep(0)  # the others' turn, also where this one's reader keeps up


class Answer:
    """One response: decides what it is, then sends it."""

    def __init__(self, connection, request, resource):
        self.connection, self.request, self.resource = connection, request, resource
        if resource:
            self.rule = resource.rule_for(request, connection.site.busy)
        else:
            self.rule = {"status": 404, "text": "no such thing\n", "etag": None}
        self.status, self.sent = 0, 0
        self.persistent = True
        own = Bucket(self.rule["rate"]) if self.rule.get("rate") else None
        self.buckets = [b for b in (own, connection.site.bucket) if b]

    async def give(self):
        rule = self.rule
        if rule.get("mute") or self.connection.site.deaf:
            await asyncio.Future()
        if rule.get("delay"):
            await asyncio.sleep(rule["delay"])
        self.content = Content(rule)
        fields, spans = self.decide()
        body = self.body_length(fields, spans)
        await self.send_head(fields)
        if self.request.method != "HEAD" and self.status != 304:
            await self.send_body(spans, body)
        return "complete"

    # The head.

    def etag(self):
        return self.rule.get("etag", '"%x"' % self.content.size)

    def decide(self):
        """Sets the status; returns the header fields and what follows: byte spans and literal bytes."""
        rule, size = self.rule, self.content.size
        if "auth" in rule and not self.authorised(rule["auth"]):
            self.status = 401
            return [("WWW-Authenticate", 'Basic realm="liar"')], [b"who are you?\n"]
        if "redirect" in rule:
            self.status = rule.get("status", 302)
            return [("Location", rule["redirect"])], [b"elsewhere\n"]
        if "status" in rule:
            self.status = rule["status"]
            return self.refusal_fields(), [(0, size)]
        span = self.served_range()
        if span == "beyond":
            self.status = 416
            return self.common_fields() + [("Content-Range", "bytes */%d" % size)], []
        if span is None:
            self.status = 200
            return self.common_fields(), [(0, size)]
        self.status = 206
        if rule.get("multipart"):
            return self.multipart(span)
        return self.common_fields() + self.content_range(span), [span]

    def authorised(self, want):
        return self.request.headers.get("authorization") == "Basic " + base64.b64encode(want.encode()).decode()

    def served_range(self):
        rule, headers = self.rule, self.request.headers
        if rule.get("ranges", "serve") != "serve" or rule.get("encoding"):
            return None
        stated = headers.get("if-range")
        if stated and rule.get("if_range", "honour") == "honour":
            tag, date = self.etag(), rule.get("last_modified")
            strong = tag is not None and not tag.startswith("W/") and stated == tag
            if not strong and not (date and stated == date):
                return None
        return self.request.range_of(self.content.size)

    def common_fields(self):
        rule = self.rule
        fields = [("Content-Type", rule.get("type", "application/octet-stream"))]
        if self.etag() is not None:
            fields.append(("ETag", self.etag()))
        if rule.get("last_modified"):
            fields.append(("Last-Modified", rule["last_modified"]))
        fields.append(("Accept-Ranges", "none" if rule.get("ranges") == "none" else "bytes"))
        if rule.get("digest"):
            value = self.content.sha256()
            if rule["digest"] == "wrong":
                value = value.translate(FLIP)
            text = base64.b64encode(value).decode()
            fields += [("Repr-Digest", "sha-256=:%s:" % text), ("Digest", "SHA-256=" + text)]
        if rule.get("encoding"):
            fields.append(("Content-Encoding", rule["encoding"]))
        return fields

    def refusal_fields(self):
        fields = [("Content-Type", self.rule.get("type", "text/html"))]
        wait = self.rule.get("retry_after")
        if wait is not None:
            if str(wait).startswith("date:"):
                wait = formatdate(time.time() + float(wait[5:]), usegmt=True)
            fields.append(("Retry-After", str(wait)))
        return fields

    def content_range(self, span):
        lie = self.rule.get("content_range", {})
        if lie == "drop":
            return []
        if isinstance(lie, str):
            return [("Content-Range", lie)]
        lo = span[0] + lie.get("shift", 0)
        hi = span[1] + lie.get("shift", 0) + lie.get("grow", 0)
        total = lie.get("total", 0)
        total = "*" if total == "*" else self.content.size + total
        return [("Content-Range", "bytes %d-%d/%s" % (lo, hi - 1, total))]

    def multipart(self, span):
        fields = [f for f in self.common_fields() if f[0] != "Content-Type"]
        fields.append(("Content-Type", "multipart/byteranges; boundary=LIAR"))
        head = "--LIAR\r\nContent-Type: application/octet-stream\r\nContent-Range: bytes %d-%d/%d\r\n\r\n" % (
            span[0], span[1] - 1, self.content.size)
        return fields, [head.encode(), span, b"\r\n--LIAR--\r\n"]

    def body_length(self, fields, spans):
        """Adds the framing to the fields; returns the body's length as it will be sent."""
        rule = self.rule
        if rule.get("encoding") == "gzip" and self.status == 200:
            spans[:] = [gzip.compress(self.content.read(0, self.content.size), 1)]
        length = sum(len(s) if isinstance(s, bytes) else s[1] - s[0] for s in spans)
        framing = rule.get("framing", "length")
        if framing == "chunked":
            fields.append(("Transfer-Encoding", "chunked"))
        elif framing == "close":
            fields.append(("Connection", "close"))
            self.persistent = False
        else:
            fields.append(("Content-Length", str(max(0, length + rule.get("claim", 0)))))
        if rule.get("claim") or rule.get("extra"):
            self.persistent = False
        return length + rule.get("extra", 0)

    async def send_head(self, fields):
        rule = self.rule
        fields = fields + [tuple(f) for f in rule.get("headers", ())]
        lines = ["HTTP/1.1 %d %s" % (self.status, REASONS.get(self.status, "Odd"))]
        if rule.get("garbage"):
            lines += ["this is no header field", "\x01\x02\xff: \x00", ": empty", "Content-Range"]
        lines += ["%s: %s" % f for f in fields]
        if rule.get("giant"):
            lines.append("X-Giant: " + "g" * rule["giant"])
        await self.connection.write("\r\n".join(lines).encode("latin-1") + b"\r\n")
        count = 0
        while rule.get("endless"):
            count += 1
            await self.connection.write(b"X-Endless-%d: %s\r\n" % (count, b"e" * 1000))
        await self.connection.write(b"\r\n")

    # The body.

    async def send_body(self, spans, total):
        chunked = self.rule.get("framing") == "chunked"
        left = total
        for span in spans:
            left = await self.send_span(span, left, chunked)
        while left > 0:
            n = min(left, PIECE)
            await self.send_piece(b"+" * n, chunked)
            left -= n
        if chunked and self.rule.get("extra", 0) >= 0:
            await self.connection.write(b"0\r\n\r\n")
        if not self.persistent and self.rule.get("framing") != "close":
            raise Cut("fin")

    async def send_span(self, span, left, chunked):
        lo, hi = (0, len(span)) if isinstance(span, bytes) else span
        while lo < hi and left > 0:
            n = min([hi - lo, left, PIECE] + [b.piece for b in self.buckets])
            for bucket in self.buckets:
                await bucket.take(n)
            n = min(n, await self.allowance())
            piece = span[lo:lo + n] if isinstance(span, bytes) else self.content.read(lo, lo + n)
            await self.send_piece(piece, chunked)
            lo, left = lo + n, left - n
        return left

    async def allowance(self):
        """How many bytes may go now; waits, cuts and stalls as ordered."""
        rule, most = self.rule, PIECE
        if "cut" in rule:
            most = min(most, rule["cut"]["after"] - self.sent)
            if most <= 0:
                raise Cut(rule["cut"].get("how", "fin"))
        if "stall" in rule:
            most = min(most, rule["stall"] - self.sent)
            if most <= 0:
                await asyncio.Future()
        if "hold" in rule and not self.resource.released.is_set():
            most = min(most, rule["hold"] - self.resource.sent)
            if most <= 0:
                await self.resource.released.wait()
                most = PIECE
        return most

    async def send_piece(self, piece, chunked):
        # Counted before it is written: two responses must not both use what is left before a hold.
        self.sent += len(piece)
        if self.resource:
            self.resource.sent += len(piece)
        await self.connection.write(b"%x\r\n%s\r\n" % (len(piece), piece) if chunked else piece)


async def main(spec_path):
    with open(spec_path) as f:
        server = Server(json.load(f))
    ports = await server.start()
    print(json.dumps({"ports": ports}), flush=True)
    loop = asyncio.get_running_loop()
    commands = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(commands), sys.stdin)
    while line := await commands.readline():
        print(json.dumps(server.command(json.loads(line))), flush=True)
    os._exit(0)  # connections that stall by order are not waited for


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
