# SPDX-License-Identifier: GPL-3.0-or-later
"""Drives tests/guix/store_tool.c: a connection of libguixstore to a machine's guix-daemon."""

import json
import pathlib
import signal
import subprocess

from items import Derivation
from support.programs import BUILD

TOOL = BUILD / "tests/guix/store_tool"


class Refused(Exception):
    """A call failed: `error` is the name of its errno value, `status` that of the daemon."""

    def __init__(self, answer: dict):
        super().__init__(f"{answer['error']} ({answer['status']}): {answer['message']}")
        self.error = answer["error"]
        self.status = answer["status"]
        self.message = answer["message"]


class Session:
    """Use with `with`. Every call waits for its answer; the events before it are in `events`."""

    def __init__(self, socket: pathlib.Path, scratch: pathlib.Path):
        self.scratch = scratch
        self.events: list[dict] = []
        self.process = subprocess.Popen([TOOL, str(socket)], text=True, stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE)

    def __enter__(self) -> "Session":
        return self

    def __exit__(self, *_exception) -> None:
        self.process.stdin.close()
        self.process.stdout.close()
        status = self.process.wait(timeout=30)
        assert status == 0, f"store_tool ended with status {status}"

    def send(self, verb: str, *arguments: object) -> None:
        self.events = []
        self.process.stdin.write("\t".join([verb, *map(str, arguments)]) + "\n")
        self.process.stdin.flush()

    def receive(self) -> dict:
        """The next event or the result."""
        line = self.process.stdout.readline()
        assert line, "store_tool has ended"
        return json.loads(line)

    def answer(self) -> dict:
        while "event" in (answer := self.receive()):
            self.events.append(answer)
        if "error" in answer:
            raise Refused(answer)
        return answer

    def call(self, verb: str, *arguments: object) -> int:
        self.send(verb, *arguments)
        return self.answer()["result"]

    def ask(self, verb: str, *arguments: object) -> list:
        self.send(verb, *arguments)
        return self.answer()["values"]

    def cancel(self) -> None:
        self.process.send_signal(signal.SIGUSR1)

    # ---- adding ----

    def file(self, contents: bytes) -> pathlib.Path:
        path = self.scratch / f"file-{len(list(self.scratch.iterdir()))}"
        path.write_bytes(contents)
        return path

    def add_text(self, name: str, contents: bytes, references=()) -> str:
        return self.ask("add-text", name, self.file(contents), *references)[0]

    def add_nar(self, name: str, nar: bytes, recursive: bool = True,
                algorithm: str = "sha256") -> str:
        return self.ask("add-nar", name, int(recursive), algorithm, self.file(nar))[0]

    def add_derivation(self, drv: Derivation) -> str:
        """Adds DRV and its inputs."""
        for item in drv.inputs:
            self.add_derivation(item)
        return self.add_text(drv.name + ".drv", drv.text, drv.references)

    # ---- events ----

    def of_kind(self, kind: str) -> list[dict]:
        return [event for event in self.events if event["event"] == kind]

    def log(self, drv: str) -> str:
        """What the builder of DRV printed, told apart by process."""
        pids = {event["pid"] for event in self.of_kind("build-started") if event["drv"] == drv}
        return "".join(event["text"] for event in self.of_kind("log") if event["pid"] in pids)
