"""The hook's place."""

STATE = None


def loop() -> None:
    """Called after every step, by whatever it is bound to then."""
    raise RuntimeError("no server runs here")
