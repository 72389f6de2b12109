"""Real pandas, asked in JSON lines: what does it make of this table?

    {"columns": [[name, kind], …], "rows": [[cell, …], …], "asks": [{"orient", "conds", "precision"}, …]}
    → [{"text": JSON text} or {"error": name of the exception}, …]

Blobs come as base64. The frame is what a simulation's tables are there: plain columns where the values allow, object columns
where there are nulls or values that have no type of their own.
"""

import base64
import json
import operator
import sys
import uuid

import pandas

OPERATORS = {"==": operator.eq, "!=": operator.ne, "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge}
PLAIN = {"bool": "bool", "int": "int64", "float": "float64"}


def cell_of(kind, value):
    if value is None:
        return None
    if kind == "blob":
        return base64.b64decode(value)
    return uuid.UUID(value) if kind == "uuid" else value


def frame_of(columns, rows):
    series = {}
    for position, (name, kind) in enumerate(columns):
        cells = [cell_of(kind, row[position]) for row in rows]
        plain = kind in PLAIN and (kind == "float" or None not in cells)
        series[name] = pandas.Series(cells, dtype=PLAIN[kind] if plain else "object")
    return pandas.DataFrame(series, columns=[name for name, _ in columns])


def answer(frame, ask):
    for column, sign, value in ask["conds"] or ():
        frame = frame[OPERATORS[sign](frame[column], value)]
    # Objects that pandas knows no form for are handed to `str` there.
    return frame.to_json(orient=ask["orient"], double_precision=ask["precision"], default_handler=str)


def main():
    print(json.dumps(pandas.__version__), flush=True)
    for line in sys.stdin:
        given = json.loads(line)
        frame = frame_of(given["columns"], given["rows"])
        answers = []
        for ask in given["asks"]:
            try:
                answers.append({"text": answer(frame, ask)})
            except Exception as error:
                answers.append({"error": type(error).__name__})
        print(json.dumps(answers), flush=True)


main()
