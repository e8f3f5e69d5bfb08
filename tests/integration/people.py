"""People and their tokens, made with PyJWT; and the rotating check-in code as a phone or screen makes it."""

import base64
import dataclasses
import hashlib
import hmac
import pathlib
import secrets
import struct
import time
import uuid

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

AUDIENCE = "yizhan"


@dataclasses.dataclass(frozen=True)
class Person:
    tenant: str
    member: str
    path: str = "g1/c1/b1"
    roles: tuple = ("member",)

    def claims(self, lifetime_s=600, **changes):
        """What the token says; a change to None takes the claim out."""
        now = int(time.time())
        claims = {
            "sub": self.member,
            "tid": self.tenant,
            "org": self.path.rsplit("/", 1)[-1],
            "path": self.path,
            "roles": list(self.roles),
            "aud": AUDIENCE,
            "iat": now,
            "exp": now + lifetime_s,
        }
        claims.update(changes)
        return {name: value for name, value in claims.items() if value is not None}


def new_id(prefix=""):
    return prefix + uuid.uuid4().hex[:24]


def new_receipt():
    """16 digits as a client draws them; easy ones are drawn again by whoever is refused, not here."""
    return "".join(secrets.choice("0123456789") for _ in range(9)) + "3801657"


class Keys:
    """A folder of token keys, one of each algorithm, as the gateway reads it, and their private halves."""

    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.private = {}
        self.signatures = set()  # of all tokens that were signed
        self.add("hs", "HS256")
        self.add("rs", "RS256")
        self.add("es", "ES256")

    def add(self, kid, algorithm):
        if algorithm == "HS256":
            secret = secrets.token_bytes(48)
            (self.folder / f"{kid}.HS256.key").write_bytes(secret)
            self.private[kid] = (algorithm, secret)
            return
        key = (
            rsa.generate_private_key(public_exponent=65537, key_size=2048)
            if algorithm == "RS256"
            else ec.generate_private_key(ec.SECP256R1())
        )
        public = key.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        (self.folder / f"{kid}.{algorithm}.pem").write_bytes(public)
        self.private[kid] = (algorithm, key)

    def token(self, person, kid="hs", lifetime_s=600, **changes):
        return self.sign(person.claims(lifetime_s, **changes), kid)

    def sign(self, claims, kid="hs", headers=None):
        algorithm, key = self.private[kid]
        token = jwt.encode(claims, key, algorithm, headers=headers or {"kid": kid})
        self.signatures.add(token.rpartition(".")[2])
        return token


def code_slot(period_s=30, at=None):
    return int(at if at is not None else time.time()) // period_s


def checkin_code(key, tenant, org_path, meeting_id, slot, nonce=None):
    """The text on the screen: slot, nonce and the first 16 bytes of their MAC under the meeting's key."""
    nonce = nonce or secrets.token_bytes(8)
    signed = f"checkin-code-v1\n{tenant}\n{org_path}\n{meeting_id}\n".encode()
    head = struct.pack(">I", slot) + nonce
    mac = hmac.new(key, signed + head, hashlib.sha256).digest()[:16]
    return base64.urlsafe_b64encode(head + mac).rstrip(b"=").decode()
