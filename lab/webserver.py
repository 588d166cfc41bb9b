"""Web servers in a host of a lab: nginx, with a configuration and prefix of its own, and plait serve."""

import contextlib
import pathlib
import shutil
import socket
import subprocess
import tempfile
import time

from plaitlab import LabError, plait

CONFIGURATION = """
user root;
daemon off;
master_process off;
pid {dir}/nginx.pid;
error_log {dir}/error.log warn;
events {{ worker_connections 1024; }}
http {{
    access_log off;
    sendfile on;
    tcp_nopush on;
    keepalive_timeout 65;
    keepalive_requests 100000;
    client_body_temp_path {dir}/body;
    proxy_temp_path {dir}/proxy;
    fastcgi_temp_path {dir}/fastcgi;
    uwsgi_temp_path {dir}/uwsgi;
    scgi_temp_path {dir}/scgi;
    server {{ listen {address}:80; root {root}; }}
    {servers}
}}
"""


def program():
    """Where nginx is, or None."""
    return shutil.which("nginx") or shutil.which("/usr/sbin/nginx")


def listens(lab, host, address="127.0.0.1", port=80):
    with lab.socket(host, socket.AF_INET, socket.SOCK_STREAM) as sock:
        return sock.connect_ex((address, port)) == 0


@contextlib.contextmanager
def nginx(lab, host, root, servers="", wrapper=(), address="0.0.0.0"):
    """Serves the directory `root` at port 80 of the address (or all) for the time of the `with` block. Yields the process.

    `servers` may hold further server sections; `wrapper` goes before the command.
    """
    with tempfile.TemporaryDirectory(prefix="plait-nginx-") as directory:
        conf = pathlib.Path(directory) / "nginx.conf"
        log = pathlib.Path(directory) / "error.log"
        conf.write_text(CONFIGURATION.format(dir=directory, root=root, servers=servers, address=address))
        process = lab.popen(host, [*wrapper, program() or "nginx", "-p", directory, "-e", log, "-c", conf])
        try:
            end = time.monotonic() + 10
            while not listens(lab, host, "127.0.0.1" if address == "0.0.0.0" else address):
                if process.poll() is not None or time.monotonic() > end:
                    raise LabError("nginx does not start: " + (log.read_text() if log.exists() else "no log"))
                time.sleep(0.01)
            yield process
        finally:
            process.terminate()
            process.wait()


@contextlib.contextmanager
def plait_serve(lab, host, root, addresses, program=None):
    """A plait server at port 80 of each of the addresses, for the time of the `with` block. Yields the processes."""
    argv = [program or plait(), "serve", root, "-q", "--no-digest"]
    processes = [lab.popen(host, [*argv, "--listen", f"{address}:80"]) for address in addresses]
    try:
        end = time.monotonic() + 10
        while not all(listens(lab, host, address) for address in addresses):
            if any(p.poll() is not None for p in processes) or time.monotonic() > end:
                raise LabError("plait serve does not start")
            time.sleep(0.01)
        yield processes
    finally:
        for process in processes:
            process.kill()
            process.wait()


class Directed:
    """A director in a host, and plait servers of the directory `root` that register with it as they are started."""

    PORT = 4050

    def __init__(self, lab, host, root, directory, program=None):
        self.lab, self.host, self.root, self.program = lab, host, root, program or plait()
        self.secret = pathlib.Path(directory) / "secret"
        self.secret.touch(mode=0o600)
        self.secret.write_text("lab:of-the-laboratory-alone\n")
        self.processes = [self._start("direct", "--listen", f"0.0.0.0:{self.PORT}", "--secret", self.secret)]
        self.wait("127.0.0.1", self.PORT)

    def _start(self, *words):
        return self.lab.popen(self.host, [self.program, *words], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def wait(self, address, port=80):
        end = time.monotonic() + 10
        while not listens(self.lab, self.host, address, port):
            if self.processes[-1].poll() is not None or time.monotonic() > end:
                raise LabError("plait does not start")
            time.sleep(0.01)

    def serve(self, address):
        """Starts the server at that address; it does not listen, and is not known, yet."""
        told = ("--director", f"http://127.0.0.1:{self.PORT}", "--secret-file", self.secret, "--name", f"at-{address}",
                "--url", f"http://{address}")
        self.processes.append(self._start("serve", self.root, "-q", "--no-digest", "--listen", f"{address}:80", *told))

    def known(self, name):
        """How many servers the director names for the stream."""
        with self.lab.socket(self.host, socket.AF_INET, socket.SOCK_STREAM) as sock:
            sock.settimeout(5)
            sock.connect(("127.0.0.1", self.PORT))
            fields = "Host: d\r\nAccept: application/json\r\nConnection: close\r\n\r\n"
            sock.sendall(f"GET /{name} HTTP/1.1\r\n{fields}".encode())
            said = b""
            while part := sock.recv(65536):
                said += part
        return said.count(b'"server"')

    def stop(self):
        for process in self.processes:
            process.kill()
            process.wait()
