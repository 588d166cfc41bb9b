"""Debian's nginx in a temporary place: one process, several loopback addresses that act as mirrors, plain and TLS."""
import json
import os
import signal
import socket
import subprocess
from pathlib import Path

from support import closed_port, wait_for

MIRRORS = ["127.0.0.11", "127.0.0.12", "127.0.0.13", "127.0.0.14"]

CONF = """
daemon off;
worker_processes 1;
pid {place}/nginx.pid;
error_log {place}/error.log;
{user}
events {{ worker_connections 512; }}
http {{
    log_format asjson escape=json '{{"server":"$server_addr","peer":"$remote_addr","port":"$remote_port",'
        '"connection":$connection,"method":"$request_method","path":"$uri","range":"$http_range","status":$status,'
        '"sent":$body_bytes_sent,"tls":"$ssl_protocol"}}';
    access_log {place}/access.log asjson;
    client_body_temp_path {place}/t1; proxy_temp_path {place}/t2; fastcgi_temp_path {place}/t3;
    uwsgi_temp_path {place}/t4; scgi_temp_path {place}/t5;
    types {{ application/metalink4+xml meta4; }}
    default_type application/octet-stream;
    sendfile on;
    output_buffers 2 64k;
    limit_conn_zone $server_addr$uri zone=per:1m;
    {servers}
}}
"""

PLACES = """
        location / {{ root {root}; }}
        location /slow/ {{ alias {root}/; limit_rate 100k; }}
        location /paced/ {{ alias {root}/; limit_rate 1m; }}
        location /one/ {{ alias {root}/; limit_conn per 1; limit_rate 4m; }}
        location /two/ {{ alias {root}/; limit_conn per 2; limit_rate 4m; limit_conn_status 429; }}
        location /whole/ {{ alias {root}/; max_ranges 0; }}
        location /moved/ {{ rewrite ^/moved/(.*)$ /$1 redirect; }}
        location /gone/ {{ return 404; }}
"""


def serves(address, port):
    with socket.socket() as s:
        return s.connect_ex((address, port)) == 0


class Nginx:
    """`root` is what it serves; `certificates` gives the files for the TLS servers by name."""

    def __init__(self, place, root, certificates):
        self.place, self.root = Path(place), root
        self.port, self.tls_port = closed_port(MIRRORS[0]), {}
        servers = [self.server("%s:%d" % (a, self.port)) for a in MIRRORS]
        for name, (cert, key) in certificates.items():
            self.tls_port[name] = closed_port(MIRRORS[0])
            lines = "ssl_certificate %s; ssl_certificate_key %s;" % (cert, key)
            servers += [self.server("%s:%d ssl" % (a, self.tls_port[name]), lines) for a in MIRRORS[:3]]
        conf = self.place / "nginx.conf"
        user = "user root;" if os.geteuid() == 0 else ""
        conf.write_text(CONF.format(place=place, servers="\n".join(servers), user=user))
        self.process = subprocess.Popen(["/usr/sbin/nginx", "-c", str(conf), "-e", str(self.place / "error.log")])
        wait_for(lambda: serves(MIRRORS[-1], self.port), "nginx to listen")

    def server(self, listen, lines=""):
        return "server { listen %s; %s %s }" % (listen, lines, PLACES.format(root=self.root))

    def url(self, name, mirror=0, where="/"):
        return "http://%s:%d%s%s" % (MIRRORS[mirror], self.port, where, name)

    def tls_url(self, name, cert, mirror=0, host=None, where="/"):
        return "https://%s:%d%s%s" % (host or MIRRORS[mirror], self.tls_port[cert], where, name)

    def urls(self, name, count, where="/"):
        return [self.url(name, i, where) for i in range(count)]

    def requests(self, name):
        """What was logged about paths that end in this name. A request is logged when its response is over."""
        lines = (self.place / "access.log").read_text().split("\n")[:-1]
        return [r for r in map(json.loads, lines) if r["path"].endswith(name)]

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(5)
