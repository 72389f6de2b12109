"""Floor: messages of one size to every subscriber of a CURVE PUB socket, as fast as libzmq takes them.

Takes the size in bytes. A plain REP socket takes orders: a number of messages to publish at once. Prints the two ports and
the public key as one JSON line when it is ready.
"""

import json
import sys

import zmq

TOPIC = b"all"


def main() -> None:
    context, (public, secret), payload = zmq.Context(), zmq.curve_keypair(), b"d" * int(sys.argv[1])
    publisher, orders = context.socket(zmq.PUB), context.socket(zmq.REP)
    publisher.sndhwm = 0
    publisher.curve_server, publisher.curve_publickey, publisher.curve_secretkey = True, public, secret
    port = publisher.bind_to_random_port("tcp://127.0.0.1")
    said = {"publish_port": port, "order_port": orders.bind_to_random_port("tcp://127.0.0.1"), "server_key": public.decode()}
    print(json.dumps(said), flush=True)
    while True:
        for _ in range(int(orders.recv())):
            publisher.send_multipart((TOPIC, payload))
        orders.send(b"")


if __name__ == "__main__":
    main()
