"""The one console script, `triplane`. What talks to a running gateway comes from adapters, by entry point `triplane.commands`."""
