"""A header is a contract: it says how long a thing lives and which thread calls it."""

import tree

AREAS = ("common/*.h", "schemas/*.h", "gateway/*.h", "workers/*.h")


def test_every_header_tells_lifetime_and_thread():
    silent = []
    for path in tree.files(*AREAS):
        opening = tree.text(path).split("*/")[0]
        if "Lifetime" not in opening or "Thread" not in opening:
            silent.append(path)
    assert not silent, f"the opening comment lacks Lifetime or Thread: {silent}"


def test_every_header_names_itself_and_has_a_guard():
    for path in tree.files(*AREAS):
        name = path.split("/")[-1]
        text = tree.text(path)
        assert text.startswith(f"/* {name}: "), f"{path} does not begin with its own name and purpose"
        assert "#ifndef " in text, path


def test_no_file_is_too_long_to_read():
    long = {path: len(tree.text(path).splitlines()) for path in tree.files("*.c", "*.h", "*.py")}
    long = {path: lines for path, lines in long.items() if lines > 900}
    assert not long
