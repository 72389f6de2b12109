"""GraphQL over one face: what a `graphql` request selects, answered from the face's store.

How a session uses it::

    prepared = prepare(request_string, variables)        # pure, cached, at most some tens of milliseconds; may raise
    if prepared.mutations:                               # a mutation operation
        results = {}
        for call in prepared.mutations:                  # one after the other, in this order
            # call.name      mutation as the schema spells it: "hold", "stop", "setHoldPoint", "message", ...
            # call.args      coerced arguments by schema name: {"workflows": ["demo"], "tasks": ["1/a"]}; one that was
            #                not given and has no default is absent, an explicit null is None
            # call.key       response key (alias or name)
            results[call.key] = [{"id": "~user/demo", "response": [True, "<uuid>"]}]   # the `result` value, any JSON
        data = mutation_data(prepared, results)
    else:
        data = execute_query(prepared, store)            # a query; a subscription gives null per field
    reply = {"data": data, "cylc_version": ...}

Enumeration values arrive as member names: `stop` `mode` is `Clean`, `Kill`, `Now` or `NowNow`, `broadcast` `mode` is
`Set`, `Clear` or `Expire`, `setVerbosity` `level` is `WARNING` and so on.
`selects_workflow(ids, store.workflow)` says whether a mutation's `workflows` argument means this face's workflow.

Everything that is wrong with a request is one exception, `GraphQLRefused`; `str()` of it is the text for the error
reply. Requests are refused before execution when they exceed 5,000 tokens, a depth of 15, 50 aliases or repeated
fields, 500 values written out, 5,000 values in variables, or a cost of 10,000; the schema may be asked for once. Execution
refuses to visit more than a fixed number of elements.

Source: cylc.md section 3 (arguments, types, results) and section 6 (ids).
"""

from triplane_cylc.graphql.answer import execute_over, execute_query, mutation_data, subscription_data
from triplane_cylc.graphql.documents import MutationCall, Prepared, prepare
from triplane_cylc.graphql.limits import GraphQLRefused
from triplane_cylc.graphql.select import selects_workflow

__all__ = [
    "GraphQLRefused", "MutationCall", "Prepared", "execute_over", "execute_query", "mutation_data", "prepare", "selects_workflow",
    "subscription_data",
]  # fmt: skip
