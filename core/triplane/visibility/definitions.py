"""The search attributes that namespaces have defined, in memory; shared by all who check or read values."""

from collections.abc import Iterable, Mapping

from triplane.entities import SearchAttribute

_NONE: Mapping[str, str] = {}


class AttributeDefinitions:
    """Name → kind, by namespace. Used on the event loop's thread."""

    def __init__(self, stored: Iterable[SearchAttribute] = ()) -> None:
        self._kinds: dict[str, dict[str, str]] = {}
        for attribute in stored:
            self.add(attribute)

    def of(self, namespace: str) -> Mapping[str, str]:
        """A namespace's own attributes."""
        return self._kinds.get(namespace, _NONE)

    def add(self, attribute: SearchAttribute) -> None:
        """Take in a definition."""
        self._kinds.setdefault(attribute.namespace, {})[attribute.name] = attribute.kind

    def remove(self, namespace: str, name: str) -> None:
        """Forget a definition, if there is one."""
        self._kinds.get(namespace, {}).pop(name, None)

    def forget(self, namespace: str) -> None:
        """Forget all of a namespace that is no more."""
        self._kinds.pop(namespace, None)
