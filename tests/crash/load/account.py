"""What clients were promised, and what the store must therefore hold."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field


@dataclass
class Account:
    """One wire's commands by a token that is theirs alone.

    Attributes:
        acknowledged: the client had its answer.
        unknown: sent, and the connection ended before an answer.
    """

    acknowledged: set[str] = field(default_factory=set)
    unknown: set[str] = field(default_factory=set)

    def verdict(self, applied: Iterable[str]) -> dict[str, list[str]]:
        """Tokens that went wrong, given every application found in the store; empty lists when all is well."""
        counted = Counter(applied)
        return {
            "lost": sorted(self.acknowledged - counted.keys())[:10],
            "applied twice": sorted(token for token, times in counted.items() if times > 1)[:10],
            "never sent": sorted(counted.keys() - self.acknowledged - self.unknown)[:10],
        }


GOOD = {"lost": [], "applied twice": [], "never sent": []}
"""The verdict that every account must get."""
