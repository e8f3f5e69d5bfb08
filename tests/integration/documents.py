"""The database's users as shipped (k8s/mongodb/roles.json), with passwords of this stack's own, and a root for the
tests."""

import json
import pathlib
import secrets

import pymongo

ROLES = json.loads((pathlib.Path(__file__).resolve().parents[2] / "k8s/mongodb/roles.json").read_text())
ROOT = "root"


class DatabaseUsers:
    def __init__(self, port):
        self.port = port
        self.set_name = None
        self.passwords = {user: secrets.token_hex(16) for user in (ROOT, *(role["user"] for role in ROLES))}

    def uri(self, user, port=None, **options):
        options = {**({"replicaSet": self.set_name} if self.set_name and port is None else {}), **options}
        tail = "".join(f"&{name}={value}" for name, value in options.items())
        return f"mongodb://{user}:{self.passwords[user]}@127.0.0.1:{port or self.port}/?authSource=admin{tail}"

    def make(self, database):
        """Into a fresh server: it lets a local client make the first user."""
        with pymongo.MongoClient(f"mongodb://127.0.0.1:{self.port}/", directConnection=True) as client:
            client.admin.command("createUser", ROOT, pwd=self.passwords[ROOT], roles=["root"])
        with pymongo.MongoClient(self.uri(ROOT, self.port), directConnection=True) as client:
            for each in ROLES:
                privileges = [{**p, "resource": {**p["resource"], "db": database}} for p in each["privileges"]]
                client.admin.command("createRole", each["role"], privileges=privileges, roles=[])
                client.admin.command("createUser", each["user"], pwd=self.passwords[each["user"]], roles=[each["role"]])
