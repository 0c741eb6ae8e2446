# SPDX-License-Identifier: GPL-3.0-or-later
"""Panoply's own programs, from the build folder, and its HTTP interface."""

import collections
import http.client
import json
import os
import pathlib
import signal
import subprocess
import urllib.parse

from .programs import BUILD, TOP, Program
from .roots import Machine, temporary_folder
from .waiting import TIME_FACTOR, wait_until

API = "/api/panoply/v1"


def executable() -> str:
    """The `panoply` under test: PANOPLY, or the one in the build folder."""
    if "PANOPLY" in os.environ:
        return os.environ["PANOPLY"]
    for path in (BUILD / "src/cli/panoply", BUILD / "panoply"):
        if path.exists():
            return str(path)
    raise RuntimeError(f"no panoply in {BUILD}: build it first (make)")


Answer = collections.namedtuple("Answer", "status headers body")


class Refused(Exception):
    """The server answered with a status of 400 or more."""

    def __init__(self, method: str, path: str, answer: Answer):
        super().__init__(f"{method} {path}: {answer.status} "
                         f"{answer.body[:500].decode(errors='replace')}")
        self.status = answer.status
        self.body = answer.body


class Client:
    """Speaks HTTP with a server. Paths may hold a query."""

    def __init__(self, url: str, token: str = ""):
        self.url = url
        self.token = token

    def connect(self, seconds: float = 60) -> http.client.HTTPConnection:
        return http.client.HTTPConnection(urllib.parse.urlsplit(self.url).netloc,
                                          timeout=seconds * TIME_FACTOR)

    def headers(self, extra: dict[str, str] | None = None) -> dict[str, str]:
        authorization = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        return {**authorization, **(extra or {})}

    def request(self, method: str, path: str, body: bytes | None = None,
                headers: dict[str, str] | None = None, seconds: float = 60) -> Answer:
        """Any answer is an answer here, whatever its status."""
        connection = self.connect(seconds)
        try:
            connection.request(method, path, body, self.headers(headers))
            reply = connection.getresponse()
            return Answer(reply.status, reply.headers, reply.read())
        finally:
            connection.close()

    def json(self, method: str, path: str, value: object = None):
        """Sends VALUE as JSON and returns what comes back (None if nothing); raises Refused."""
        body = None if value is None else json.dumps(value).encode()
        answer = self.request(method, path, body,
                              {"Content-Type": "application/json"} if body else {})
        if answer.status >= 400:
            raise Refused(method, path, answer)
        return json.loads(answer.body) if answer.body else None

    def api(self, method: str, path: str, value: object = None):
        """As json(), below /api/panoply/v1."""
        return self.json(method, API + path, value)

    def text(self, path: str) -> str:
        """The page or file at PATH; raises Refused."""
        answer = self.request("GET", path)
        if answer.status >= 400:
            raise Refused("GET", path, answer)
        return answer.body.decode()

    def stream(self, method: str, path: str, value: object = None, seconds: float = 60,
               headers: dict[str, str] | None = None):
        """Opens a reply without end; returns (status, iterator of its lines, connection). Close
        the connection when done."""
        connection = self.connect(seconds)
        connection.request(method, path, None if value is None else json.dumps(value),
                           self.headers({"Content-Type": "application/json", **(headers or {})}))
        reply = connection.getresponse()
        return reply.status, iter(reply.readline, b""), connection


def end_postmaster(pid_file: pathlib.Path) -> None:
    """Ends the PostgreSQL that holds PID_FILE, if one does."""
    number = pid_file.read_text().split("\n")[0]
    command = pathlib.Path("/proc", number, "cmdline")
    if command.exists() and str(pid_file.parent) in command.read_text():
        os.kill(int(number), signal.SIGINT)
        wait_until(lambda: not command.exists(), 20, "PostgreSQL ends")


