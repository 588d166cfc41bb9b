#!/usr/bin/python3
"""Small real proxies: HTTP (CONNECT and plain forwarding) and SOCKS5, several in one process.

    proxy.py SPEC.json

prints {"ports": [...]} when it listens and ends when its standard input does. SPEC:

    {"log": FILE,            one JSON object per line: request (what was asked), end (bytes carried each way)
     "proxies": [{"address": "127.0.0.21", "port": 0, "kind": "http" | "socks5",
                  "from": ADDRESS,                 source address of the connections it makes
                  "refuse": ["HOST:PORT", ...],    403, or SOCKS reply 2; "*" refuses everything
                  "hosts": {"NAME": "ADDRESS"},    names that only this proxy can resolve
                  "auth": "user:password"}]}       asked for by Proxy-Authenticate: Basic, or RFC 1929
"""
import asyncio
import base64
import json
import os
import socket
import sys
from urllib.parse import urlsplit


class Refused(Exception):
    """The proxy will not; the argument is the HTTP status."""


class Proxy:
    def __init__(self, index, spec, log):
        self.index, self.spec, self.log_file, self.count = index, spec, log, 0

    def log(self, event, **fields):
        print(json.dumps({"event": event, "proxy": self.index, **fields}), file=self.log_file)

    async def start(self):
        sock = socket.socket()
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((self.spec["address"], self.spec.get("port", 0)))
        await asyncio.start_server(self.serve, sock=sock)
        return sock.getsockname()[1]

    async def serve(self, reader, writer):
        serve = self.serve_http if self.spec["kind"] == "http" else self.serve_socks
        try:
            await serve(reader, writer)
        except (OSError, asyncio.IncompleteReadError, Refused):
            pass
        finally:
            writer.close()

    async def reach(self, asked, host, port):
        """Connect to where the client wants; logs it; raises Refused."""
        self.count += 1
        rid = self.count
        refused = any(r in ("*", "%s:%d" % (host, port)) for r in self.spec.get("refuse", ()))
        self.log("request", id=rid, kind=self.spec["kind"], asked=asked, host=host, port=port, refused=refused)
        if refused:
            raise Refused(403)
        address = self.spec.get("hosts", {}).get(host, host)
        source = (self.spec["from"], 0) if self.spec.get("from") else None
        try:
            return rid, await asyncio.open_connection(address, port, local_addr=source)
        except OSError:
            raise Refused(502) from None

    async def splice(self, rid, near, far, first=b""):
        """Carry bytes both ways until both ends have closed."""
        carried = [0, 0]

        async def carry(which, reader, writer):
            try:
                while data := await reader.read(65536):
                    carried[which] += len(data)
                    writer.write(data)
                    await writer.drain()
                writer.write_eof()
            except (OSError, RuntimeError):
                writer.close()

        far[1].write(first)
        try:
            await asyncio.gather(carry(0, near[0], far[1]), carry(1, far[0], near[1]))
        finally:
            self.log("end", id=rid, up=carried[0], down=carried[1])
            far[1].close()

    # HTTP.

    async def serve_http(self, reader, writer):
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        method, target, version = head[0].split(" ")
        fields = [line for line in head[1:] if line]
        try:
            self.check_http_auth(fields)
            if method == "CONNECT":
                host, _, port = target.rpartition(":")
                rid, far = await self.reach("CONNECT", host.strip("[]"), int(port))
                writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
                first = b""
            else:
                url = urlsplit(target)
                rid, far = await self.reach(method, url.hostname, url.port or 80)
                path = (url.path or "/") + ("?" + url.query if url.query else "")
                keep = [f for f in fields if not f.lower().startswith(("proxy-", "connection:"))]
                lines = ["%s %s %s" % (method, path, version)] + keep + ["Connection: close", "", ""]
                first = "\r\n".join(lines).encode("latin-1")
        except Refused as e:
            extra = 'Proxy-Authenticate: Basic realm="proxy"\r\n' if e.args[0] == 407 else ""
            text = "HTTP/1.1 %d Refused\r\n%sContent-Length: 0\r\nConnection: close\r\n\r\n" % (e.args[0], extra)
            writer.write(text.encode())
            return
        await self.splice(rid, (reader, writer), far, first)

    def check_http_auth(self, fields):
        if self.spec.get("auth"):
            want = "proxy-authorization: basic " + base64.b64encode(self.spec["auth"].encode()).decode()
            if want.lower() not in [f.lower() for f in fields]:
                raise Refused(407)

    # SOCKS5 (RFC 1928, RFC 1929).

    async def serve_socks(self, reader, writer):
        _, count = await reader.readexactly(2)
        methods = await reader.readexactly(count)
        want = 2 if self.spec.get("auth") else 0
        if want not in methods:
            writer.write(b"\x05\xff")
            return
        writer.write(bytes([5, want]))
        if want == 2 and not await self.check_socks_auth(reader, writer):
            return
        _, command, _, kind = await reader.readexactly(4)
        if kind == 1:
            asked, host = "address", socket.inet_ntop(socket.AF_INET, await reader.readexactly(4))
        elif kind == 4:
            asked, host = "address", socket.inet_ntop(socket.AF_INET6, await reader.readexactly(16))
        else:
            asked, host = "name", (await reader.readexactly((await reader.readexactly(1))[0])).decode("latin-1")
        port = int.from_bytes(await reader.readexactly(2), "big")
        try:
            rid, far = await self.reach(asked, host, port)
        except Refused as e:
            writer.write(bytes([5, 2 if e.args[0] == 403 else 5, 0, 1]) + bytes(6))
            return
        writer.write(b"\x05\x00\x00\x01" + bytes(6))
        await self.splice(rid, (reader, writer), far)

    async def check_socks_auth(self, reader, writer):
        await reader.readexactly(1)
        user = await reader.readexactly((await reader.readexactly(1))[0])
        password = await reader.readexactly((await reader.readexactly(1))[0])
        right = user + b":" + password == self.spec["auth"].encode()
        writer.write(b"\x01" + (b"\x00" if right else b"\x01"))
        return right


async def main(spec_path):
    with open(spec_path) as f:
        spec = json.load(f)
    log = open(spec["log"], "a", buffering=1)
    ports = [await Proxy(i, p, log).start() for i, p in enumerate(spec["proxies"])]
    print(json.dumps({"ports": ports}), flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    os._exit(0)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
