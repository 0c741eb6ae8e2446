# SPDX-License-Identifier: GPL-3.0-or-later
"""Power cuts of one part at a time: what was under way ends as it should, nothing is lost, and
nothing is built twice without need."""

import os
import signal
import subprocess

from support.case import Case
from support.farm import ENDED, Farm
from support.waiting import wait_until

# How long a silent agent keeps its builds where one is to lose them. Elsewhere it is the default,
# longer than an agent ever rests between two dials.
SHORT_GRACE_S = 5
SECONDS = 5  # how long sea-floor-survey takes
# guix-daemon, while it ends the build of an agent that was killed.
LOCKED = "waiting for locks or build slots..."


class Kill(Case):
    timeout = 180
    versions = iter(range(1, 100))  # each test's survey is a build of its own

    @classmethod
    def setUpClass(cls) -> None:
        cls.farm = Farm(jobs=4, durable=True)
        cls.addClassCleanup(cls.farm.delete)
        cls.farm.finish(cls.farm.evaluate())

    def setUp(self) -> None:
        super().setUp()
        self.farm.watch(self)
        self.farm.channel.set_survey_seconds(SECONDS)
        self.farm.channel.set_version("sea-floor-survey", f"7.{next(self.versions)}")

    def shorten_grace(self) -> None:
        """For this test."""
        server, before = self.farm.server, self.farm.server.arguments

        def restart(arguments: list) -> None:
            server.arguments = arguments
            server.restart()

        restart([*before, "--agent-grace", SHORT_GRACE_S])
        self.addCleanup(restart, before)

    def survey(self) -> dict:
        """The slow build, in the middle of its first attempt."""
        self.evaluation = self.farm.push("Survey for longer")
        build = self.farm.builds(self.evaluation)["sea-floor-survey"]
        build = self.farm.wait_for_build(build["id"], lambda it: it["attempts"])
        wait_until(lambda: "line 2 of" in self.farm.log(build["id"]), 30, "the second line")
        return self.farm.build(build["id"])

    def assert_ended_well(self, build: dict, attempts: list[tuple[str, str | None]]) -> dict:
        """It succeeds, after ATTEMPTS (state and cause, in their order), with a whole log; and
        no other build of the evaluation was tried twice."""
        build = self.farm.wait_for_build(build["id"], lambda it: it["state"] in ENDED)
        tried = sorted(build["attempts"], key=lambda it: it["id"])
        self.assertEqual([(it["state"], it["cause"]) for it in tried], attempts)
        self.assertEqual(build["state"], "succeeded")
        self.assertTrue(all(output["available"] for output in build["outputs"]))
        lines = [f"line {i + 1} of {SECONDS}" for i in range(SECONDS)]
        log = self.farm.log(build["id"]).splitlines()
        self.assertEqual([line for line in log if line != LOCKED], lines)
        for other in self.farm.finish(self.evaluation).values():
            if other["id"] != build["id"] and other["state"] != "dependency-failed":
                self.assertEqual(len(self.farm.build(other["id"])["attempts"]), 1, other)
        return build

    def postmaster(self) -> int:
        file = next(self.farm.server.state.glob("**/postmaster.pid"))
        return int(file.read_text().split("\n")[0])

    def test_server(self):
        """The agent builds on; its attempt is the one that succeeds."""
        build = self.survey()
        self.farm.server.restart(kill=True)
        after = self.assert_ended_well(build, [("succeeded", None)])
        self.assertEqual(after["attempts"][0]["id"], build["attempts"][0]["id"])

    def test_server_that_promised_an_evaluation(self):
        """What was answered with 202 comes to pass, once, though no period asks for it again."""
        def evaluations() -> list[dict]:
            return self.farm.client.api("GET", "/evaluations?specification=example")["items"]

        before = len(evaluations())
        self.farm.client.api("POST", "/specifications/example/evaluate?force=yes")
        self.farm.server.restart(kill=True)
        wait_until(lambda: len(evaluations()) > before
                   and all(it["finished_at"] for it in evaluations()), 60, "it evaluates")
        self.farm.server.wait_for("/specifications/example", lambda it: not it["requested_at"])
        self.assertEqual(len(evaluations()), before + 1)
        self.assertEqual(evaluations()[0]["state"], "succeeded")

    def test_server_whose_disk_is_full(self):
        """Its agent hears why, says so once, and goes on when there is room."""
        uploads = self.farm.server.state / "cache" / "uploads"
        agent = self.farm.agents[0]
        told = "the server's disk is full"

        def count() -> int:
            return agent.log.read_text(errors="replace").count(told)

        def make_room() -> None:
            if uploads.is_mount():
                subprocess.run(["umount", "--lazy", uploads], check=True)

        before = count()
        self.addCleanup(make_room)
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "none", uploads], check=True)
        self.farm.channel.add_package(
            "wide-net", "mkdir $out\nhead -c 20000000 /dev/urandom > $out/net\necho done\n")
        build = self.farm.builds(self.farm.push("Something large"))["wide-net"]
        wait_until(lambda: count() > before, 60, "the agent knows that the server's disk is full")
        make_room()
        build = self.farm.wait_for_build(build["id"], lambda it: it["state"] in ENDED)
        self.assertEqual([it["state"] for it in build["attempts"]], ["succeeded"])
        self.assertEqual(count(), before + 1)
        self.assertIn("No space left on device", self.farm.server.log.read_text(errors="replace"))

    def test_server_while_a_build_ends(self):
        """The agent keeps its result until somebody hears it."""
        build = self.survey()
        self.farm.server.kill()
        attempt = build["attempts"][0]["id"]
        output = self.farm.builders[0].outside(build["outputs"][0]["path"])
        wait_until(output.exists, 30, "the builder ends")
        self.farm.server.start()
        after = self.assert_ended_well(build, [("succeeded", None)])
        self.assertEqual(after["attempts"][0]["id"], attempt)

    def test_server_in_an_evaluation(self):
        """It begins again; there is one, not two."""
        commit = self.farm.channel.commit("Survey for longer")
        before = len(self.farm.client.api("GET", "/evaluations")["items"])
        self.farm.server.command_line("spec", "evaluate", "example")
        self.farm.server.wait_for("/evaluations", lambda it: it["items"][0]["state"] == "running")
        self.farm.server.restart(kill=True)
        self.evaluation = self.farm.evaluation_of(commit)
        self.assertEqual(self.evaluation["state"], "succeeded", self.evaluation["message"])
        self.assertEqual(len(self.farm.client.api("GET", "/evaluations")["items"]), before + 1)
        build = self.farm.builds(self.evaluation)["sea-floor-survey"]
        self.assert_ended_well(build, [("succeeded", None)])

    def test_database(self):
        """The server starts it again and goes on; nobody else notices."""
        build = self.survey()
        postmaster = self.postmaster()
        os.kill(postmaster, signal.SIGKILL)
        after = self.assert_ended_well(build, [("succeeded", None)])
        self.assertEqual(after["attempts"][0]["id"], build["attempts"][0]["id"])
        self.assertTrue(self.farm.server.is_running())
        self.assertNotEqual(self.postmaster(), postmaster)
        self.assertEqual(self.farm.client.api("GET", "/status")["agents_connected_count"], 1)

    def test_server_and_database(self):
        build = self.survey()
        self.farm.server.kill()
        os.kill(self.postmaster(), signal.SIGKILL)
        self.farm.server.start()
        self.assert_ended_well(build, [("succeeded", None)])

    def test_agent_that_comes_back(self):
        """It knows nothing of the attempt, which is lost at once."""
        build = self.survey()
        self.farm.agents[0].kill()
        self.farm.agents[0].start()
        self.assert_ended_well(build, [("failed", "agent-lost"), ("succeeded", None)])

    def test_agent_that_stays_away(self):
        """After its time of grace another does its work."""
        self.shorten_grace()
        build = self.survey()
        away = self.farm.agents[0]
        away.kill()
        self.addCleanup(away.start)
        other = self.agent(self.farm.server, self.machine("other"))
        after = self.assert_ended_well(build, [("failed", "agent-lost"), ("succeeded", None)])
        self.assertEqual({it["agent"] for it in after["attempts"]}, {"builder-1", "other"})
        self.assertTrue(other.is_running())
        self.assertEqual(
            {it["name"]: it["connected"] for it in self.farm.client.api("GET", "/agents")["items"]},
            {"builder-1": False, "other": True})

    def test_agent_that_is_asked_to_end(self):
        """It gives its work back, which costs the build nothing."""
        build = self.survey()
        self.assertEqual(self.farm.agents[0].stop(), 0)
        self.farm.agents[0].start()
        self.assert_ended_well(build, [("failed", "cancelled"), ("succeeded", None)])
