"""The schemas of the wires: files other people read, and the code generated from them.

Nothing here imports anything of ours. `cylc/` holds the protobuf messages and the GraphQL schema of the Cylc wire.
"""

from importlib.resources import files


def schema_text(name: str) -> str:
    """The text of the schema file `name`, a path below this package such as `cylc/schema.graphql`.

    Raises:
        FileNotFoundError: there is no such file.
    """
    return files(__name__).joinpath(name).read_text(encoding="utf-8")
