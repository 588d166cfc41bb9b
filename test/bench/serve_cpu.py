#!/usr/bin/python3
"""What does a byte cost the server? plait serve beside nginx, in the same run.

    server (plait serve, nginx)  10.91.1.1 ═══ veth ═══ 10.91.1.2  client (curl)

Four readers fetch one large file at once from a tmpfs, each several times over the same connection. Counted are the
bytes of the body for each CPU second (user and system) that the server's processes used. The two take turns; printed
is the median of each, and plait's over nginx's. The same over TLS. With plait, each also as a body of frames
(doc/protocol.md), with blocks of 64 KiB and of 1 MiB. Then a thousand readers that take a few kilobytes a second each,
and the most memory that the server had meanwhile; of frames each in a group of its own.

Needs root (namespaces), nginx, curl and openssl.
"""
import argparse
import os
import pathlib
import resource
import secrets
import shutil
import socket
import ssl
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "test" / "net"))
from netns import Namespaces, remove_stale  # noqa: E402  (found through the line above)

ADDRESS = "10.91.1.1"
PORTS = {("plait", "plain"): 8001, ("plait", "tls"): 8002, ("nginx", "plain"): 8003, ("nginx", "tls"): 8004}
TICK = os.sysconf("SC_CLK_TCK")
BLOCKS = {"frames-64k": 65536, "frames-1m": 1 << 20}
MEMORY_MAX_MB = 200

NGINX = """
daemon off;
worker_processes auto;
pid {place}/nginx.pid;
error_log {place}/error.log;
user root;
events {{ worker_connections 4096; }}
http {{
    access_log off;
    sendfile on;
    tcp_nopush on;
    client_body_temp_path {place}/t1; proxy_temp_path {place}/t2; fastcgi_temp_path {place}/t3;
    uwsgi_temp_path {place}/t4; scgi_temp_path {place}/t5;
    server {{ listen {address}:{plain}; root {www}; }}
    server {{ listen {address}:{tls} ssl; root {www}; ssl_certificate {cert}; ssl_certificate_key {key}; }}
}}
"""


def frame_fields(block):
    return [f"Plait-Stream: {secrets.token_hex(16)}", "Plait-Path: A", f"Plait-Block: {block}", "Plait-Span: 0-", "Plait-Pattern: A"]


def wait_for(condition, what, seconds=30.0):
    end = time.monotonic() + seconds
    while not (value := condition()):
        if time.monotonic() > end:
            raise SystemExit(f"waited {seconds:.0f} s in vain for: {what}")
        time.sleep(0.02)
    return value


def inside(ns, *command):
    return ["ip", "netns", "exec", ns, *map(str, command)]


def fields(pid):
    """Of /proc/PID/stat, from the state on."""
    return pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()


def family(pid):
    found = [pid]
    for path in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            if int(fields(path.name)[1]) == pid:
                found.append(int(path.name))
        except (OSError, IndexError):
            pass
    return found


def cpu_seconds(pid):
    return sum(int(f[11]) + int(f[12]) for f in map(fields, family(pid))) / TICK


def peak_mb(pid):
    for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1000
    raise SystemExit("no VmHWM")


