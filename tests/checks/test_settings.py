"""README.md's settings table is what the programs say of themselves."""

import os
import pathlib

import settings_table
import tree


def gateway():
    return pathlib.Path(os.environ["YZ_BUILD_DIR"]) / "gateway/yz-gateway"


def test_readme_holds_the_programs_own_table():
    _, table, _ = settings_table.split()
    assert table == settings_table.wanted(gateway()), "scripts/format writes README.md's table anew"


def test_every_setting_stands_in_the_table():
    _, table, _ = settings_table.split()
    rows = tree.macro_rows("common/conf.def", "(?:INT|STR)")
    missing = [row[1] for row in rows if f"`YZ_{row[1].upper()}`" not in table]
    assert not missing
