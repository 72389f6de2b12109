"""The `flow.cylc` language: source text → a complete, plain model, with line-numbered errors.

What is understood:

* the file format with nested sections, comments, continuation lines, quotes and triple quotes; a section named twice is
  one section, a recurrence named twice adds to the graph; `[[a, b]]` defines several namespaces at once
* `[meta]`; `[scheduler]` UTC mode, allow implicit tasks
* `[scheduling]` cycling mode = integer, initial and final cycle point (also `+P5`), runahead limit in cycles
* `[[graph]]` recurrences `R1`, `R1/POINT`, `P2`, `POINT/P2`, `R3/POINT/P2`, `R/POINT/P2`, a point being an integer, `^`,
  `$` or `+P1`; graph strings over many lines with `=>`, `&`, offsets `[-P1]` `[+P1]` `[^]` `[$]` `[^+P1]` `[3]`,
  the qualifiers of all standard outputs but `:finish`, custom outputs, and `?`
* `[runtime]` with multiple inheritance by C3, all script parts, `platform`, `[[[environment]]]`, `[[[outputs]]]`,
  `[[[meta]]]`

Everything else is refused by name with its line, never ignored; `settings.py` has the lists.
"""
