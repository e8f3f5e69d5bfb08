"""The bus' users as shipped (k8s/base/nats-users.conf), with passwords of this stack's own.

The tests themselves are a fourth user who may do everything: strangers to the system, they look into it and put
things in that no program of it would.
"""

import os
import pathlib
import secrets

SHIPPED = pathlib.Path(__file__).resolve().parents[2] / "k8s" / "base" / "nats-users.conf"
PROGRAMS = ("gateway", "worker", "operator")
TESTER = "tester"


class Rights:
    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        self.passwords = {user: f"p{secrets.token_hex(16)}" for user in (*PROGRAMS, TESTER)}
        for user, password in self.passwords.items():
            with open(os.open(self._file(user), os.O_WRONLY | os.O_CREAT, 0o600), "w") as file:
                file.write(password + "\n")

    def _file(self, user):
        return self.folder / f"nats-{user}.password"

    def of(self, user):
        """Settings of a program that connects as this user."""
        return {"nats_user": user, "nats_password_file": self._file(user)}

    def environment(self):
        """Of nats-server."""
        return {f"YZ_NATS_PASSWORD_{user.upper()}": word for user, word in self.passwords.items()}

    def write(self, folder):
        """The file to include from a nats.conf in this folder; its name."""
        text = SHIPPED.read_text()
        assert text.count("users: [\n") == 1
        own = f"    {{ user: {TESTER}, password: $YZ_NATS_PASSWORD_TESTER }}\n"
        (pathlib.Path(folder) / SHIPPED.name).write_text(text.replace("users: [\n", "users: [\n" + own))
        return SHIPPED.name
