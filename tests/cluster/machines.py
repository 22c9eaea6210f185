"""A whole cluster on one machine: PostgreSQL, SeaweedFS, a Ray head, two nodes and a driver.

Each is known by GOTOWCE_NODE in the environment of its processes, so that it can be killed as a whole.
"""

import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil

POSTGRES = Path("/usr/lib/postgresql/15/bin")
BUCKET = "gotowce"
BIN = Path(sys.executable).parent


def missing() -> str | None:
    """What this machine lacks for a cluster; None if nothing."""
    if not (POSTGRES / "postgres").exists():
        return "no PostgreSQL 15; install the package postgresql-15"
    if not (BIN / "weed").exists():
        return "no SeaweedFS; `make test-cluster` installs it"
    return None


def free_ports(count: int) -> list[int]:
    """Ports that nothing listens on, from 20,000 to 29,999: SeaweedFS adds 10,000 for its others."""
    found: list[int] = []
    while len(found) < count:
        port = 20_000 + secrets.randbelow(10_000)
        if port not in found and all(map(_is_free, (port, port + 10_000))):
            found.append(port)
    return found


def _is_free(port: int) -> bool:
    with socket.socket() as opened, suppress(OSError):
        opened.bind(("127.0.0.1", port))
        return True
    return False


def wait_until(check: Callable[[], object], what: str, seconds: float = 300) -> None:
    """Wait until a check holds; one that raises does not hold yet."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        with suppress(Exception):
            if check():
                return
        time.sleep(0.5)
    raise AssertionError(f"{what}: not within {seconds:.0f} s")


@dataclass
class Machines:
    """The processes of a cluster below one folder."""

    folder: Path
    environment: dict[str, str] = field(default_factory=dict)
    """What each machine has in its environment."""
    _database: Path = field(init=False)
    _token: str = field(default_factory=lambda: secrets.token_hex(16))

    def __post_init__(self) -> None:
        # PostgreSQL refuses to run as root, and its own user cannot read a folder of ours.
        self._database = Path(tempfile.mkdtemp(prefix="gotowce_postgres_"))
        (self._sql, self._s3, self._master, self._volume, self._filer, self._ray, self._dashboard) = (
            free_ports(7)
        )
        self.environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("RAY_")},
            "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}",
            "AWS_ACCESS_KEY_ID": "gotowce",
            "AWS_SECRET_ACCESS_KEY": self._token,
            "AWS_DEFAULT_REGION": "us-east-1",
            "GOTOWCE_POSTGRES_URL": f"postgresql+psycopg2://postgres@127.0.0.1:{self._sql}/postgres",
            "GOTOWCE_RAY_ADDRESS": f"http://127.0.0.1:{self._dashboard}",
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN": self._token,
            "RAY_ENABLE_RECORD_ACTOR_TASK_LOGGING": "0",
            # A busy machine: a sensor may take longer than a minute, an agent of Ray longer than 15 seconds.
            "DAGSTER_SENSOR_GRPC_TIMEOUT_SECONDS": "300",
            "DAGSTER_GRPC_TIMEOUT_SECONDS": "300",
            "OMP_NUM_THREADS": "1",
            **self.environment,
        }

    @property
    def s3(self) -> str:
        """The address of the S3 server."""
        return f"http://127.0.0.1:{self._s3}"

    def start(self, name: str, command: Sequence[str | Path], extra: Mapping[str, str] | None = None) -> None:
        """Start a machine's process; its output goes to a file of its name."""
        environment = self.environment | {"GOTOWCE_NODE": name} | dict(extra or {})
        with (self.folder / f"{name}.log").open("a") as log:
            subprocess.Popen(
                [str(word) for word in command],
                cwd=self.folder,
                env=environment,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def start_storage(self) -> None:
        """Start PostgreSQL and SeaweedFS, and make the bucket."""
        is_root = os.geteuid() == 0
        as_owner = ["runuser", "-u", "postgres", "--"] if is_root else []
        if is_root:
            shutil.chown(self._database, "postgres")
        subprocess.run(
            [*as_owner, POSTGRES / "initdb", "-D", self._database / "data", "-A", "trust", "-U", "postgres"],
            check=True,
            cwd="/",
            stdout=subprocess.DEVNULL,
        )
        quick = [word for name in ("fsync", "full_page_writes") for word in ("-c", f"{name}=off")]
        where = ["-D", self._database / "data", "-k", self._database, "-p", str(self._sql)]
        self.start(
            "postgres", [*as_owner, POSTGRES / "postgres", *where, *quick, "-c", "max_connections=200"]
        )
        ports = {"master": self._master, "volume": self._volume, "filer": self._filer, "s3": self._s3}
        store = self.folder / "seaweed"
        store.mkdir()
        self.start(
            "seaweed",
            [
                *(BIN / "weed", "server", "-s3", "-ip=127.0.0.1", f"-dir={store}"),
                *(f"-{name}.port={port}" for name, port in ports.items()),
                *("-master.volumeSizeLimitMB=64", "-volume.max=50"),
            ],
        )
        ready = [POSTGRES / "pg_isready", "-h", "127.0.0.1", "-p", str(self._sql), "-U", "postgres"]
        wait_until(lambda: subprocess.run(ready, stdout=subprocess.DEVNULL, check=True), "PostgreSQL")
        wait_until(self._make_bucket, "SeaweedFS")

    def _make_bucket(self) -> bool:
        code = f"import s3fs; s3fs.S3FileSystem(endpoint_url={self.s3!r}).mkdir({BUCKET!r})"
        done = subprocess.run(
            [sys.executable, "-c", code], env=self.environment, check=False, capture_output=True
        )
        return done.returncode == 0

    def start_head(self) -> None:
        """Start Ray's head, on which no run lands."""
        self._start_ray(
            "head",
            *("--head", f"--port={self._ray}", f"--dashboard-port={self._dashboard}", "--num-gpus=0"),
            cpus=0,
        )

    def start_node(self, name: str) -> None:
        """Start a node with one logical GPU and a folder of its own."""
        self._start_ray(name, f"--address=127.0.0.1:{self._ray}", "--num-gpus=1", cpus=1)

    def _start_ray(self, name: str, *words: str, cpus: int) -> None:
        """Start a node of Ray, again if its agent was too slow for it."""
        scratch = self.folder / name
        for attempt in range(10):
            ports = free_ports(7)
            names = (
                *("node-manager", "object-manager", "dashboard-agent-listen", "dashboard-agent-grpc"),
                *("metrics-export", "runtime-env-agent"),
            )
            first = 30_000 + 500 * secrets.randbelow(60)
            command = [
                *(BIN / "ray", "start", *words, f"--num-cpus={cpus}", "--node-ip-address=127.0.0.1"),
                *(f"--{name}-port={port}" for name, port in zip(names, ports, strict=False)),
                *(f"--min-worker-port={first}", f"--max-worker-port={first + 400}"),
                *("--object-store-memory=80000000", "--disable-usage-stats"),
            ]
            if "--head" in words:
                # Below /tmp, because sockets need short paths.
                command += [
                    f"--temp-dir={tempfile.mkdtemp(prefix='ray_')}",
                    f"--ray-client-server-port={ports[6]}",
                ]
            environment = self.environment | {"GOTOWCE_NODE": name, "GOTOWCE_SCRATCH": str(scratch)}
            with (self.folder / f"{name}.log").open("a") as log:
                done = subprocess.run(
                    [str(word) for word in command],
                    cwd=self.folder,
                    env=environment,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    check=False,
                )
            if done.returncode == 0:
                return
            self.kill(name)
            time.sleep(5 * (attempt + 1))
        raise AssertionError(f"Ray does not start:\n{(self.folder / f'{name}.log').read_text()[-3000:]}")

    def processes(self, name: str) -> list[psutil.Process]:
        """The living processes of a machine."""
        found = []
        for process in psutil.process_iter():
            with suppress(psutil.Error):
                if process.environ().get("GOTOWCE_NODE") == name and process.pid != os.getpid():
                    found.append(process)
        return found

    def kill(self, name: str, program: str = "") -> None:
        """Kill a machine: all its processes at once, or only those of a program."""
        for process in self.processes(name):
            with suppress(psutil.Error):
                if program in process.name():
                    process.send_signal(signal.SIGKILL)

    def stop(self) -> None:
        """Kill everything."""
        for name in ("driver", "A", "B", "head", "seaweed", "postgres"):
            self.kill(name)
        shutil.rmtree(self._database, ignore_errors=True)
