"""One file, one model, one list of errors."""

import json
import tomllib
from pathlib import Path

import pytest
from pydantic import BaseModel, Field

from triplane.config import Config, ConfigError, Section, find_file, load, model_for, setting
from triplane.config.documents import as_toml, keys, schema, shown


class HttpSettings(BaseModel):
    """An adapter's settings, as an adapter's author would write them."""

    host: str = Field("127.0.0.1", description="Where it listens.")
    port: int = Field(8080, ge=0, le=65535, description="TCP port.", json_schema_extra={"reload": "restart"})


class ControlSettings(Section):
    mode: str = setting("0600", "Mode of the socket.")


class EngineSettings(Section):
    lease_s: float = setting(30.0, "How long a lease lasts.", unit="seconds", gt=0)


class Platform(Section):
    communication_method: str = setting("zmq", "How jobs report.", pattern="^(zmq|ssh|poll)$")


MODEL = model_for({"durable": HttpSettings, "control": ControlSettings}, {"durable": EngineSettings}, Platform)


def read(tmp_path: Path, text: str, **environ: str) -> Config:
    file = tmp_path / "triplane.toml"
    file.write_text(text)
    return load(MODEL, file, environ)


def test_an_empty_file_gives_every_default(tmp_path: Path) -> None:
    config = read(tmp_path, "", HOME=str(tmp_path))
    assert config.adapter("durable").port == 8080
    assert config.engine("durable").lease_s == 30.0
    assert config.platforms["localhost"].communication_method == "zmq"
    assert config.enabled_adapters() == ["control", "durable"]
    assert config.gateway.data_dir == Path("~/.local/share/triplane").expanduser()


def test_all_errors_are_reported_at_once_by_path(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as raised:
        read(
            tmp_path,
            """
            [gateway]
            data_dri = "x"
            drain_s = -1
            [adapters.durable]
            port = 70000
            [adapters.cobol]
            port = 1
            [platforms.far]
            communication_method = "pigeon"
            [[auth.tokens]]
            name = "a"
            roles = ["king"]
            [nonsense]
            """,
        )
    found = {problem.path: problem.message for problem in raised.value.problems}
    assert set(found) == {
        "gateway.data_dri", "gateway.drain_s", "adapters.durable.port", "adapters.cobol", "platforms.far.communication_method",
        "auth.tokens[0].sha256_file", "auth.tokens[0].roles[0]", "nonsense",
    }  # fmt: skip
    assert found["gateway.data_dri"] == "unknown key; did you mean 'data_dir'?"
    assert "70000" in found["adapters.durable.port"]
    assert found["auth.tokens[0].sha256_file"] == "must be given"
    assert str(raised.value).count("\n") == len(found) - 1


def test_the_environment_overrides_the_file_by_the_same_path(tmp_path: Path) -> None:
    config = read(
        tmp_path,
        "[adapters.durable]\nport = 1\n",
        TRIPLANE__ADAPTERS__DURABLE__PORT="9001",
        TRIPLANE__ADAPTERS__DURABLE__ENABLED="false",
        TRIPLANE__ENGINES__DURABLE__LEASE_S="1",
        TRIPLANE__DEFINITIONS__DIRECTORIES='["a", "b"]',
        TRIPLANE__GATEWAY__NAME="123",
        TRIPLANE__PLATFORMS__LOCALHOST__COMMUNICATION_METHOD="poll",
    )
    assert config.adapter("durable").port == 9001
    assert config.enabled_adapters() == ["control"]
    assert config.engine("durable").lease_s == 1.0
    assert config.definitions.directories == (tmp_path / "a", tmp_path / "b")
    assert config.gateway.name == "123"
    assert config.platforms["localhost"].communication_method == "poll"


@pytest.mark.parametrize("path", [path for path, _ in keys(MODEL) if ".NAME" not in path and not path.startswith("auth.tokens")])
def test_every_key_can_be_overridden_and_its_error_names_the_variable(tmp_path: Path, path: str) -> None:
    variable = "TRIPLANE__" + path.upper().replace(".", "__")
    with pytest.raises(ConfigError) as raised:
        read(tmp_path, "", **{variable: '{ never = "right" }'})
    assert any(problem.path.startswith(path) for problem in raised.value.problems)


def test_an_override_through_a_value_or_of_nothing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="gateway.name is a value, not a section"):
        read(tmp_path, '[gateway]\nname = "x"\n', TRIPLANE__GATEWAY__NAME__DEEP="1")
    with pytest.raises(ConfigError, match="not a TOML value"):
        read(tmp_path, "", TRIPLANE__DEFINITIONS__DIRECTORIES="[1,")
    with pytest.raises(ConfigError, match="from the environment variable TRIPLANE__GATEWAY__DRAIN_S"):
        read(tmp_path, "", TRIPLANE__GATEWAY__DRAIN_S="soon")


