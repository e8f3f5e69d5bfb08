"""The table of a scenario as Markdown: a line per row."""

from report import figures

WORDS = {True: "reached", False: "**missed**", None: ""}
HEAD = ["case", "unit", "ours", "baseline", "ratio", "goal", ""]


def goal(row):
    if row.goal is None:
        return ""
    return f"{row.goal} ×" if row.goal_of == "ratio" else row.goal


def line(row, judge):
    """The cells of a row; judge False (a smoke run): no goal and no verdict."""
    base = f"{row.baseline}: {figures.spread(row.base)}" if row.base else ""
    ratio = figures.ratios(row)
    verdict = WORDS[figures.verdict(row)] if judge else ""
    return [row.case, row.unit, figures.spread(row.ours), base, figures.spread(ratio) if ratio else "",
            goal(row) if judge else "", verdict]  # fmt: skip


def markdown(rows, judge=True):
    """A table of Markdown, its columns lined up; notes below it."""
    cells = [HEAD, *(line(row, judge) for row in rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(HEAD))]

    def text(row):
        return "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |"

    rule = "|" + "|".join("-" * (width + 2) for width in widths) + "|"
    notes = list(dict.fromkeys(row.note for row in rows if row.note))
    return "\n".join([text(HEAD), rule, *map(text, cells[1:]), *([""] if notes else []), *(f"- {n}" for n in notes)])
