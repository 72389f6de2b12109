"""Finding runs: search attributes, and the language in which a list of runs is asked for.

`attributes` says what can be asked about and checks values, `language` reads a query into the tree of `expressions`, and
the store answers it. `definitions` holds what the namespaces have defined, `service` changes it.
"""
