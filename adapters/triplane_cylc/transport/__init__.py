"""ZeroMQ sockets of the faces and the one authenticator that guards them all."""
