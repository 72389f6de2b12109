"""`[adapters.control]`: the command line's wire, always on."""

from triplane.config import Section, setting


class ControlConfig(Section):
    """`[adapters.control]`: our own command line's wire, a Unix socket in the data directory. Always on."""

    max_in_flight: int = setting(256, "Requests of one client that are carried out at the same time.", ge=1, le=10_000)
    max_follows: int = setting(32, "Streams of changes that one client has open at the same time.", ge=1, le=1_000)
