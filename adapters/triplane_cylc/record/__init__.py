"""What a run leaves in its directory for people who read files: the database that clients poll, and the log."""

from triplane_cylc.record.recorder import Recorder

__all__ = ["Recorder"]
