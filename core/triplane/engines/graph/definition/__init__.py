"""The `flow.cylc` language: source text → a complete, plain model, with line-numbered errors."""
