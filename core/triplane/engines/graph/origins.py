"""Where a run's definition comes from: a name in the definition directories, or a packed source directory."""

from collections.abc import Mapping
from typing import Any

from triplane.engines.base import Preparation
from triplane.engines.graph.reading import FILE_NAME, Surroundings, find_definition, read_definition, read_source, unpack
from triplane.errors import RefusedInput
from triplane.jobs.sources import keep_source


async def read_from(source: Mapping[str, Any], settings: Mapping[str, str], preparation: Preparation) -> dict[str, Any]:
    """Read a definition in a child process; a packed source directory is kept for the run's jobs.

    Args:
        source: `{"definition": NAME}` or `{"archive": bytes}`.
        settings: `--set` pairs.

    Returns:
        `definition` (a `ReadDefinition`) and `source`, what the run keeps to know where it came from.

    Raises:
        InvalidDefinition, DefinitionNotFound, TooLarge, RefusedInput.
    """
    archive = source.get("archive")
    kept: dict[str, Any] = {"settings": dict(settings)}
    if isinstance(archive, bytes):
        files = unpack(archive)
        text = files[FILE_NAME][0]
        contents = {name: content for name, (content, _) in files.items()}
        definition = await read_definition(text, Surroundings(settings, contents, None))
        if len(files) > 1:
            kept["directory"] = await keep_source(preparation.settings["jobs"].run_dir, preparation.run_id, files)
        return {"definition": definition, "source": {**kept, "text": text.decode()}}
    name = source.get("definition")
    if not isinstance(name, str):
        raise RefusedInput("source: neither {definition: NAME} nor {archive: bytes}")
    path = find_definition(name, preparation.definition_directories)
    text = read_source(path)
    directory = path.parent if path.name == FILE_NAME else None
    definition = await read_definition(text, Surroundings(settings, None, directory))
    if directory is not None:
        kept["directory"] = str(directory)
    return {"definition": definition, "source": {**kept, "text": text.decode(), "name": name}}
