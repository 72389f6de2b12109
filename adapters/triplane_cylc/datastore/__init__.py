"""One face's data store: a run as Cylc clients see it, in elements, in protobuf messages and in deltas.

How a session or face manager uses it::

    identity = FaceIdentity(owner="user", name="demo", host="host.example", port=43001, pub_port=43002, run_dir="...")
    store = FaceStore(identity, run, detail, tasks, jobs, clock, chart)      # clock: () -> Unix seconds; chart: () -> TaskGraph
    store.entire()              # bytes of PbEntireWorkflow, for `pb_entire_workflow`
    store.elements("jobs")      # bytes of JDeltas, for `pb_data_elements`; b"" for an unknown type
    store.apply(delta)          # [(b"task_proxies", ...), (b"workflow", ...), (b"all", ...)]; [] if nothing visible changed
    store.absorb(delta); ...; store.flush()      # the same for several deltas in one batch
    store.look_as_far_as(2)     # the same for a wider window

Messages come in the order in which they have to be published. Times never go back and grow with every batch, so a
consumer that took `entire()` applies every later batch and skips every earlier one.

The elements (`store.workflow`, `store.task_proxies`, ...) are what GraphQL reads; `elements.py` says what they hold.

Source: cylc.md section 4 (protobuf data store) and section 7 (states).
"""

from triplane_cylc.datastore.identity import FaceIdentity
from triplane_cylc.datastore.store import FaceStore
from triplane_cylc.datastore.window import DEFAULT_LIMITS, WindowLimits

__all__ = ["DEFAULT_LIMITS", "FaceIdentity", "FaceStore", "WindowLimits"]
