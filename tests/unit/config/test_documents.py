"""What the documents show can be used as it stands."""

import re
from pathlib import Path

import pytest

from triplane.config import ConfigError, installed_model, load, plugins
from triplane.config.documents import keys

ROOT = Path(__file__).resolve().parents[3]
DOCUMENTS = [ROOT / "deploy" / "README.md", ROOT / "README.md", ROOT / "core" / "README.md"]
BLOCKS = [
    (document.relative_to(ROOT), block)
    for document in DOCUMENTS
    for block in re.findall(r"^```toml\n(.*?)^```", document.read_text(), re.MULTILINE | re.DOTALL)
]


@pytest.mark.parametrize(("document", "block"), BLOCKS)
def test_every_config_shown_is_accepted(tmp_path: Path, document: Path, block: str) -> None:
    file = tmp_path / "triplane.toml"
    file.write_text(block)
    load(installed_model(), file, {})


@pytest.mark.parametrize("file", sorted((ROOT / "deploy").rglob("*.toml")), ids=lambda file: file.name)
def test_every_config_shipped_is_accepted(file: Path) -> None:
    load(installed_model(), file, {})


def test_every_key_that_a_document_names_exists() -> None:
    known = {path for path, _ in keys(installed_model())}
    sections = {path.rpartition(".")[0] for path in known}
    pattern = re.compile(r"`((?:gateway|store|auth|definitions|jobs|limits|adapters|engines|platforms)\.[a-z_.]+)`")
    for document in DOCUMENTS:
        for name in pattern.findall(document.read_text()):
            assert name in known or name in sections, f"{document.name}: {name}"


def test_every_installed_key_has_a_sentence_and_says_whether_it_reloads() -> None:
    for path, field in keys(installed_model()):
        assert field.description and field.description[0].isupper(), path
        assert isinstance(field.json_schema_extra, dict) and field.json_schema_extra.get("reload") in ("hot", "restart"), path


def test_an_unknown_wire_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "triplane.toml"
    file.write_text("[adapters.telegraph]\nport = 1\n")
    with pytest.raises(ConfigError, match="adapters.telegraph: unknown key"):
        load(installed_model(), file, {})


class BrokenPoint:
    """An entry point whose module cannot be imported."""

    name, value, dist = "broken", "nowhere:Adapter", None

    def load(self) -> object:
        raise ImportError("no library of that name")


def test_an_adapter_that_cannot_be_imported_is_refused_unless_it_is_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = plugins.entry_points
    more = {plugins.ADAPTERS: [BrokenPoint()]}
    monkeypatch.setattr(plugins, "entry_points", lambda group: [*real(group=group), *more.get(group, [])])
    file = tmp_path / "triplane.toml"
    file.write_text("")
    with pytest.raises(ConfigError, match="adapters.broken: cannot be loaded .*no library of that name; .*enabled = false"):
        load(installed_model(), file, {})
    file.write_text("[adapters.broken]\nenabled = false\nport = 1\n")
    assert "broken" not in load(installed_model(), file, {}).enabled_adapters()