class Bench:
    def __init__(self, args):
        remove_stale()
        self.args = args
        self.processes = {}
        self.place = pathlib.Path(tempfile.mkdtemp(prefix="plait-serve-cpu-", dir="/dev/shm"))
        self.place.chmod(0o755)
        self.net = Namespaces(1)

    def close(self):
        for process in self.processes.values():
            process.terminate()
        for process in self.processes.values():
            try:
                process.wait(5)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self.net.remove()
        shutil.rmtree(self.place)

    def prepare(self):
        self.www = self.place / "www"
        self.www.mkdir()
        with open(self.www / "large", "wb") as f:
            block = os.urandom(1 << 20)
            for _ in range(self.args.size):
                f.write(block)
        self.cert, self.key = self.place / "cert.pem", self.place / "key.pem"
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
                        "-keyout", self.key, "-out", self.cert, "-days", "2", "-subj", "/CN=plait"],
                       check=True, capture_output=True)
        self.key.chmod(0o644)

    def start(self):
        conf = self.place / "nginx.conf"
        conf.write_text(NGINX.format(place=self.place, www=self.www, cert=self.cert, key=self.key, address=ADDRESS,
                                     plain=PORTS["nginx", "plain"], tls=PORTS["nginx", "tls"]))
        self.launch("nginx", "/usr/sbin/nginx", "-c", conf, "-e", self.place / "error.log")
        for kind in ("plain", "tls"):
            self.launch_plait(kind)
        for (server, kind), port in PORTS.items():
            url = self.url(server, kind)
            wait_for(lambda: subprocess.run(self.curl("-I", url), capture_output=True).returncode == 0, f"{server} on {port}")
        for kind in ("plain", "tls"):  # digests are computed once, and are not what is measured here
            url = self.url("plait", kind)
            wait_for(lambda: b"Repr-Digest" in subprocess.run(self.curl("-I", url), capture_output=True).stdout, "the digest")

    def launch_plait(self, kind):
        options = ["--tls-cert", self.cert, "--tls-key", self.key] if kind == "tls" else []
        self.launch(("plait", kind), self.args.plait, "serve", self.www, "--listen", f"{ADDRESS}:{PORTS['plait', kind]}",
                    "--connections-per-address", "0", "-q", *options, *self.args.options.split())

    def launch(self, name, *command):
        # `ip netns exec` becomes the command, so this is its process.
        self.processes[name] = subprocess.Popen(inside(self.net.server, *command))

    def pid(self, server, kind):
        return self.processes["nginx" if server == "nginx" else ("plait", kind)].pid

    def url(self, server, kind):
        port = PORTS["nginx" if server == "nginx" else "plait", kind]
        return f"{'https' if kind == 'tls' else 'http'}://{ADDRESS}:{port}/large"

    def command(self, server, kind):
        """One reader: the file several times."""
        url = self.url(server, kind)
        if server not in BLOCKS:
            return self.curl(*[word for _ in range(self.args.repeat) for word in ("-o", "/dev/null", url)])
        once = [["-o", "/dev/null", *[word for f in frame_fields(BLOCKS[server]) for word in ("-H", f)], url]
                for _ in range(self.args.repeat)]
        again = ["--next", "-s", "-f", "-k", "--noproxy", "*"]
        return self.curl(*[word for i, words in enumerate(once) for word in ([*again, *words] if i else words)])

    def curl(self, *args):
        return inside(self.net.client, "curl", "-q", "-s", "-f", "-k", "--noproxy", "*", *args)

    def measure(self, server, kind):
        """(bytes for each CPU second, bytes for each second), both in GB."""
        url, pid = self.url(server, kind), self.pid(server, kind)
        commands = [self.command(server, kind) for _ in range(4)]
        before, began = cpu_seconds(pid), time.monotonic()
        readers = [subprocess.Popen(command) for command in commands]
        if any([reader.wait() for reader in readers]):
            raise SystemExit(f"a reader of {url} failed")
        took, used = time.monotonic() - began, cpu_seconds(pid) - before
        carried = 4 * self.args.repeat * self.args.size * (1 << 20) / 1e9
        return carried / used, carried / took

    def compare(self, kind):
        found = {"plait": [], "nginx": [], **{name: [] for name in BLOCKS}}
        for _ in range(self.args.rounds):
            for server in found:
                found[server].append(self.measure(server, kind))
        cost = {server: statistics.median(m[0] for m in ms) for server, ms in found.items()}
        for server, ms in found.items():
            print(f"{kind:5}  {server:10}  {cost[server]:6.2f} GB per CPU second   "
                  f"{statistics.median(m[1] for m in ms):5.2f} GB/s", flush=True)
        ratio = cost["plait"] / cost["nginx"]
        print(f"{kind:5}  {'ratio':10}  {ratio:6.2f}" + "".join(f"   {name} {cost[name] / cost['nginx']:.2f}" for name in BLOCKS), flush=True)
        return ratio

    def crowd(self, kind, frames=False):
        """The peak memory of a fresh server, in MB, with so many slow readers."""
        process = self.processes.pop(("plait", kind))
        process.terminate()
        process.wait()
        self.launch_plait(kind)
        url = self.url("plait", kind)
        wait_for(lambda: subprocess.run(self.curl("-I", url), capture_output=True).returncode == 0, "plait again")
        command = [sys.executable, __file__, "--be-a-crowd", kind, "--readers", str(self.args.readers),
                   "--seconds", str(self.args.seconds), *(["--frames"] if frames else [])]
        done = subprocess.run(inside(self.net.client, *command), capture_output=True, text=True)
        if done.returncode != 0:
            raise SystemExit(f"the crowd failed: {done.stdout}{done.stderr}")
        memory = peak_mb(self.pid("plait", kind))
        print(f"{kind:5}  {'frames, ' if frames else ''}{done.stdout.strip()}; the server's peak memory {memory:.0f} MB", flush=True)
        return memory


