"""Requests that the real Cylc 8.5.4 clients sent, and what the real scheduler answered."""
