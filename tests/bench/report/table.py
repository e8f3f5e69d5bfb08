"""A scenario's rows as Markdown: a table for each unit, a line for each case, its baselines side by side."""

from report import figures

WORDS = {True: "reached", False: "**missed**"}


def by_unit(rows):
    """{unit: rows}, in the order of the rows."""
    units = {}
    for row in rows:
        units.setdefault(row.unit, []).append(row)
    return units


def _judged(row, judge):
    """"<= 1.15: reached"; judge False (a smoke run): no goal and no verdict."""
    if row is None or row.goal is None or not judge:
        return ""
    return f"{row.goal}: {WORDS[figures.verdict(row)]}"


def _line(rows, bases, of_value, judge):
    """The cells of one case."""
    cells = [rows[0].case, figures.spread(rows[0].ours)]
    if of_value:
        cells.append(_judged(next((row for row in rows if row.goal_of == "value"), None), judge))
    for base in bases:
        row = next((row for row in rows if row.baseline == base), None)
        goal = _judged(row, judge) if row and row.goal_of == "ratio" else ""
        cells += [figures.spread(row.base), figures.spread(figures.ratios(row)), goal] if row else ["", "", ""]
    return cells


def _lined_up(cells):
    """Markdown of rows of cells, the first the head; columns that hold nothing below it are left out."""
    kept = [column for column in range(len(cells[0])) if any(row[column] for row in cells[1:])]
    widths = {column: max(len(row[column]) for row in cells) for column in kept}
    lines = ["| " + " | ".join(row[column].ljust(widths[column]) for column in kept) + " |" for row in cells]
    rule = "|" + "|".join("-" * (widths[column] + 2) for column in kept) + "|"
    return "\n".join([lines[0], rule, *lines[1:]])


def goals(rows_of):
    """Every goal beside what was measured. rows_of: {scenario: rows}."""
    cells = [["scenario", "case", "ours", "beside", "ours ÷ it", "goal"]]
    for name, rows in rows_of.items():
        for row in rows:
            if row.goal:
                beside = f"{row.baseline}: {figures.number(figures.median(row.base))}" if row.baseline else ""
                ratio = figures.number(figures.ratio(row))
                ours = f"{figures.number(figures.median(row.ours))} {row.unit}"
                cells.append([name, row.case, ours, beside, ratio, _judged(row, True)])
    return _lined_up(cells) if len(cells) > 1 else ""


def _table(rows, judge):
    bases = list(dict.fromkeys(row.baseline for row in rows if row.baseline))
    of_value = any(row.goal and row.goal_of == "value" for row in rows)
    cases = {}
    for row in rows:
        cases.setdefault(row.case, []).append(row)
    head = ["case", "ours", *(["goal"] if of_value else [])]
    for base in bases:
        head += [base, "ours ÷ it", "goal"]
    cells = [head, *(_line(found, bases, of_value, judge) for found in cases.values())]
    return _lined_up(cells)


def markdown(rows, judge=True):
    """The tables, their columns lined up; notes below."""
    parts = []
    for unit, found in by_unit(rows).items():
        parts += [f"**{unit}** ({found[0].better} is better)", "", _table(found, judge), ""]
    notes = dict.fromkeys(row.note for row in rows if row.note)
    return "\n".join([*parts, *(f"- {note}" for note in notes)]).rstrip()
