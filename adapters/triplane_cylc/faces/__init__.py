"""How a run appears on the Cylc wire: a run directory, two sockets, keys."""
