"""schemas/AUTHORITY.md as data: who may do what, as it is written down, with nothing of it computed."""

import pathlib
import re

TEXT = (pathlib.Path(__file__).resolve().parents[2] / "schemas" / "AUTHORITY.md").read_text()


def _tables():
    """Heading in lower case -> rows of the table below it, the columns' names first."""
    found, heading = {}, ""
    for line in TEXT.splitlines():
        if line.startswith("## "):
            heading = line[3:].lower()
        elif line.startswith("|") and not line.startswith("|---"):
            found.setdefault(heading, []).append([cell.strip(" `") for cell in line.strip("|").split("|")])
    return found


TABLES = _tables()
# (type, kind) -> table that says who
TYPES = {(name, kind): who for name, kind, who in TABLES["types"][1:]}
PLACES = dict(TABLES["places"][1:])
HOME = PLACES["own"]
# as in a token; the row without any role is for the rules alone: such a token is refused at hello
ROLES = [row[0] for row in TABLES["member"][1:] if row[0] != "(none)"]


def may(name, kind, roles, place):
    table = TABLES[TYPES[name, kind]]
    row = next(row for row in table[1:] if row[0] == roles)
    return {"yes": True, "no": False}[row[table[0].index(place)]]


def roles_of(text):
    return tuple(re.split(r",\s*", text))