def be_a_crowd(kind, readers, seconds, frames):
    """Runs in the client's namespace. Every reader must have got its share all the time."""
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    context = ssl.create_default_context() if kind == "tls" else None
    if context:
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    sockets, got = [], {}
    for _ in range(readers):
        s = socket.socket()
        s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)
        s.connect((ADDRESS, PORTS["plait", kind]))
        s = context.wrap_socket(s) if context else s
        fields = ["Host: x", *(frame_fields(65536) if frames else [])]
        s.sendall(("GET /large HTTP/1.1\r\n" + "".join(f + "\r\n" for f in fields) + "\r\n").encode())
        s.setblocking(False)
        sockets.append(s)
        got[s] = 0
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        began = time.monotonic()
        for s in sockets:
            try:
                piece = s.recv(4096)
                if not piece:
                    raise SystemExit("a reader was cut off")
                got[s] += len(piece)
            except (BlockingIOError, ssl.SSLWantReadError):
                pass
        time.sleep(max(0.0, 0.5 - (time.monotonic() - began)))
    if min(got.values()) < 4096:
        raise SystemExit(f"a reader got {min(got.values())} bytes")
    print(f"{readers} slow readers at once for {seconds} s, each with {min(got.values()) // 1000} kB or more")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--plait", default=ROOT / "build" / "plait", help="the program (default: build/plait)")
    parser.add_argument("--size", type=int, default=1024, help="of the file, in MiB")
    parser.add_argument("--repeat", type=int, default=2, help="how often each reader fetches it in one measurement")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--readers", type=int, default=1000, help="slow ones")
    parser.add_argument("--seconds", type=int, default=10, help="for the slow ones")
    parser.add_argument("--floor", type=float, default=0.9, help="fail below this ratio")
    parser.add_argument("--options", default="", help="further ones for plait serve")
    parser.add_argument("--frames", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--be-a-crowd", choices=("plain", "tls"), help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.be_a_crowd:
        return be_a_crowd(args.be_a_crowd, args.readers, args.seconds, args.frames)
    bench = Bench(args)
    try:
        bench.prepare()
        bench.start()
        ratios = [bench.compare(kind) for kind in ("plain", "tls")]
        crowds = [("plain", False), ("tls", False), ("plain", True)] if args.readers else []
        memory = [0, *(bench.crowd(kind, frames) for kind, frames in crowds)]
    finally:
        bench.close()
    if min(ratios) < args.floor or max(memory) > MEMORY_MAX_MB:
        raise SystemExit(f"below {args.floor} of nginx, or above {MEMORY_MAX_MB} MB")


if __name__ == "__main__":
    main()
