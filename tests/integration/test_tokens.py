"""Tokens: what is refused, with which code, over WebSocket and HTTP; expiry and renewal on the open connection."""

import base64
import hashlib
import hmac
import json
import time

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from people import Person


def b64(data):
    data = data if isinstance(data, bytes) else json.dumps(data).encode()
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def unsigned(claims, algorithm="none"):
    return f"{b64({'alg': algorithm, 'typ': 'JWT', 'kid': 'hs'})}.{b64(claims)}."


def by_public_key(stack, claims):
    """HS256 under the text of the RS256 public key: the classic confusion."""
    pem = (stack.keys.folder / "rs.RS256.pem").read_bytes()
    signed = f"{b64({'alg': 'HS256', 'typ': 'JWT', 'kid': 'rs'})}.{b64(claims)}"
    return f"{signed}.{b64(hmac.new(pem, signed.encode(), hashlib.sha256).digest())}"


def by_other_key(claims):
    stranger = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    return jwt.encode(claims, stranger, "RS256", headers={"kid": "rs"})


def tampered(token):
    head, _, signature = token.split(".")
    claims = json.loads(base64.urlsafe_b64decode(token.split(".")[1] + "=="))
    return f"{head}.{b64({**claims, 'roles': ['admin@g1']})}.{signature}"


def without_kid(stack, claims):
    return jwt.encode(claims, stack.keys.private["hs"][1], "HS256")


def bad_tokens(stack, person):
    """(name, token, code) of everything that must be refused."""
    good = person.claims()
    sign = stack.keys.sign
    now = int(time.time())
    rsa_key = stack.keys.private["rs"][1]
    return {
        "empty": ("", "token_missing"),
        "garbage": ("not a token", "token_malformed"),
        "two parts": ("aaaa.bbbb", "token_malformed"),
        "dots only": ("..", "token_malformed"),
        "binary parts": (f"{b64(bytes(range(256)))}.{b64(bytes(99))}.{b64(b'x')}", "token_malformed"),
        "huge": ("a" * 20000, "token_malformed"),
        "alg none": (unsigned(good), "token_algorithm"),
        "alg NONE": (unsigned(good, "NONE"), {"token_algorithm", "token_malformed"}),
        "alg none, signed": (unsigned(good) + "AAAA", {"token_algorithm", "token_malformed"}),
        "HS512 with an HS256 key": (
            jwt.encode(good, stack.keys.private["hs"][1] * 2, "HS512", headers={"kid": "hs"}),
            "token_algorithm"),
        "public key as secret": (by_public_key(stack, good), "token_algorithm"),
        "RS512 of the RS256 key": (
            jwt.encode(good, rsa_key, "RS512", headers={"kid": "rs"}), "token_algorithm"),
        "no kid": (without_kid(stack, good), {"token_unknown_key", "token_malformed"}),
        "unknown kid": (sign(good, headers={"kid": "nobody"}), "token_unknown_key"),
        "kid climbs": (sign(good, headers={"kid": "../keys/hs"}),
                       {"token_unknown_key", "token_malformed"}),
        "kid of another key": (sign(good, headers={"kid": "rs"}), "token_algorithm"),
        "another's signature": (by_other_key(good), "token_bad_signature"),
        "tampered claims": (tampered(sign(good)), "token_bad_signature"),
        "cut signature": (sign(good, "es")[:-10], "token_bad_signature"),
        "expired": (sign({**good, "exp": now - 1}), "token_expired"),
        "expired long ago": (sign({**good, "exp": 1}, "es"), "token_expired"),
        "not yet": (sign({**good, "nbf": now + 300}), "token_not_yet_valid"),
        "other audience": (sign({**good, "aud": "shop"}), "token_wrong_audience"),
        "other audiences": (sign({**good, "aud": ["shop", "bank"]}), "token_wrong_audience"),
        "no audience": (sign(person.claims(aud=None)), {"token_wrong_audience", "token_claims"}),
        "no exp": (sign(person.claims(exp=None)), {"token_claims", "token_expired"}),
        "exp is text": (sign_raw(stack, {**good, "exp": "tomorrow"}), {"token_claims", "token_expired"}),
        "no sub": (sign(person.claims(sub=None)), "token_claims"),
        "no tid": (sign(person.claims(tid=None)), "token_claims"),
        "no path": (sign(person.claims(path=None)), "token_claims"),
        "no roles": (sign(person.claims(roles=None)), "token_claims"),
        "roles is text": (sign({**good, "roles": "member"}), "token_claims"),
        "role is a number": (sign({**good, "roles": [7]}), "token_claims"),
        "sub with a wildcard": (sign({**good, "sub": "*"}), "token_claims"),
        "sub with a dot": (sign({**good, "sub": "a.b"}), "token_claims"),
        "tid with a wildcard": (sign({**good, "tid": ">"}), "token_claims"),
        "sub is a number": (sign_raw(stack, {**good, "sub": 7}), "token_claims"),
        "path with an empty part": (sign({**good, "path": "g1//b1"}), "token_claims"),
        "path too deep": (sign({**good, "path": "/".join("abcdefghijklm")}), "token_claims"),
        "org is not the end of path": (sign({**good, "org": "g1"}), "token_claims"),
    }  # fmt: skip


