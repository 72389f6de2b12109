"""graphql-transport-ws without sockets: what is bounded, and what ends with the websocket."""

import asyncio
import json

from triplane_cylc.web.conversation import MAX_OPERATIONS, MAX_WAITING, TOO_MUCH, Conversation

SUBSCRIBE = {"query": "subscription { deltas { id } }"}


class Desk:
    """Remembers who follows; `tell` sends to all of them."""

    def __init__(self):
        self.following = []

    def follow(self, prepared, send):
        self.following.append(send)
        return lambda: self.following.remove(send)

    def tell(self, result):
        for send in tuple(self.following):
            send(result)


def begun(desk):
    conversation = Conversation(desk, asyncio.ensure_future)
    conversation.receive(json.dumps({"type": "connection_init"}))
    return conversation


def subscribe(conversation, name):
    conversation.receive(json.dumps({"type": "subscribe", "id": name, "payload": SUBSCRIBE}))


def said(conversation):
    messages = []
    while not conversation.outbox.empty():
        text = conversation.outbox.get_nowait()
        messages.append(None if text is None else json.loads(text))
    return messages


async def test_a_client_that_does_not_read_is_closed_alone_and_followed_no_longer():
    desk = Desk()
    slow, quick = begun(desk), begun(desk)
    subscribe(slow, "s")
    subscribe(quick, "q")
    for _ in range(MAX_WAITING + 10):
        desk.tell(b'{"data":{}}')
        said(quick)
    assert slow.closing is not None and slow.closing[0] == TOO_MUCH
    assert quick.closing is None and len(desk.following) == 1
    assert len(said(slow)) == MAX_WAITING + 1


async def test_so_many_operations_are_open_and_the_next_is_refused_by_its_id():
    desk = Desk()
    conversation = begun(desk)
    for number in range(MAX_OPERATIONS + 1):
        subscribe(conversation, str(number))
    assert len(desk.following) == MAX_OPERATIONS and conversation.closing is None
    refusal = said(conversation)[-1]
    assert refusal["type"] == "error" and refusal["id"] == str(MAX_OPERATIONS)
    conversation.receive(json.dumps({"type": "complete", "id": "0"}))
    subscribe(conversation, "again")
    assert len(desk.following) == MAX_OPERATIONS


async def test_what_was_followed_ends_with_the_websocket():
    desk = Desk()
    conversation = begun(desk)
    subscribe(conversation, "s")
    conversation.close(1000, "")
    assert desk.following == []
    assert said(conversation)[-1] is None
