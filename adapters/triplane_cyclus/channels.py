"""The channels that somebody watches, one for each workflow."""

from collections.abc import Callable
from typing import Any

from triplane.connection import Connection
from triplane_cyclus.channel import Channel
from triplane_cyclus.client import Client
from triplane_cyclus.desk import Desk
from triplane_cyclus.plans import Place


class Channels:
    """Opens a channel for the first watcher of a workflow and closes it after the last.

    Args:
        connection: the adapter's own, which follows what is watched.
    """

    def __init__(self, connection: Connection, on_echo: Callable[[Any], None] | None) -> None:
        self._connection, self._on_echo = connection, on_echo
        self._by_workflow: dict[str, Channel] = {}

    def of(self, place: Place) -> Channel:
        """The channel of a workflow."""
        channel = self._by_workflow.get(place.workflow_id)
        if channel is None:
            channel = Channel(self._connection, Place(place.namespace, place.workflow_id, rendered=place.rendered), self._on_echo)
            self._by_workflow[place.workflow_id] = channel
        return channel

    def join(self, client: Client, desk: Desk | None) -> None:
        """Have a client told what is announced; first what the desk kept for whoever comes."""
        channel = self.of(client.place)
        client.outlook = channel.outlook
        if desk is not None and desk.room_mates is channel.clients:
            desk.hand_over(client)
        channel.clients.add(client)

    def leave(self, client: Client) -> None:
        """A client watches no longer."""
        channel = self._by_workflow.get(client.place.workflow_id)
        if channel is None:
            return
        channel.clients.discard(client)
        if not channel.clients:
            del self._by_workflow[client.place.workflow_id]
            channel.close()

    async def close(self) -> None:
        """End the adapter's own connection."""
        await self._connection.close()
