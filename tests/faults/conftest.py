"""Fixtures of the fault runs' own tests."""

import pathlib
import sys

sys.path[:0] = [str(pathlib.Path(__file__).parents[1] / "integration"), str(pathlib.Path(__file__).parent)]
