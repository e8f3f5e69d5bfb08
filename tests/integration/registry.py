"""The tree of orgs and members' files as an admin of the tenant fills them."""

from waiting import until

BASIS = "批复"


def chief(town, top="g1"):
    return town.person("chief", top, ("member", f"admin@{top}"))


def found(desk, *paths, kind="BRANCH"):
    """Found the orgs, each after the one above it."""
    for path in paths:
        desk.done("org.founded", {"orgPath": path, "name": f"支部{path}", "kind": kind, "basis": BASIS})


def file_of(name="张三", **fields):
    return {"name": name, "kind": "FULL", **fields}


def register(desk, member, path, **fields):
    return desk.done("member.registered", {"orgPath": path, "memberId": member, "file": file_of(**fields), "basis": BASIS})


def roster(town, path):
    """{member id: entry} of those who belong to the branch."""
    document = town.stack.documents["branches"].find_one({"_id": f"{town.name}|{path}"}) or {}
    return {m["m"]: m for m in document.get("members", []) if "l" not in m}


def wait_roster(town, path, members):
    until(lambda: set(roster(town, path)) == set(members), 30, what=f"{path} has {sorted(members)}")


def id_number(serial):
    """A valid one, of somebody who does not exist."""
    digits = f"11010119900307{serial % 1000:03}"
    weights = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
    return digits + "10X98765432"[sum(int(d) * w for d, w in zip(digits, weights, strict=True)) % 11]


__all__ = ["BASIS", "chief", "file_of", "found", "id_number", "register", "roster", "wait_roster"]