class Server(Program):
    """`panoply serve` with its private PostgreSQL, in a state folder of its own. Starts when
    made; `client` speaks to it as the administrator."""

    def __init__(self, *arguments: object, machine: Machine | None = None, name: str = "server",
                 state: pathlib.Path | None = None, address: str = "127.0.0.1:0"):
        self.folder = temporary_folder(name)
        self.state = state or self.folder / "state"
        self.address = address
        store = ["--store-root", machine.root] if machine else []
        self.arguments = ["--state", self.state, "--scheme", TOP / "scheme", *store, *arguments]
        super().__init__(name, [], self.folder / "serve.log")
        self.start()

    def start(self, seconds: float = 60) -> None:
        """Starts it and waits until it listens, on the port that it had before."""
        self.command = [executable(), "serve", *map(str, self.arguments),
                        "--listen", self.address]
        super().start()
        url = self.wait_for_line("listening on ", seconds)
        self.address = urllib.parse.urlsplit(url).netloc
        self.client = Client(url, self.token())

    def stop(self, seconds: float = 30) -> int | None:
        """As Program.stop; ends its PostgreSQL too, which outlives a killed server."""
        try:
            return super().stop(seconds)
        finally:
            for file in self.state.glob("**/postmaster.pid"):
                end_postmaster(file)

    @property
    def url(self) -> str:
        return self.client.url

    def token(self) -> str:
        """The administrator's token."""
        return (self.state / "admin-token").read_text().strip()

    def restart(self, kill: bool = False) -> None:
        if kill:
            self.kill()
        else:
            self.stop()
        self.start()

    def client_environment(self) -> dict[str, str]:
        """Of a client command that speaks to this server as the administrator."""
        return {**os.environ, "PANOPLY_URL": self.url, "PANOPLY_TOKEN": self.token()}

    def command_line(self, *arguments: object, check: bool = True, given: str = "",
                     seconds: float = 60) -> subprocess.CompletedProcess:
        """Runs a client command, such as `spec list`, as the administrator, with GIVEN on
        standard input."""
        done = subprocess.run([executable(), *map(str, arguments)], text=True,
                              capture_output=True, input=given, timeout=seconds * TIME_FACTOR,
                              env=self.client_environment())
        if check and done.returncode != 0:
            raise RuntimeError(f"panoply {' '.join(map(str, arguments))}: status "
                               f"{done.returncode}\n{done.stderr}")
        return done

    def sql(self, statements: str) -> None:
        """Does STATEMENTS to its private database, without asking the server: for a past that takes
        too long to live through. What refers to something is not checked."""
        command = ["runuser", "-u", "postgres", "--", "psql", "--no-psqlrc", "--quiet",
                   "--set", "ON_ERROR_STOP=1", "--host", str(self.state / "postgresql/socket"), "panoply"]
        subprocess.run(command, input=f"SET session_replication_role = replica;\n{statements}",
                       text=True, check=True, stdout=subprocess.DEVNULL)

    def add_specification(self, specification: dict) -> None:
        file = self.folder / "specification.json"
        file.write_text(json.dumps(specification))
        self.command_line("spec", "add", file, "--no-wait")

    def join_token_file(self) -> pathlib.Path:
        """A file with a token that enrols agents."""
        return self.state / "join-token"

    def wait_for(self, path: str, condition, seconds: float = 60, what: str = ""):
        """Waits until CONDITION holds for the JSON at PATH below the API; returns that JSON.
        What is not there yet may come, and so may a database that is away."""
        def holds():
            try:
                value = self.client.api("GET", path)
            except Refused as refused:
                if refused.status not in (404, 503):
                    raise
                raise AssertionError(str(refused)) from None
            assert condition(value), json.dumps(value)[:1000]
            return (value,)
        return wait_until(holds, seconds, what or path)[0]


class Agent(Program):
    """`panoply agent` for a machine. Starts when made."""

    def __init__(self, server: Server, machine: Machine, *arguments: object,
                 name: str | None = None, jobs: int = 2,
                 join_token_file: pathlib.Path | None = None):
        self.folder = temporary_folder("agent")
        name = name or machine.name
        join_token_file = join_token_file or server.join_token_file()
        command = [executable(), "agent", "--server", server.url, "--name", name,
                   "--join-token-file", join_token_file,
                   "--token-file", self.folder / "token", "--state", self.folder / "state",
                   "--store-root", machine.root, "--jobs", jobs, *arguments]
        super().__init__(f"agent {name}", command, self.folder / "agent.log")
        self.start()
