"""Bars of a scenario's rows as SVG: ours beside its baselines, the median as the bar, least and greatest as a whisker."""

import html
import math

from report import figures

OURS, BASES = "#0b5394", ("#b7b7b7", "#e69138", "#8e7cc3")  # apart for the colour-blind, and in print
WIDTH, LABELS, VALUES, BAR, GAP, HEAD, FOOT = 960, 330, 150, 13, 12, 54, 34


def _groups(rows):
    """{case: [(name, samples), ...]}, ours first, each baseline once."""
    groups = {}
    for row in rows:
        group = groups.setdefault(row.case, [("ours", row.ours)])
        if row.base and row.baseline not in [name for name, _ in group]:
            group.append((row.baseline, row.base))
    return groups


def _scale(rows):
    """value -> share of the width, and whether it is logarithmic (values more than 30 times apart)."""
    values = [value for row in rows for value in [*row.ours, *(row.base or [])] if value > 0]
    if not values:
        return (lambda value: 0.0), False
    low, high = min(values), max(values)
    if high / low > 30:
        first, last = math.floor(math.log10(low)), math.log10(high)
        return (lambda value: 0.0 if value <= 0 else max(0.0, (math.log10(value) - first) / (last - first))), True
    return (lambda value: value / high), False


def _text(x, y, words, size=12, anchor="start", weight="normal", fill="#222"):
    return (f'<text x="{x:.0f}" y="{y:.0f}" font-size="{size}" text-anchor="{anchor}" font-weight="{weight}" '
            f'fill="{fill}">{html.escape(words)}</text>')  # fmt: skip


def svg(title, rows):
    """One plot of rows that share a unit; the text of the file."""
    groups, (scale, logarithmic) = _groups(rows), _scale(rows)
    bases = list(dict.fromkeys(row.baseline for row in rows if row.baseline))
    colours = {"ours": OURS, **{name: BASES[i % len(BASES)] for i, name in enumerate(bases)}}
    room, parts, y = WIDTH - LABELS - VALUES, [], HEAD
    for case, group in groups.items():
        parts.append(_text(LABELS - 10, y + len(group) * BAR / 2 + 4, case, anchor="end"))
        for name, samples in group:
            value, low, high = figures.median(samples), scale(min(samples)), scale(max(samples))
            length = max(1.0, scale(value) * room)
            parts.append(f'<rect x="{LABELS}" y="{y}" width="{length:.1f}" height="{BAR - 2}" fill="{colours[name]}"/>')
            if len(samples) > 1:
                middle = y + (BAR - 2) / 2
                parts.append(f'<line x1="{LABELS + low * room:.1f}" x2="{LABELS + high * room:.1f}" y1="{middle}" '
                             f'y2="{middle}" stroke="#222"/>')  # fmt: skip
            end = LABELS + max(length, high * room) + 6
            parts.append(_text(end, y + BAR - 3, figures.number(value), size=11))
            y += BAR
        y += GAP
    legend, x = [], LABELS
    for name, colour in colours.items():
        legend.append(f'<rect x="{x}" y="30" width="10" height="10" fill="{colour}"/>' + _text(x + 15, 39, name))
        x += 30 + 8 * len(name)
    foot = f"{rows[0].unit}; {rows[0].better} is better; bar: median of {len(rows[0].ours)} rounds, line: least to greatest"
    foot += "; logarithmic" if logarithmic else ""
    return "\n".join([
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{y + FOOT}" '
        f'viewBox="0 0 {WIDTH} {y + FOOT}" font-family="sans-serif">',
        f'<rect width="{WIDTH}" height="{y + FOOT}" fill="#fff"/>',
        _text(LABELS, 20, title, size=15, weight="bold"), *legend, *parts,
        _text(LABELS, y + 14, foot, size=11, fill="#555"), "</svg>", ""])  # fmt: skip

