# SPDX-License-Identifier: GPL-3.0-or-later
"""A whole farm for the tests of a class: a server that evaluates, agents, the example channel."""

from .channel import Channel
from .panoply import Agent, Server
from .roots import Machine, temporary_folder
from .waiting import wait_until

ENDED = {"succeeded", "failed", "dependency-failed", "cancelled"}


def package_of(build: dict) -> str:
    """The name of a build's package, without its version."""
    return build["name"].rsplit("-", 1)[0]


class Farm:
    """Up when made; `delete` ends and removes it all. The specification `example` is not added
    yet: see evaluate(). Only a DURABLE one forgets nothing when its PostgreSQL is killed."""

    def __init__(self, *server_arguments: object, agents: int = 1, jobs: int = 2,
                 survey_seconds: int = 1, durable: bool = False):
        self.channel = Channel(temporary_folder("channel") / "repository", survey_seconds)
        self.evaluator = Machine("evaluator")
        speed = () if durable else ("--no-fsync",)
        self.server = Server(*speed, *server_arguments, machine=self.evaluator)
        self.client = self.server.client
        self.builders = [Machine(f"builder-{i + 1}") for i in range(agents)]
        self.agents = [Agent(self.server, machine, jobs=jobs) for machine in self.builders]

    def delete(self) -> None:
        for program in (*self.agents, self.server):
            program.stop()
        for machine in (*self.builders, self.evaluator):
            machine.delete()

    def watch(self, case) -> None:
        """Has CASE show the logs of this farm when it fails."""
        for program in (self.server, *self.agents):
            case.watch(program.name, program.log)
        for machine in (self.evaluator, *self.builders):
            case.watch(f"guix-daemon of {machine.name}", machine.daemon_log)

    # ---- evaluations ----

    def evaluate(self, **fields) -> dict:
        """Adds the specification `example` of the channel as it is, with FIELDS; returns its
        first evaluation when that has ended."""
        specification = self.channel.specification(**{"period": 0, **fields})
        self.server.add_specification(specification)
        self.server.command_line("spec", "evaluate", specification["name"])
        return self.evaluation_of(self.channel.git("rev-parse", "HEAD"), specification["name"])

    def push(self, message: str = "A change") -> dict:
        """Commits what changed and has it evaluated; returns the evaluation when it has ended."""
        commit = self.channel.commit(message)
        self.server.command_line("spec", "evaluate", "example")
        return self.evaluation_of(commit)

    def evaluation_of(self, commit: str, specification: str = "example",
                      seconds: float = 90) -> dict:
        """The newest evaluation, when it is of COMMIT and has ended."""
        def ended():
            newest = self.client.api("GET", f"/specifications/{specification}")["newest_evaluation"]
            assert newest, "no evaluation"
            evaluation = self.client.api("GET", f"/evaluations/{newest['id']}")
            assert commit in {it["commit"] for it in evaluation["revisions"]}, evaluation
            assert evaluation["finished_at"], evaluation
            return evaluation
        return wait_until(ended, seconds, f"the evaluation of {commit} ends", pause=0.1)

    # ---- builds ----

    def builds(self, evaluation: dict) -> dict[str, dict]:
        """By package, as in lists."""
        answer = self.client.api("GET", f"/builds?evaluation={evaluation['id']}&limit=1000")
        return {package_of(build): build for build in answer["items"]}

    def finish(self, evaluation: dict, seconds: float = 90) -> dict[str, dict]:
        """Waits until all builds of EVALUATION have ended; returns them by package."""
        def ended():
            builds = self.builds(evaluation)
            waiting = {name: build["state"] for name, build in builds.items()
                       if build["state"] not in ENDED}
            assert builds and not waiting, waiting
            return builds
        return wait_until(ended, seconds, f"builds of evaluation {evaluation['id']} end", pause=0.1)

    def build(self, build_id: int) -> dict:
        return self.client.api("GET", f"/builds/{build_id}")

    def wait_for_build(self, build_id: int, condition, seconds: float = 60) -> dict:
        """Waits until CONDITION holds for the build, or its state is CONDITION."""
        holds = (lambda it: it["state"] == condition) if isinstance(condition, str) else condition
        return self.server.wait_for(f"/builds/{build_id}", holds, seconds)

    def log(self, build_id: int) -> str:
        return self.client.text(f"/api/panoply/v1/builds/{build_id}/log")
