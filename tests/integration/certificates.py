"""Certificates for the tests: an authority of our own, pairs of certificate and key, and what a client sees of them."""

import datetime
import ipaddress
import os
import pathlib
import socket
import ssl

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID


def _name(text):
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _pem(key):
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


class Authority:
    """Signs for localhost; clients that trust it are made by client()."""

    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.certificate = self._sign(self.key.public_key(), _name("test authority"), self.key, 3650, ca=True)
        self.file = self.folder / "authority.pem"
        self.file.write_bytes(self.certificate.public_bytes(serialization.Encoding.PEM))

    def _sign(self, public_key, subject, key, days, ca=False, issuer=None, begins=-1):
        now = datetime.datetime.now(datetime.timezone.utc)
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(issuer or subject)
            .public_key(public_key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now + datetime.timedelta(days=begins))
            .not_valid_after(now + datetime.timedelta(days=days))
            .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
        )
        if not ca:
            names = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
            builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
        return builder.sign(key, hashes.SHA256())

    def pair(self, kind="ec", days=30, begins=-1):
        """(certificate PEM, key PEM, serial) of a new key."""
        key = (
            ec.generate_private_key(ec.SECP256R1())
            if kind == "ec"
            else rsa.generate_private_key(public_exponent=65537, key_size=2048)
        )
        made = self._sign(key.public_key(), _name("localhost"), self.key, days, False, _name("test authority"), begins)
        chain = made.public_bytes(serialization.Encoding.PEM) + self.file.read_bytes()
        return chain, _pem(key), made.serial_number

    def client(self):
        context = ssl.create_default_context(cafile=str(self.file))
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        return context


class Mounted:
    """A certificate and its key in files as a mounted secret has them: links that are turned in one step."""

    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.count = 0
        for name in ("tls.crt", "tls.key"):
            (self.folder / name).symlink_to(f"current/{name}")

    @property
    def cert(self):
        return self.folder / "tls.crt"

    @property
    def key(self):
        return self.folder / "tls.key"

    def put(self, cert, key):
        self.count += 1
        made = self.folder / f"version{self.count}"
        made.mkdir()
        (made / "tls.crt").write_bytes(cert)
        (made / "tls.key").write_bytes(key)
        turned = self.folder / "turned"
        turned.symlink_to(made.name)
        os.replace(turned, self.folder / "current")


def served_serial(port, context):
    """Serial number of the certificate that a new connection gets."""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as sock:
        with context.wrap_socket(sock, server_hostname="localhost") as tls:
            return x509.load_der_x509_certificate(tls.getpeercert(binary_form=True)).serial_number
