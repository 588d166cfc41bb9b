"""A certificate authority and what it signs, made with the openssl command."""
import subprocess
from pathlib import Path

NAMES = "IP:127.0.0.11,IP:127.0.0.12,IP:127.0.0.13,IP:127.0.0.2,IP:127.0.0.3,DNS:localhost,DNS:mirror.plait.test"


def openssl(*args):
    subprocess.run(["openssl", *map(str, args)], check=True, capture_output=True)


class Certificates:
    """ca: the file to trust; good, wrong (another host), expired, own (self-signed): (certificate, key) by name."""

    def __init__(self, place):
        self.place = Path(place)
        self.ca = self.place / "ca.pem"
        key = self.key("ca")
        openssl("req", "-x509", "-new", "-key", key, "-out", self.ca, "-days", "30", "-subj", "/CN=plait test CA",
                "-addext", "keyUsage=critical,keyCertSign,cRLSign")
        self.pairs = {"good": self.signed("good", NAMES),
                      "wrong": self.signed("wrong", "DNS:other.plait.test"),
                      "expired": self.signed("expired", NAMES, expired=True),
                      "own": self.own("own")}

    def key(self, name):
        path = self.place / (name + ".key")
        openssl("ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", path)
        return path

    def signed(self, name, names, expired=False):
        key, cert, request = self.key(name), self.place / (name + ".pem"), self.place / (name + ".csr")
        openssl("req", "-new", "-key", key, "-out", request, "-subj", "/CN=" + name)
        extensions = self.place / (name + ".ext")
        extensions.write_text("subjectAltName=%s\nbasicConstraints=CA:FALSE\n" % names)
        index = self.place / (name + ".index")
        index.write_text("")
        conf = self.place / (name + ".cnf")
        conf.write_text("[ca]\ndefault_ca=d\n[d]\ndatabase=%s\nnew_certs_dir=%s\nserial=%s\nrand_serial=yes\n"
                        "default_md=sha256\npolicy=p\n[p]\ncommonName=supplied\n" % (index, self.place, index))
        days = ["-startdate", "20200101000000Z", "-enddate", "20200201000000Z"] if expired else ["-days", "20"]
        openssl("ca", "-batch", "-config", conf, "-cert", self.ca, "-keyfile", self.place / "ca.key", "-in", request,
                "-out", cert, "-extfile", extensions, "-notext", *days)
        return cert, key

    def own(self, name):
        key, cert = self.key(name), self.place / (name + ".pem")
        openssl("req", "-x509", "-new", "-key", key, "-out", cert, "-days", "20", "-subj", "/CN=localhost",
                "-addext", "subjectAltName=" + NAMES)
        return cert, key
