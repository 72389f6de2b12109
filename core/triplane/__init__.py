"""Triplane's core: typed commands, pure engines, a durable store, and the gateway that joins them.

The core knows no wire. Adapters reach it only through the connections that a `Gateway` opens.
"""

__version__ = "0.1.0"
