"""Alarms: what an operator must hear of, each declared once, said to the log with the client, the limit, what follows and the setting."""

from collections import Counter, OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from triplane.observability import logger

log = logger("alarms")

AGAIN_S = 30.0
"""An alarm about the same client is written once in so long; it is counted each time."""
REMEMBERED = 1_000


@dataclass(frozen=True, slots=True)
class Alarm:
    """One kind of alarm.

    Attributes:
        meaning: what has happened; follows: what happens next by itself; setting: the key that changes it, empty where none does.
    """

    code: str
    meaning: str
    follows: str
    setting: str = ""


ALARMS: tuple[Alarm, ...] = (
    Alarm("client_over_limit", "a client asks for more than a limit allows", "what is beyond it is refused, and may be sent again",
          "limits"),
    Alarm("too_many_connections", "no more connections are let in", "new clients are refused until others leave", "limits.connections"),
    Alarm("slow_consumer_cut", "a client does not read the changes it follows",
          "its subscription was ended, alone; it may follow again after its cursor", "limits.subscription_queue"),
    Alarm("client_not_let_in", "a client showed no credential or a wrong one", "it was refused", "auth.tokens"),
    Alarm("disk_low", "there is little room left where the data directory lies",
          "readiness turns red, and commands are refused once it is full", "gateway.data_dir"),
    Alarm("storage_full", "the disk is full", "commands are refused, reads go on; it works again as soon as there is room"),
    Alarm("store_failed", "nothing can be made durable any more", "the gateway ends, so that nothing is acknowledged in vain"),
    Alarm("background_fault", "a part of the gateway crashed", "readiness stays red until a restart"),
    Alarm("loop_late", "the event loop was held up", "every client waited that long"),
    Alarm("config_refused", "the config was read again and cannot be used", "the one in force stays, whole"),
    Alarm("token_file_refused", "a token's file changed and cannot be used", "the token that was read before stays in force",
          "auth.tokens"),
)  # fmt: skip

BY_CODE = {alarm.code: alarm for alarm in ALARMS}


class AlarmBoard:
    """Counts alarms and says them, each client's not more often than every `AGAIN_S`."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._said: OrderedDict[tuple[str, str], float] = OrderedDict()
        self.counts: Counter[str] = Counter()

    def sound(self, code: str, client: str = "", setting: str = "", **facts: Any) -> None:
        """Raise the alarm `code`, about `client` if it is about one.

        Args:
            setting: the key, where the alarm can be about several; facts: figures and reasons, as fields of the log.
        """
        alarm = BY_CODE[code]
        self.counts[code] += 1
        now, key = self._monotonic(), (code, client)
        if now - self._said.get(key, -AGAIN_S) < AGAIN_S:
            return
        self._said[key] = now
        self._said.move_to_end(key)
        if len(self._said) > REMEMBERED:
            self._said.popitem(last=False)
        fields = {"client": client, "setting": setting or alarm.setting, **facts}
        said = {name: value for name, value in fields.items() if value != ""}
        log.warning(code, meaning=alarm.meaning, next=alarm.follows, **said)
