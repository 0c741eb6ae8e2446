# SPDX-License-Identifier: GPL-3.0-or-later
"""The whole way: from a commit to signed substitutes, over crashes."""

from support import channel as example
from support.case import Case
from support.waiting import wait_until

ENDED = {"succeeded", "failed", "dependency-failed", "cancelled"}


def packages(names: set[str]) -> set[str]:
    """Names of derivations, without their versions."""
    return {name.rsplit("-", 1)[0] for name in names}


class WholeWay(Case):
    timeout = 240

    def start(self, survey_seconds: int = 1) -> None:
        self.repository = self.channel(survey_seconds=survey_seconds)
        self.panoply = self.server(machine=self.machine("evaluator"))
        self.worker = self.agent(self.panoply, self.machine("worker"), jobs=2)
        self.panoply.add_specification(self.repository.specification())

    def newest_evaluation(self) -> dict | None:
        return self.panoply.client.api("GET", "/specifications/example")["newest_evaluation"]

    def builds(self) -> dict[str, dict]:
        """The builds of the newest evaluation's jobs, by name."""
        newest = self.newest_evaluation()
        if newest is None:
            return {}
        answer = self.panoply.client.api("GET", f"/builds?limit=1000&evaluation={newest['id']}")
        return {build["name"]: build for build in answer["items"]}

    def in_state(self, *states: str) -> set[str]:
        return packages({name for name, build in self.builds().items()
                         if build["state"] in states})

    def wait_until_built(self) -> None:
        """Until the newest evaluation has ended and so have all builds."""
        def built() -> bool:
            newest, builds = self.newest_evaluation(), self.builds()
            return (newest is not None and newest["finished_at"] is not None and builds
                    and all(build["state"] in ENDED for build in builds.values()))
        wait_until(built, 120, "all builds end", pause=0.2)

    def wait_for_start_of(self, package: str) -> dict:
        """Until its builder has written a line; returns the build."""
        def started() -> dict | None:
            for name, build in self.builds().items():
                if package in packages({name}) and build["state"] == "running":
                    log = self.panoply.client.request("GET", f"/api/panoply/v1/builds/"
                                                             f"{build['id']}/log")
                    return build if b"line 2 " in log.body else None
            return None
        return wait_until(started, 60, f"{package} is being built", pause=0.2)

    def attempts(self, build: dict) -> list[dict]:
        return self.panoply.client.api("GET", f"/builds/{build['id']}")["attempts"]

    def test_commit_to_substitutes(self):
        self.start()
        self.wait_until_built()
        self.assertEqual(self.in_state("succeeded"), example.SUCCEEDING)
        self.assertEqual(self.in_state("failed"), example.FAILING)
        self.assertEqual(self.in_state("dependency-failed"), example.DEPENDING_ON_FAILING)
        user = self.machine("user", daemon_options=(f"--substitute-urls={self.panoply.url}",
                                                    "--max-jobs=0"))
        self.repository.git("clone", "--quiet", self.repository.url,
                            str(user.outside("/example")))
        build = ("guix", "build", "-L", "/example", "almanac", "libtide")
        self.assertNotEqual(user.run(*build, check=False).returncode, 0)  # key not authorized
        user.run("guix", "archive", "--authorize",
                 given=self.panoply.client.text("/signing-key.pub"))
        items = user.run(*build).stdout.split()
        self.assertEqual(len(items), 4)
        self.assertIn("high water at 350 min", user.run(f"{items[0]}/bin/almanac", "7").stdout)
        checked = user.run("guix", "gc", "--verify=contents")
        self.assertNotIn("modified", checked.stderr)

    def test_new_commit_mends_what_failed(self):
        self.start()
        self.wait_until_built()
        before = self.builds()
        self.repository.repair_sextant()
        commit = self.repository.commit("sextant: Mend the mirror.")
        self.panoply.command_line("spec", "evaluate", "example")
        wait_until(lambda: {"sextant", "navigator"} <= self.in_state("succeeded"), 60,
                   "sextant and navigator are built", pause=0.2)
        newest = self.newest_evaluation()
        evaluation = self.panoply.client.api("GET", f"/evaluations/{newest['id']}")
        self.assertEqual(evaluation["revisions"][0]["commit"], commit)
        self.assertEqual(evaluation["derivations"], 2)  # nothing else is new
        for name, build in before.items():
            if build["state"] == "succeeded":
                self.assertEqual(len(self.attempts(build)), 1, f"{name} was built again")

    def test_server_killed_during_a_build_loses_nothing(self):
        self.start(survey_seconds=15)
        build = self.wait_for_start_of("sea-floor-survey")
        self.panoply.restart(kill=True)
        self.wait_until_built()
        self.assertEqual(self.in_state("succeeded"), example.SUCCEEDING)
        self.assertEqual([attempt["state"] for attempt in self.attempts(build)], ["succeeded"])
        log = self.panoply.client.text(f"/api/panoply/v1/builds/{build['id']}/log")
        lines = [line for line in log.splitlines() if line.startswith("line ")]
        self.assertEqual(lines, [f"line {number} of 15" for number in range(1, 16)])

    def test_agent_killed_during_a_build_builds_again(self):
        self.start(survey_seconds=6)
        build = self.wait_for_start_of("sea-floor-survey")
        self.worker.kill()
        self.worker.start()
        self.wait_until_built()
        self.assertEqual(self.in_state("succeeded"), example.SUCCEEDING)
        attempts = sorted(self.attempts(build), key=lambda attempt: attempt["id"])
        self.assertEqual([attempt["state"] for attempt in attempts], ["failed", "succeeded"])
        self.assertEqual(attempts[0]["cause"], "agent-lost")
