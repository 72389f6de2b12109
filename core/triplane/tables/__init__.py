"""Tables of any run as named, typed columns: a model's own rows, and `Tasks`, `Jobs` and `History` as views of the run.

Source: contract cyclus section 5 (conditions, row numbers).
"""
