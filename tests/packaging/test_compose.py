"""The Docker files, as far as they can be checked without Docker."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml

from ..conftest import REPOSITORY

COMPOSE_TEXT = (REPOSITORY / "docker-compose.yml").read_text(encoding="utf-8")
COMPOSE = yaml.safe_load(COMPOSE_TEXT)
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
CLIENTS = ["ingest", "ingest-gpu", "jupyter"]
# Join continued lines and drop comments.
DOCKERFILE = re.sub(
    r"\\\n\s*|^#.*\n",
    lambda found: "" if found[0].startswith("#") else " ",
    (REPOSITORY / "Dockerfile").read_text(encoding="utf-8"),
    flags=re.MULTILINE,
)


def instructions(name: str) -> list[str]:
    return re.findall(rf"^{name} (.+)$", DOCKERFILE, re.MULTILINE)


def extras() -> set[str]:
    chosen = (SERVICES[name]["build"]["args"]["EXTRAS"] for name in CLIENTS)
    return {extra for one in chosen for extra in one.split(",")}


# -- the services ------------------------------------------------------------------------------


def test_the_services_are_chosen_by_profile() -> None:
    """Without a profile, only the server starts; each client has its own profile."""
    profiles = {name: service.get("profiles") for name, service in SERVICES.items()}

    assert profiles == {
        "qdrant": None,
        "ingest": ["cpu"],
        "ingest-gpu": ["gpu"],
        "jupyter": ["notebook"],
    }


@pytest.mark.parametrize("name", SERVICES)
def test_images_are_built_here_or_pinned(name: str) -> None:
    """No service runs an image whose content can change under the same name."""
    service = SERVICES[name]

    if "build" in service:
        assert "image" not in service  # a local name could be pulled from another publisher
    else:
        assert re.fullmatch(r"[\w./-]+:v\d+\.\d+\.\d+(-\w+)?", service["image"])


def test_the_server_suits_the_client() -> None:
    """The server supports collection metadata, and the client supports its version."""
    server = re.search(r":v1\.(\d+)\.", SERVICES["qdrant"]["image"])
    pinned = (REPOSITORY / "constraints.txt").read_text(encoding="utf-8")
    client = re.search(r"^qdrant-client==1\.(\d+)\.", pinned, re.MULTILINE)

    assert server
    assert client
    assert max(16, int(client[1]) - 2) <= int(server[1]) <= int(client[1])


@pytest.mark.parametrize("name", SERVICES)
def test_ports_are_published_to_this_machine_only(name: str) -> None:
    """No port is reachable from another machine."""
    assert all(port.startswith("127.0.0.1:") for port in SERVICES[name].get("ports", []))


@pytest.mark.parametrize("name", SERVICES)
def test_services_are_confined(name: str) -> None:
    """A service can write to its volumes only, gains no privileges, and has resource limits."""
    service = SERVICES[name]

    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert not {"privileged", "network_mode", "pid", "cap_add"} & set(service)
    assert service["mem_limit"]
    assert service["pids_limit"]


def test_the_key_is_required_and_the_same_for_all() -> None:
    """Server and clients get the key from the environment and do not start without it."""
    environments = {name: service["environment"] for name, service in SERVICES.items()}
    key = environments["qdrant"]["QDRANT__SERVICE__API_KEY"]

    assert re.fullmatch(r"\$\{QDRANT_API_KEY:\?[^}]+\}", key)
    assert {environments[name]["QDRANT_API_KEY"] for name in CLIENTS} == {key}
    assert {environments[name]["QDRANT_URL"] for name in CLIENTS} == {"http://qdrant:6333"}


def test_no_secret_is_written_down() -> None:
    """Every key, token, secret or password comes from the environment, in both files."""
    named = re.compile(r"KEY|TOKEN|SECRET|PASSW", re.IGNORECASE)
    values = [
        value
        for service in SERVICES.values()
        for name, value in service["environment"].items()
        if named.search(name)
    ]

    assert values
    assert all(value is None or value.startswith("${") for value in values)
    assert not named.search(" ".join(instructions("ENV") + instructions("ARG")))


@pytest.mark.parametrize("name", CLIENTS)
def test_clients_wait_for_a_ready_server(name: str) -> None:
    """A client starts after the server's health check has passed, not after its process starts."""
    assert SERVICES[name]["depends_on"] == {"qdrant": {"condition": "service_healthy"}}
    assert SERVICES["qdrant"]["healthcheck"]["test"]


@contextmanager
def server_that_answers(status: int) -> Iterator[int]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status if self.path == "/readyz" else 404)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def is_healthy(port: int) -> bool:
    kind, *command, script = SERVICES["qdrant"]["healthcheck"]["test"]
    assert kind == "CMD"
    assert "/6333" in script
    script = script.replace("$$", "$").replace("/6333", f"/{port}")
    asked = subprocess.run([*command, script], capture_output=True, check=False, timeout=20)
    return asked.returncode == 0


@pytest.mark.skipif(not shutil.which("bash"), reason="the health check is written in bash")
def test_the_health_check_tells_ready_from_not() -> None:
    """The command passes if /readyz returns 200, not on another status or a closed port."""
    with server_that_answers(200) as port:
        assert is_healthy(port)
    with server_that_answers(503) as port:
        assert not is_healthy(port)
    assert not is_healthy(port)


