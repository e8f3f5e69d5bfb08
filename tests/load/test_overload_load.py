"""ctest's door to overload.py."""

import overload


def test_overload_is_refused_for_now_and_nothing_is_lost(tmp_path, capsys):
    run = overload.main(tmp_path)
    with capsys.disabled():
        print("\n" + run.report())
