"""Scenarios: short runs, led by hand, in which one certain fault meets one certain moment. The same checker judges them."""
