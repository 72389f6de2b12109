"""The `flow.cylc` language: source text → a complete, plain model, with line-numbered errors.

Read in this order: `templating` (`%include`, Jinja2) → `sections` (the file format) → `settings` (what is known) →
`scheduler`, `scheduling`, `points`, `recurrences`, `xtriggers`, `parameters`, `runtime` (values) → `graph_text`,
`dependencies`, `optionality`, `completion`, `circles` (the graph) → `build` (all of it) → `model`, `plain` (what comes out).
`calendar`, `sequences` and `expressions` are what the engine computes with later on.

What is known and not supported is refused by name with its line, never ignored: `settings.KNOWN`, EmPy, polling other
workflows from graphs (`<workflow::task>`), and platforms computed by the shell.
"""
