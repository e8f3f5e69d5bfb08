"""ctest's door to relay_load.py."""

import relay_load


def test_nothing_is_lost_and_nothing_happens_twice(tmp_path, capsys):
    run = relay_load.main(tmp_path)
    with capsys.disabled():
        print("\n" + run.report())