def sign_raw(stack, claims):
    """PyJWT refuses to sign malformed registered claims; an attacker does not."""
    signed = f"{b64({'alg': 'HS256', 'typ': 'JWT', 'kid': 'hs'})}.{b64(claims)}"
    mac = hmac.new(stack.keys.private["hs"][1], signed.encode(), hashlib.sha256).digest()
    return f"{signed}.{b64(mac)}"


NAMES = [
    "empty", "garbage", "two parts", "dots only", "binary parts", "huge", "alg none", "alg NONE",
    "alg none, signed", "HS512 with an HS256 key", "public key as secret", "RS512 of the RS256 key",
    "no kid", "unknown kid", "kid climbs", "kid of another key", "another's signature",
    "tampered claims", "cut signature", "expired", "expired long ago", "not yet", "other audience",
    "other audiences", "no audience", "no exp", "exp is text", "no sub", "no tid", "no path",
    "no roles", "roles is text", "role is a number", "sub with a wildcard", "sub with a dot",
    "tid with a wildcard", "sub is a number", "path with an empty part", "path too deep",
    "org is not the end of path",
]  # fmt: skip


@pytest.fixture(scope="module")
def refusals(stack):
    made = bad_tokens(stack, Person("tokens", "m1"))
    assert list(made) == NAMES
    return made


def codes(expected):
    return expected if isinstance(expected, set) else {expected}


@pytest.mark.parametrize("name", NAMES)
def test_a_bad_token_is_refused_with_its_code_and_a_terminal_close(stack, refusals, name):
    token, expected = refusals[name]
    with stack.connect() as phone:
        error = phone.error_of({"hello": {"token": token}})
        assert error["code"] in codes(expected), error
        code, closing = phone.wait_closed()
    assert code == closing["closeCode"] and 3500 <= code < 4000 and not closing.get("reconnect")


@pytest.mark.parametrize("name", NAMES)
def test_http_refuses_the_same_with_a_problem(stack, refusals, name):
    token, expected = refusals[name]
    if name == "huge":
        pytest.skip("longer than an HTTP head may be: test_bad_days has such heads")
    status, headers, problem = stack.http("GET", "/v1/query/notice/list", token=token)
    assert headers["Content-Type"].startswith("application/problem+json")
    assert status == problem["status"] == 401 and problem["code"] in codes(expected) | {"token_missing"}


@pytest.mark.parametrize("kid", ["hs", "rs", "es"])
def test_each_algorithm_is_taken_under_its_own_key(town, kid, encoding):
    with town.stack.connect(encoding) as phone:
        assert phone.hello(town.stack.keys.token(town.secretary, kid))["member"] == "sec"


@pytest.mark.parametrize("changes", [
    {"aud": ["bank", "yizhan"]}, {"nbf": int(time.time()) + 10}, {"iat": None},
    {"roles": ["member", "public", "inspector@g1", "admin@g1/c1"]}, {"email": "x@example.org"},
], ids=["list of audiences", "nbf within leeway", "no iat", "many roles", "further claim"])  # fmt: skip
def test_what_a_token_may_look_like(town, changes):
    with town.stack.connect() as phone:
        assert phone.hello(town.stack.keys.token(town.secretary, **changes))


def test_a_token_that_expires_while_connected_ends_the_session(town, encoding):
    with town.stack.connect(encoding) as phone:
        phone.hello(town.stack.keys.token(town.secretary, lifetime_s=2))
        code, closing = phone.wait_closed(10)
    assert code == 3500 and closing["code"] == "token_expired" and not closing.get("reconnect")


def test_a_second_hello_renews_the_token_and_keeps_the_channels(town, encoding):
    reader = town.stack.connect(encoding)
    reader.hello(town.stack.keys.token(town.person("m1"), lifetime_s=2), ["org.g1/c1/b1"])
    session = reader.welcome["session"]
    again = reader.hello(town.stack.keys.token(town.person("m1"), "es", lifetime_s=600))
    assert again["session"] == session
    reader.read_for(3)  # past the first token's end
    town.phone(town.secretary).emit("notice.published", {
        "noticeId": "n1", "orgPath": town.branch, "noticeClass": "INFO", "title": "t"})  # fmt: skip
    reader.wait_push(type_="notice.posted")


def test_a_renewal_cannot_change_the_member(town):
    with town.phone(town.secretary) as phone:
        error = phone.error_of({"hello": {"token": town.stack.keys.token(town.person("m1"))}})
        assert error["code"] == "token_other_member"


def test_a_renewal_with_a_bad_token_leaves_or_ends_the_session(town):
    with town.phone(town.secretary) as phone:
        error = phone.error_of({"hello": {"token": "garbage"}})
        assert error["code"] == "token_malformed"


def test_a_renewal_with_fewer_roles_takes_the_rights_away(town):
    with town.phone(town.secretary) as phone:
        phone.hello(town.stack.keys.token(town.person("sec", roles=("member",))))
        error = phone.emit_error("notice.published", {
            "noticeId": "n1", "orgPath": town.branch, "noticeClass": "INFO", "title": "t"})  # fmt: skip
        assert error["code"] == "forbidden"


def test_the_folders_keys_are_public_halves_only(stack):
    for path in stack.keys.folder.glob("*.pem"):
        serialization.load_pem_public_key(path.read_bytes())
