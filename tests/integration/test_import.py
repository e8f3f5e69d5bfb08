"""yzctl import: a file of members is checked as a whole, and then imported, or nothing of it."""

import csv
import io
import json

import pytest
from registry import chief, found, id_number, wait_roster
from waiting import until

COLUMNS = ["member_id", "org_path", "name", "kind", "id_number", "phone", "dues_base", "birthday", "roles"]
ROWS = 500


@pytest.fixture
def orgs(town):
    desk = town.phone(chief(town))
    found(desk, "g1", "g1/b1", "g1/b2")
    return desk


def row(n, **changes):
    fields = {"member_id": f"m{n}", "org_path": f"g1/b{1 + n % 2}", "name": f"张{n}", "kind": "正式党员",
              "id_number": id_number(n),
              "phone": f"138{n:08}", "dues_base": "5000.50", "birthday": "1990-03-07", "roles": ""}  # fmt: skip
    return {**fields, **changes}


def write(path, rows, columns=COLUMNS, encoding="utf-8", mark=""):
    text = io.StringIO()
    table = csv.DictWriter(text, columns)
    table.writeheader()
    table.writerows(rows)
    path.write_bytes((mark + text.getvalue()).encode(encoding))
    return path


def at_rest(town):
    """Nothing waits for a worker, and no row for its time."""
    def settled():
        return town.stack.bus.stream("EVENTS")["state"]["messages"] == 0
    return settled() and not town.find("outbox", state="due") and settled()


def run(town, path, *words, code=0):
    who = ("--tenant", town.name, "--member", "chief", "--path", "g1", "--role", "admin@g1")
    said = town.stack.ctl("import", "--members", path, *who, "--basis", "党员名册", "--json", *words, code=code)
    return json.loads(said.splitlines()[0])


def test_a_file_of_500_rows_twice(town, orgs, tmp_path):
    rows = [row(n) for n in range(ROWS)]
    rows[7]["roles"] = "secretary@g1/b2;inspector@g1"
    path = write(tmp_path / "roll.csv", rows, mark="\ufeff")
    assert run(town, path, "--dry-run") == {"rows": ROWS, "imported": 0}
    assert not town.find("members")
    assert run(town, path) == {"rows": ROWS, "imported": ROWS, "refused": 0, "known": 0}
    before = sorted((d["_id"], d["evt_seq"]) for d in town.find("members"))
    assert len(before) == ROWS
    for branch, first in (("g1/b1", 0), ("g1/b2", 1)):
        wait_roster(town, branch, {f"m{n}" for n in range(first, ROWS, 2)})
    until(lambda: at_rest(town), 60, what="what the file causes elsewhere is settled")
    events = len(town.find("outcomes"))
    assert run(town, path) == {"rows": ROWS, "imported": 0, "refused": 0, "known": ROWS}
    assert sorted((d["_id"], d["evt_seq"]) for d in town.find("members")) == before
    assert len(town.find("outcomes")) == events
    # The id of an event stands in clear: what a file keeps encrypted is no part of it.
    for n in range(ROWS):
        rows[n].update(phone=f"139{n:08d}", id_number=id_number(900 + n))
    assert run(town, write(tmp_path / "other.csv", rows)) == {"rows": ROWS, "imported": 0, "refused": 0, "known": ROWS}
    own = town.phone(town.person("m7", "g1/b2")).query("member.get")["file"]
    assert own["phone"] == "13800000007" and own["duesBaseFen"] == "500050" and len(own["roles"]) == 2
    who = ("--tenant", town.name, "--member", "m7", "--from-registry", "--kid", "hs")
    token = json.loads(town.stack.ctl("token", *who, "--json"))
    assert token["claims"]["path"] == "g1/b2" and token["claims"]["roles"] == ["member", "secretary@g1/b2", "inspector@g1"]
    with town.stack.connect() as phone:
        phone.hello(token["token"])
        assert len(phone.query("member.search", {"orgPath": "g1", "limit": 100})["members"]) == 100
    town.stack.ctl("token", "--tenant", town.name, "--member", "nobody", "--from-registry", "--kid", "hs", code=1)


def test_all_errors_and_nothing_imported(town, orgs, tmp_path):
    rows = [row(n) for n in range(12)]
    rows[1].update(id_number="110101199003078031", birthday="1990-02-30")
    rows[2].update(name="=cmd|' /C calc'!A0")
    rows[3].update(member_id="m0")
    rows[4].update(org_path="g1/none")
    rows[5].update(kind="党员", phone="12")
    rows[6].update(name="", member_id="")
    rows[7].update(id_number=id_number(0))
    rows[8].update(roles="secretary@g2")
    rows[9].update(dues_base="五千")
    rows[10].update(org_path="g2/b1")
    answer = run(town, write(tmp_path / "roll.csv", rows), code=1)
    found_errors = [(e["line"], e["column"]) for e in answer["errors"]]
    assert found_errors == [(3, "birthday"), (3, "id_number"), (4, "name"), (5, "member_id"), (6, "org_path"), (7, "kind"),
                            (7, "phone"), (8, "member_id"), (8, "name"), (9, "id_number"),
                            (10, "roles"), (11, "dues_base"), (12, "org_path"),
                            (12, "org_path")]  # fmt: skip
    assert "110101199003078031" not in str(answer)
    assert not town.find("members") and answer["imported"] == 0


def test_other_encodings_json_and_columns(town, orgs, tmp_path):
    rows = [row(n, name="张三") for n in range(3)]
    gb = write(tmp_path / "gb.csv", rows, encoding="gb18030")
    errors = run(town, gb, code=1)["errors"]
    assert len(errors) == 1 and errors[0]["line"] == 2 and "GB18030" in errors[0]["text"]
    assert "gb18030" in run(town, gb, "--encoding", "nonsense", code=2)["error"]["text"]
    assert run(town, gb, "--encoding", "gb18030")["imported"] == 3
    listed = tmp_path / "roll.json"
    listed.write_text(json.dumps([{**row(5), "phone": 13800138000}]))
    assert run(town, listed)["imported"] == 1
    assert town.phone(town.person("m5", "g1/b2")).query("member.get")["file"]["phone"] == "13800138000"
    errors = run(town, write(tmp_path / "c.csv", [{"member_id": "m9", "年龄": 3}], ["member_id", "年龄"]), code=1)["errors"]
    assert [e["column"] for e in errors] == ["kind", "name", "org_path", "年龄"]
    # A file that somebody else's row has already: named before anything is sent.
    errors = run(town, write(tmp_path / "other.csv", [row(6), row(5, name="李四")]), code=1)["errors"]
    assert [(e["line"], e["column"]) for e in errors] == [(3, "member_id")] and len(town.find("members")) == 4
