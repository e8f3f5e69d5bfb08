"""What samples come to: median, spread, ratio to the baseline, verdict against the goal."""

import math
import statistics

median = statistics.median


def ratios(row):
    """ours/baseline of each round; None without a baseline."""
    if row.base is None:
        return None
    return [ours / base if base else float("inf") for ours, base in zip(row.ours, row.base, strict=True)]


def ratio(row):
    """Median of the rounds' ratios: what both had in common in a round (the machine's mood) cancels out."""
    found = ratios(row)
    return median(found) if found else None


def verdict(row):
    """True: reached; False: not; None: the row has no goal."""
    if row.goal is None:
        return None
    operator, _, number = row.goal.partition(" ")
    value = ratio(row) if row.goal_of == "ratio" else median(row.ours)
    if value is None:
        raise ValueError(f"{row.case}: a goal of the ratio, and no baseline")
    return value <= float(number) if operator == "<=" else value >= float(number)


def number(value):
    """Three figures, no exponent: 1234567 -> 1,230,000; 0.0123 -> 0.0123."""
    if value is None:
        return ""
    if value == 0:
        return "0"
    if math.isinf(value):
        return "∞"
    if abs(value) >= 999.5:
        digits = len(str(round(abs(value)))) - 3
        return f"{round(value, -digits):,.0f}"
    return f"{value:.3g}"


def spread(samples):
    """"12.3 (11.8..14.0)": the median, and the least and the greatest."""
    text = number(median(samples))
    return text if len(samples) == 1 else f"{text} ({number(min(samples))}..{number(max(samples))})"


def as_json(row):
    """The row with what follows from it."""
    found = ratios(row)
    return {
        "case": row.case, "unit": row.unit, "better": row.better, "note": row.note, "extra": row.extra,
        "ours": row.ours, "median": median(row.ours), "baseline": row.baseline, "base": row.base,
        "base_median": median(row.base) if row.base else None, "ratio": ratio(row), "ratios": found,
        "goal": row.goal, "goal_of": row.goal_of, "reached": verdict(row),
    }  # fmt: skip