@pytest.mark.parametrize("name", ["ingest", "ingest-gpu"])
def test_ingest_reads_documents_and_keeps_tokens(name: str) -> None:
    """Documents are mounted read-only, and cached data outlives the container."""
    service = SERVICES[name]
    home = instructions("WORKDIR")[-1]

    assert service["command"] == ["ingest", "/documents", "--qdrant", "http://qdrant:6333"]
    assert service["volumes"] == ["./documents:/documents:ro", f"home:{home}"]
    assert set(COMPOSE["volumes"]) == {"qdrant", "home"}


def test_only_the_gpu_profile_asks_for_a_gpu() -> None:
    """The CPU profile starts where there is no GPU, and the GPU profile reserves one."""
    reserved = SERVICES["ingest-gpu"]["deploy"]["resources"]["reservations"]["devices"]

    assert reserved == [{"driver": "nvidia", "count": 1, "capabilities": ["gpu"]}]
    assert [name for name in SERVICES if "deploy" in SERVICES[name]] == ["ingest-gpu"]
    assert "/cu" in SERVICES["ingest-gpu"]["build"]["args"]["TORCH_INDEX_URL"]


# -- the image ---------------------------------------------------------------------------------


def test_the_base_is_pinned() -> None:
    """Every stage uses the same exact version of Python."""
    (version,) = re.findall(r"^PYTHON=(.+)$", "\n".join(instructions("ARG")), re.MULTILINE)
    bases = [line.split(" AS ")[0] for line in instructions("FROM")]

    assert re.fullmatch(r"3\.11\.\d+", version)
    assert len(bases) > 1
    assert set(bases) == {"python:${PYTHON}-slim-bookworm"}


def test_everything_is_installed_with_constraints() -> None:
    """The image has the versions that the tests use; only torch comes from another index."""
    installs = re.findall(r"pip install .+?(?= ;;|$)", DOCKERFILE, re.MULTILINE)

    assert len(installs) == 3
    assert all("-c constraints.txt" in install for install in installs)
    assert [install.split()[-1] for install in installs if "index-url" in install] == ["torch"]


def test_only_the_gpu_image_has_torch() -> None:
    """torch is installed for its extra; the weights come without the torch that they ask for."""
    installs = re.findall(r"pip install .+?(?= ;;|$)", DOCKERFILE, re.MULTILINE)

    assert re.search(r"\*,gpu,\*\) +pip install .+ torch ;; esac", DOCKERFILE)
    assert ["--no-deps" in install for install in installs] == [True, True, False]


def test_the_extras_exist() -> None:
    """The package has the extras that the services install."""
    project = (REPOSITORY / "pyproject.toml").read_text(encoding="utf-8")

    assert {"ocr", "gpu", "notebook"} == extras()
    assert all(re.search(rf"^{extra} = \[", project, re.MULTILINE) for extra in extras())


def test_the_image_does_not_run_as_root() -> None:
    """The last stage switches to a numeric user before its entry point."""
    last = DOCKERFILE.split("\nFROM ")[-1]

    assert int(re.findall(r"^USER (\d+)$", last, re.MULTILINE)[-1]) > 0
    assert instructions("ENTRYPOINT") == ['["opticalrag"]']


def test_a_build_sees_what_it_copies_and_no_more() -> None:
    """Documents, keys and environments next to the code cannot get into an image."""
    ignored = (REPOSITORY / ".dockerignore").read_text(encoding="utf-8").splitlines()
    rules = [line for line in ignored if not line.startswith("#")]
    copied = {
        source
        for line in instructions("COPY")
        if not line.startswith("--from")
        for source in line.split()[:-1]
    }

    assert rules[0] == "*"
    assert {rule[1:] for rule in rules if rule.startswith("!")} == copied
    assert all((REPOSITORY / source).exists() for source in copied)


# -- checked by Compose ------------------------------------------------------------------------


def compose_command() -> list[str]:
    """The installed Compose command, or none."""
    for command in (["docker", "compose"], ["docker-compose"]):
        if shutil.which(command[0]):
            tried = subprocess.run([*command, "version"], capture_output=True, check=False)
            if tried.returncode == 0:
                return command
    return []


@pytest.mark.parametrize("profile", ["cpu", "gpu", "notebook"])
def test_compose_accepts_the_file(profile: str, tmp_path: Path) -> None:
    """Compose accepts every profile with the key set, and names the variable without it."""
    command = compose_command()
    if not command:
        pytest.skip("neither docker compose nor docker-compose is installed")

    nothing = tmp_path / "env"  # instead of an .env file in the repository
    nothing.touch()

    def config(**variables: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*command, "--env-file", str(nothing), "--profile", profile, "config"],
            cwd=REPOSITORY,
            env={"PATH": os.environ["PATH"], **variables},
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )

    without, given = config(), config(QDRANT_API_KEY="of-the-test")

    assert without.returncode != 0
    assert "QDRANT_API_KEY" in without.stderr
    assert given.returncode == 0, given.stderr
    assert set(yaml.safe_load(given.stdout)["services"]) >= {"qdrant"}
