"""What waits to be sent to one client: bounded, in order, with newer announcements in place of older ones."""

from collections import OrderedDict
from collections.abc import Callable


class Outbox:
    """A queue of frames for one client.

    Attributes:
        overflowed: more waited than the limits allow; nothing is taken in any more.
        on_change: called when there is something to take, and when it ends.
    """

    __slots__ = ("_characters", "_closed", "_count", "_max_characters", "_max_messages", "_queue", "on_change", "overflowed")

    def __init__(self, max_messages: int, max_characters: int) -> None:
        self._max_messages, self._max_characters = max_messages, max_characters
        self._queue: OrderedDict[int | str, str] = OrderedDict()
        self._characters = 0
        self._count = 0
        self._closed = False
        self.overflowed = False
        self.on_change: Callable[[], None] | None = None

    def __len__(self) -> int:
        return len(self._queue)

    @property
    def ended(self) -> bool:
        """Whether there is nothing to take any more, nor ever will be."""
        return not self._queue and (self._closed or self.overflowed)

    def withdraw(self, word: str) -> None:
        """Take back what was queued under that word, if it still waits."""
        text = self._queue.pop(word, None)
        if text is not None:
            self._characters -= len(text)

    def put(self, text: str, replaces: str | None = None) -> bool:
        """Queue a frame.

        Args:
            replaces: frames with the same word announce the same thing: a newer one takes the older one's place.

        Returns:
            Whether it was taken in; False from the moment the limits are reached.
        """
        if self._closed or self.overflowed:
            return False
        if replaces is not None and (older := self._queue.get(replaces)) is not None:
            self._queue[replaces] = text
            self._characters += len(text) - len(older)
        elif self._queue and (len(self._queue) >= self._max_messages or self._characters + len(text) > self._max_characters):
            self.overflowed = True
            self._queue.clear()
            self._changed()
            return False
        else:
            self._count += 1
            self._queue[replaces if replaces is not None else self._count] = text
            self._characters += len(text)
            self._changed()
        return True

    def limit(self, max_messages: int, max_characters: int) -> None:
        """Change the limits; what waits stays."""
        self._max_messages, self._max_characters = max_messages, max_characters

    def close(self) -> None:
        """Take nothing in any more; what waits can still be sent."""
        self._closed = True
        self._changed()

    def take(self) -> str | None:
        """The next frame to send; None where none waits."""
        if not self._queue:
            return None
        _, text = self._queue.popitem(last=False)
        self._characters -= len(text)
        return text

    def _changed(self) -> None:
        if self.on_change is not None:
            self.on_change()
