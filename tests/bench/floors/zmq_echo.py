"""Floor: the least a ZeroMQ request can cost under CURVE.

A blocking ROUTER sends every request back as its reply, in one plain loop, no asyncio. Prints its port and public
key as one JSON line when it is ready, and runs until it is terminated. Any client key is admitted, as a check of keys
happens once a connection and not once a request.
"""

import json

import zmq
import zmq.auth
from zmq.auth.thread import ThreadAuthenticator


def main() -> None:
    context = zmq.Context()
    authenticator = ThreadAuthenticator(context)
    authenticator.start()
    authenticator.configure_curve(domain="*", location=zmq.auth.CURVE_ALLOW_ANY)
    router = context.socket(zmq.ROUTER)
    public, secret = zmq.curve_keypair()
    router.curve_server, router.curve_publickey, router.curve_secretkey = True, public, secret
    port = router.bind_to_random_port("tcp://127.0.0.1")
    print(json.dumps({"port": port, "server_key": public.decode()}), flush=True)
    while True:
        router.send_multipart(router.recv_multipart())


if __name__ == "__main__":
    main()