def test_the_control_wire_cannot_be_switched_off(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="adapters.control.enabled"):
        read(tmp_path, "[adapters.control]\nenabled = false\n")


@pytest.mark.parametrize("text", ["[gateway", "a = 1\na = 2", "\x00", "adapters = 3", "gateway = []", "platforms = 1"])
def test_a_broken_file_is_an_error_and_never_a_crash(tmp_path: Path, text: str) -> None:
    with pytest.raises(ConfigError):
        read(tmp_path, text)


def test_a_named_file_must_exist(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no such file"):
        find_file(tmp_path / "none.toml", {})
    with pytest.raises(ConfigError, match="no such file"):
        find_file(None, {"TRIPLANE_CONFIG": str(tmp_path / "none.toml")})


def test_relative_paths_start_at_the_files_folder(tmp_path: Path) -> None:
    config = read(tmp_path, '[gateway]\ndata_dir = "data"\n')
    assert config.gateway.data_dir == tmp_path / "data"


def test_two_tokens_of_one_name_are_refused(tmp_path: Path) -> None:
    token = '[[auth.tokens]]\nname = "a"\nsha256_file = "f"\nroles = ["worker"]\n'
    with pytest.raises(ConfigError, match="two tokens have the name 'a'"):
        read(tmp_path, token + token)


def test_secrets_are_shown_as_stars_and_the_rest_reads_back_equal(tmp_path: Path) -> None:
    text = '[[auth.tokens]]\nname = "ci"\nsha256_file = "secret-place"\nroles = ["worker"]\n'
    text += '[platforms."far.away"]\ncommunication_method = "poll"\n'
    config = read(tmp_path, text)
    values = shown(config)
    printed = as_toml(values)
    assert "secret-place" not in printed and "****" in printed
    assert tomllib.loads(printed) == json.loads(json.dumps(values))


def test_the_schema_has_unit_and_reload_of_each_key() -> None:
    text = json.dumps(schema(MODEL))
    assert '"unit": "seconds"' in text and '"reload": "hot"' in text


def test_every_key_of_the_core_has_a_sentence_and_says_whether_it_reloads() -> None:
    core = [path for path, _ in keys(Config)]
    for path, field in keys(MODEL):
        if path in core or path.startswith(("engines", "platforms")):
            assert field.description and field.description.endswith("."), path
            assert isinstance(field.json_schema_extra, dict) and field.json_schema_extra["reload"] in ("hot", "restart"), path
            if path.endswith("_s") and not path.endswith("_per_s"):
                assert field.json_schema_extra["unit"] == "seconds", path


def test_service_operations_are_named_by_endpoint_service_and_operation(tmp_path: Path) -> None:
    config = read(tmp_path, '[nexus.bank.accounts."open.now"]\nworkflow_type = "OpenAccount"\n')
    operation = config.nexus["bank"]["accounts"]["open.now"]
    assert (operation.workflow_type, operation.task_queue, operation.namespace) == ("OpenAccount", "default", None)
    with pytest.raises(ConfigError, match=r"nexus.bank.accounts.open.workflow_type: must be given"):
        read(tmp_path, '[nexus.bank.accounts.open]\ntask_queue = "q"\n')
