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


def no_quiet_hours(folder):
    """A test must mean the same at any hour of the day."""
    return write_rules(folder, calendar={"quiet_from_minute": 0, "quiet_to_minute": 0})
