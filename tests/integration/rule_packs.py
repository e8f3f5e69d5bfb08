"""Rule packs of a test's own: those that are built in, with some rules changed."""

import json
import pathlib

BUILT_IN = pathlib.Path(__file__).resolve().parents[2] / "schemas" / "rules"


def write_rules(folder, **packs):
    """The folder, with all packs; packs: pack={rule: value}, in force in every version."""
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    for source in BUILT_IN.glob("*.json"):
        pack = json.loads(source.read_text(encoding="utf-8"))
        for version in pack["versions"]:
            version["rules"].update(packs.get(pack["pack"], {}))
        (folder / source.name).write_text(json.dumps(pack), encoding="utf-8")
    return folder


def wide_rules(folder, **packs):
    """No quiet hours, since a test must mean the same at any hour of the day, and a member may post as fast as it can: a
    test's people are no persons."""
    wide = {
        "calendar": {"quiet_from_minute": 0, "quiet_to_minute": 0},
        "thread": {"posts_per_minute": 100000, "posts_per_hour": 100000, "marks_per_minute": 100000},
    }
    return write_rules(folder, **{**wide, **packs})
