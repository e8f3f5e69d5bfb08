"""Every error and close code of common/err.def stands in PROTOCOL.md's tables as the server sends it."""

import re

import tree


def protocol_rows():
    """The cells of each table row of PROTOCOL.md, without backticks."""
    lines = tree.text("schemas/PROTOCOL.md").splitlines()
    return [[cell.strip().strip("`") for cell in line.strip("|").split("|")] for line in lines if line.startswith("|")]


def test_every_error_is_documented_with_its_status():
    rows = protocol_rows()
    missing = []
    for _, code, temporary, status, *_ in tree.macro_rows("common/err.def", "YZ_ERR"):
        if not any(row[0] == code and status in row for row in rows):
            missing.append(f"{code} (HTTP {status}, temporary {temporary})")
    assert not missing, f"PROTOCOL.md has no row with: {missing}"


def test_every_close_code_is_documented():
    rows = protocol_rows()
    missing = [f"{number} {code}" for _, number, code, *_ in tree.macro_rows("common/err.def", "YZ_CLOSE")
               if not any(number in row and code in row for row in rows)]
    assert not missing, f"PROTOCOL.md has no row with: {missing}"


def test_close_codes_keep_their_ranges():
    for _, number, code, text in tree.macro_rows("common/err.def", "YZ_CLOSE"):
        assert 3000 <= int(number) <= 3999, code
        again = "reconnect" in text and not re.search("with a new", text)
        assert again == (int(number) < 3500), f"{number} {code}: {text}"


def test_codes_are_unique():
    codes = [row[1] for row in tree.macro_rows("common/err.def", "YZ_ERR")]
    assert len(codes) == len(set(codes))
