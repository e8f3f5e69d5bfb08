"""schemas/rules: the table of RULES.md is that of rules.def and the packs, and every pack has its file."""

import rules_table
import tree


def test_the_table_is_written_from_the_packs():
    assert rules_table.FILE.read_text(encoding="utf-8") == rules_table.wanted(), "scripts/format writes it anew"


def test_every_pack_has_a_file_and_every_file_a_pack():
    names = {f"schemas/rules/{name}.json" for name, _ in rules_table.packs()}
    assert set(tree.files("schemas/rules/*.json")) == names


def test_each_value_lies_within_its_bounds():
    for name, rules in rules_table.packs():
        for version in rules_table.read(name)["versions"]:
            where = f"{name} {version['version']}"
            assert set(version["rules"]) == {rule for rule, *_ in rules}, where
            for rule, low, high, _ in rules:
                assert low <= version["rules"][rule] <= high, f"{where}: {rule}"


def test_no_rule_changes_without_a_version_of_its_own():
    """Days rise, and no name stands twice: what was decided names the version it was decided under."""
    for name, _ in rules_table.packs():
        versions = rules_table.read(name)["versions"]
        days = [version["effective_from"] for version in versions]
        assert days == sorted(set(days)), name
        assert len({version["version"] for version in versions}) == len(versions), name
