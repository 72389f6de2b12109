"""Echoes on standard output, as the original prints them; a reader that stops reading holds up nobody."""

import queue
import threading
from typing import Any

MOST_WAITING = 1_000
MAX_CHARACTERS = 10_000
LAST_WORDS_S = 1.0


class EchoPrinter:
    """Prints from a thread of its own; what comes while too much waits is left out."""

    def __init__(self) -> None:
        self._waiting: queue.Queue[str | None] = queue.Queue(MOST_WAITING)
        self._thread = threading.Thread(target=self._print, name="echoes", daemon=True)
        self._thread.start()

    def show(self, value: Any) -> None:
        """Print a value in a line, with what a terminal would obey made visible."""
        text = str(value)[:MAX_CHARACTERS]
        line = "".join(char if char.isprintable() or char in "\n\t" else ascii(char)[1:-1] for char in text)
        try:
            self._waiting.put_nowait(line)
        except queue.Full:
            pass

    def close(self) -> None:
        """Print what waits, within a moment."""
        try:
            self._waiting.put(None, timeout=LAST_WORDS_S)
        except queue.Full:
            return
        self._thread.join(LAST_WORDS_S)

    def _print(self) -> None:
        while (line := self._waiting.get()) is not None:
            try:
                print(line, flush=True)
            except UnicodeEncodeError:
                print(ascii(line)[1:-1], flush=True)
            except (OSError, ValueError):
                return
