"""cluster/ray against the schema and the checks of Ray's own cluster launcher."""

import re
import shlex
import subprocess
import sysconfig
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

FOLDER = Path(__file__).parents[2] / "cluster" / "ray"
SHELLCHECK = Path(sysconfig.get_path("scripts")) / "shellcheck"
NAMES = ("aws.yaml", "gcp.yaml")
COMMANDS = (
    "initialization_commands",
    "setup_commands",
    "head_setup_commands",
    "worker_setup_commands",
    "head_start_ray_commands",
    "worker_start_ray_commands",
)


@pytest.fixture(params=NAMES)
def config(request: pytest.FixtureRequest) -> dict[str, Any]:
    return yaml.safe_load((FOLDER / request.param).read_text())


def check(config: dict[str, Any]) -> dict[str, Any]:
    """Do what `ray up` does before it talks to a cloud."""
    from ray.autoscaler._private.util import prepare_config, validate_config

    prepared = prepare_config(config)
    validate_config(prepared)
    return prepared


def test_every_file_is_tested() -> None:
    assert {path.name for path in FOLDER.iterdir()} == set(NAMES)


def test_launcher_takes_it(config: dict[str, Any]) -> None:
    prepared = check(config)
    for key, value in config.items():
        if key not in (*COMMANDS, "available_node_types"):
            assert prepared[key] == value, "a default may have taken its place"
    assert set(prepared["available_node_types"]) == {"head", "worker"}


def test_mistakes_are_caught(config: dict[str, Any]) -> None:
    with pytest.raises(jsonschema.ValidationError, match="max_worker"):
        check(config | {"max_worker": 3})
    with pytest.raises(jsonschema.ValidationError, match="is not of type"):
        check(config | {"setup_commands": [1]})
    with pytest.raises(ValueError, match="head_node_type"):
        check(config | {"head_node_type": "heads"})


def test_workers_are_spot_and_the_head_is_not(config: dict[str, Any]) -> None:
    def spot(node: dict[str, Any]) -> bool:
        return (
            node.get("InstanceMarketOptions", {}).get("MarketType") == "spot"
            or node.get("scheduling", {}).get("provisioningModel") == "SPOT"
        )

    kinds = {name: kind["node_config"] for name, kind in config["available_node_types"].items()}
    assert {name: spot(node) for name, node in kinds.items()} == {"head": False, "worker": True}
    assert config["available_node_types"]["head"]["resources"] == {"CPU": 0}
    assert config["available_node_types"]["worker"]["min_workers"] > 0


def test_token_travels_by_ssh_and_no_start_is_without(config: dict[str, Any]) -> None:
    assert config["file_mounts"]["~/.ray/auth_token"] == "~/.ray/auth_token"
    assert any("chmod 600 ~/.ray/auth_token" in line for line in config["setup_commands"])
    starts = [
        line
        for kind in ("head_start_ray_commands", "worker_start_ray_commands")
        for line in config[kind]
    ]
    assert sum("ray start" in line for line in starts) == 2
    for line in starts:
        assert line.startswith(". ~/sweep.env && "), line
    assert "RAY_AUTH_TOKEN=" not in yaml.dump(config), "the token itself"


def test_dashboard_is_on_loopback(config: dict[str, Any]) -> None:
    (start,) = [line for line in config["head_start_ray_commands"] if "ray start" in line]
    options = dict(re.findall(r"--([a-z-]+)=(\S+)", start))
    assert options["dashboard-host"] == "127.0.0.1"
    assert options["num-cpus"] == "0"
    assert start.split()[-1] == "--autoscaling-config=~/ray_bootstrap_config.yaml"


def test_options_are_those_of_ray_start(config: dict[str, Any]) -> None:
    from ray.scripts.scripts import start

    known = {option for parameter in start.params for option in parameter.opts}
    for kind in ("head_start_ray_commands", "worker_start_ray_commands"):
        for line in config[kind]:
            if "ray start" in line:
                words = shlex.split(line.split("ray start", 1)[1])
                used = {word.split("=")[0] for word in words if word.startswith("--")}
                assert used <= known


def test_settings_are_what_a_shell_reads(config: dict[str, Any], tmp_path: Path) -> None:
    """The commands that need no network, run with a home of our own."""
    (tmp_path / ".ray").mkdir()
    (tmp_path / ".ray" / "auth_token").write_text("secret")
    lines = [line for line in config["setup_commands"] if not re.search("venv/bin/pip", line)]
    assert len(lines) == 3
    show = 'echo "$PATH|$RAY_AUTH_MODE|$RAY_AUTH_TOKEN_PATH"; grep -c sweep.env ~/.bashrc'
    done = subprocess.run(
        ["bash", "-ec", "\n".join([*lines, *lines, ". ~/.bashrc", show])],
        env={"HOME": str(tmp_path), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=True,
    )
    token = tmp_path / ".ray" / "auth_token"
    expected = f"{tmp_path}/venv/bin:/usr/bin:/bin|token|{token}"
    assert done.stdout.splitlines() == [expected, "1"], "twice set up is set up once"
    assert token.stat().st_mode & 0o777 == 0o600


def test_commands_pass_shellcheck(config: dict[str, Any]) -> None:
    script = "\n".join(line for kind in COMMANDS for line in config.get(kind, []))
    done = subprocess.run(
        # ~/sweep.env is made on the node; RAY_HEAD_IP is the launcher's; ~ in an option's value
        # is bash's, and Ray's own defaults have it.
        [SHELLCHECK, "--shell=bash", "--exclude=SC1090,SC2154,SC2088,SC2016,SC1091", "-"],
        input=script,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
