# SPDX-License-Identifier: GPL-3.0-or-later
"""The client commands and the API behind them, on a farm that works: each does what its help says,
for people and, with --json, for programs. errors_test.py has what goes wrong."""

import datetime
import itertools
import json
import re
import socket
import subprocess
import threading
import unittest
import urllib.parse

from support import channel as example
from support.case import Case
from support.farm import Farm
from support.panoply import API, Agent, Client, Refused, executable
from support.terminal import Screen, on_a_terminal
from support.waiting import wait_until

SECONDS = 5  # how long sea-floor-survey takes
# Prints the names of two derivations that no evaluation has seen, the second of which needs the
# first; both have sources of their own.
TWO_DERIVATIONS = """\
(use-modules (example build-system busybox) (guix) (guix gexp))
(with-store store
  (run-with-store store
    (mlet* %store-monad
        ((anchor (busybox-derivation
                  "anchor-{0}" "echo iron {0} > $out" #:system "x86_64-linux"))
         (buoy   (busybox-derivation
                  "buoy-{0}" "cat $anchor $chart > $out" #:system "x86_64-linux"
                  #:inputs (list (cons "anchor" (gexp-input anchor))
                                 (cons "chart" (gexp-input (plain-file "chart" "reef\\n")))))))
      (format #t "~a~%~a~%" (derivation-file-name anchor) (derivation-file-name buoy))
      (return #t))))
"""
UNKNOWN = "/gnu/store/00000000000000000000000000000000-nowhere.drv"


def rows(text: str) -> list[dict[str, str]]:
    """A printed table: its columns are as wide as their titles and cells need."""
    title, *lines = text.splitlines()
    starts = [i for i in range(len(title)) if title[i] != " " and (i == 0 or title[i - 1] == " ")]
    ends = [*starts[1:], None]
    return [{title[a:b].strip(): line[a:b].strip() for a, b in zip(starts, ends)}
            for line in lines]


def members(text: str) -> dict[str, str]:
    """What `show` printed of one thing."""
    pairs = [line.split(None, 1) for line in text.splitlines() if " " in line.strip()]
    return {pair[0].removesuffix(":"): "".join(pair[1:]) for pair in pairs}


class OfFarm(Case):
    @classmethod
    def make(cls) -> None:
        cls.farm = Farm(jobs=4, survey_seconds=SECONDS)
        unittest.addModuleCleanup(cls.farm.delete)
        cls.evaluation = cls.farm.evaluate()
        cls.builds = cls.farm.finish(cls.evaluation)
        cls.client = cls.farm.client

    def setUp(self) -> None:
        super().setUp()
        self.farm.watch(self)

    def command(self, *words: object, **options) -> str:
        done = self.farm.server.command_line(*words, **options)
        self.assertEqual(done.stderr, "")
        return done.stdout

    def told(self, *words: object) -> object:
        return json.loads(self.command(*words, "--json"))

    def follow(self, command: str, number: int) -> subprocess.Popen:
        """`COMMAND log NUMBER --follow`, running."""
        process = subprocess.Popen([executable(), command, "log", str(number), "--follow"],
                                   stdout=subprocess.PIPE, text=True,
                                   env=self.farm.server.client_environment())
        self.addCleanup(process.kill)
        return process


def setUpModule() -> None:
    OfFarm.make()


class Specifications(OfFarm):
    def test_add_list_show_edit_delete(self):
        definition = self.farm.channel.specification("own", period=0)
        file = self.folder() / "own.json"

        def write(**fields) -> dict:
            definition.update(fields)
            file.write_text(json.dumps(definition))
            return definition

        write(build={"packages": ["almanac"]})
        self.assertEqual(self.command("spec", "add", file), "added specification own\n")
        self.assertEqual(self.client.api("GET", "/specifications/own")["definition"], definition)
        self.assertEqual({row["NAME"]: row["PERIOD"] for row in rows(self.command("spec", "list"))},
                         {"example": "0", "own": "0"})
        self.assertEqual({item["name"] for item in self.told("spec", "list")["items"]},
                         {"example", "own"})
        self.assertIn("looked at", self.command("spec", "evaluate", "own"))
        self.assertEqual(self.jobs("own"), {"almanac"})
        text = self.command("spec", "show", "own")
        shown = members(text)
        self.assertTrue(text.startswith("Specification own: active\n"), text)
        self.assertEqual((shown["Period"], shown["Priority"]), ("only when asked", "0"))
        self.assertIn(", 1 jobs, 0 errors", shown["Newest"])
        self.assertRegex(text, rf"\nChannels:\nCHANNEL .*\n.* {re.escape(self.farm.channel.url)}\n")
        self.assertNotIn("PINNED", text)

        write(build={"packages": ["libtide", "sunrise"]}, priority=3)
        self.assertEqual(self.command("spec", "edit", "own", file), "changed specification own\n")
        self.command("spec", "evaluate", "own")
        self.assertEqual(self.jobs("own", 2), {"libtide", "sunrise"})
        self.assertEqual(self.told("spec", "show", "own")["priority"], 3)

        write(build={"packages": ["sunrise"]})
        self.command("spec", "edit", "own", given=json.dumps(definition))
        self.assertEqual(self.told("spec", "show", "own")["definition"], definition)

        self.assertIn("deleted", self.command("spec", "delete", "own"))
        with self.assertRaises(Refused) as refused:
            self.client.api("GET", "/specifications/own")
        self.assertEqual(refused.exception.status, 404)
        gone = self.farm.server.command_line("evaluation", "list", "own", check=False)
        self.assertEqual(gone.returncode, 1)
        builds = self.farm.builds(self.evaluation)  # these stay
        self.assertEqual(builds["almanac"]["state"], "succeeded")

    def jobs(self, specification: str, evaluations: int = 1) -> set[str]:
        """Packages in the newest of as many EVALUATIONS, when it has ended."""
        newest = self.farm.server.wait_for(
            f"/evaluations?specification={specification}",
            lambda it: len(it["items"]) == evaluations and it["items"][0]["finished_at"])["items"]
        self.assertEqual(newest[0]["state"], "succeeded", newest[0]["message"])
        return {job["name"].removesuffix(".x86_64-linux") for job in
                self.client.api("GET", f"/evaluations/{newest[0]['id']}/jobs")["items"]}

    def test_put(self):
        """A whole new definition, or none: what is wrong changes nothing."""
        path = "/specifications/put"
        definition = self.farm.channel.specification("put", period=0)
        self.assertEqual(self.client.api("POST", "/specifications", definition)["name"], "put")
        self.addCleanup(self.client.api, "DELETE", path)
        changed = {**definition, "period": 86400, "priority": -5}
        answer = self.client.api("PUT", path, changed)
        self.assertEqual((answer["definition"], answer["period_s"], answer["priority"]),
                         (changed, 86400, -5))
        for wrong in ({**changed, "name": "other"}, {**changed, "colour": "red"}, {}):
            with self.assertRaises(Refused) as refused:
                self.client.api("PUT", path, wrong)
            self.assertEqual(refused.exception.status, 400)
        with self.assertRaises(Refused) as refused:
            self.client.api("PUT", "/specifications/nosuch", {**definition, "name": "nosuch"})
        self.assertEqual(refused.exception.status, 404)
        self.assertEqual(self.client.api("GET", path)["definition"], changed)

    def test_evaluation(self):
        number = self.evaluation["id"]
        listed = {row["ID"]: row for row in rows(self.command("evaluation", "list", "example"))}
        self.assertRegex(listed[str(number)]["STATE"], "^(building|[0-9]+ of [0-9]+ failed)")
        self.assertEqual(listed[str(number)]["JOBS"], "11")
        self.assertEqual(self.told("evaluation", "show", number),
                         self.client.api("GET", f"/evaluations/{number}"))
        self.assertEqual(members(self.command("evaluation", "show", number))["Errors"], "1")
        summary = self.farm.server.wait_for(f"/evaluations/{number}",
                                            lambda it: it["outcome"] == "some-failed")["summary"]
        shown = self.command("evaluation", "show", number)
        self.assertTrue(shown.startswith(f"Evaluation {number} of example: {summary}\n"), shown)
        for state, is_listed in (("some-failed", True), ("succeeded", False), ("building", False)):
            listed = rows(self.command("evaluation", "list", "--state", state, "--limit", "1000"))
            self.assertEqual(str(number) in {row.get("ID") for row in listed}, is_listed, state)
        self.assertIn(number, [it["id"] for it in self.client.api(
            "GET", "/evaluations?state=succeeded&limit=1000")["items"]])
        self.assertEqual(set(members(shown)["Builds"].split(", ")),
                         {"9 succeeded", "1 failed", "1 dependency-failed"})
        self.assertRegex(shown, r"\nCommits:\nCHANNEL .*\n\S+ +[0-9a-f]{40} ")
        self.assertIn(f"'panoply evaluation errors {number}'", shown)
        jobs = rows(self.command("evaluation", "jobs", number))
        self.assertEqual({row["JOB"]: row["BUILD"] for row in jobs},
                         {f"{name}.x86_64-linux": str(build["id"])
                          for name, build in self.builds.items()})
        failed = rows(self.command("evaluation", "jobs", number, "--state", "failed"))
        self.assertEqual([row["JOB"] for row in failed], ["sextant.x86_64-linux"])
        error, = rows(self.command("evaluation", "errors", number))
        self.assertEqual((error["JOB"], error["FILE"]),
                         ("lighthouse@0.1", "example/packages/survey.scm"))
        self.assertIn("patch not found", error["MESSAGE"])
        self.assertEqual(self.command("evaluation", "log", number),
                         self.client.text(f"{API}/evaluations/{number}/log"))

    def test_log_of_an_evaluation_is_followed(self):
        self.farm.channel.write("example/packages/trial.scm", """\
(define-module (example packages trial))
(let loop ((number 1))
  (format (current-error-port) "loading, part ~a~%" number)
  (unless (file-exists? "/gate")
    (usleep 500000)
    (loop (+ number 1))))
(display "loaded\\n" (current-error-port))
""")
        self.addCleanup(self.farm.channel.commit, "Back again")
        self.addCleanup((self.farm.channel.folder / "example/packages/trial.scm").unlink)
        self.farm.channel.commit("Take a while to load")
        self.command("spec", "evaluate", "example")
        newest = self.farm.server.wait_for("/evaluations",
                                           lambda it: it["items"][0]["state"] == "running")
        number = newest["items"][0]["id"]
        with self.follow("evaluation", number) as process:
            self.assertIn("loading, part 2\n", iter(process.stdout.readline, ""))
            self.assertEqual(self.client.api("GET", f"/evaluations/{number}")["state"], "running")
            gate = self.farm.evaluator.outside("/gate")
            gate.touch()
            self.addCleanup(gate.unlink)
            self.assertIn("loaded\n", process.stdout.readlines())
            self.assertEqual(process.wait(), 0)


    def test_log_of_an_evaluation_that_waits_is_followed(self):
        """What comes later is the first evaluation's, and then its own."""
        self.farm.channel.write("example/packages/trial.scm", """\
(define-module (example packages trial))
(display "before the gate\\n" (current-error-port))
(let loop ()
  (unless (file-exists? "/gate")
    (usleep 50000)
    (loop)))
""")
        self.addCleanup(self.farm.channel.commit, "Back again")
        self.addCleanup((self.farm.channel.folder / "example/packages/trial.scm").unlink)
        self.farm.channel.commit("Wait at a gate")
        gate = self.farm.evaluator.outside("/gate")
        self.addCleanup(gate.unlink)
        for name in ("first", "second"):
            self.farm.server.add_specification(self.farm.channel.specification(name, period=0))
            self.addCleanup(self.command, "spec", "delete", name)
            self.command("spec", "evaluate", name)
        newest = self.told("evaluation", "list", "second")["items"][0]
        self.assertEqual(newest["state"], "waiting")
        self.assertEqual(self.command("evaluation", "log", newest["id"]), "")
        status, lines, connection = self.client.stream(
            "GET", f"{API}/evaluations/{newest['id']}/log?follow=yes")
        self.addCleanup(connection.close)
        self.assertEqual(status, 200)
        gate.touch()
        self.assertIn(b"before the gate\n", list(lines))
        self.farm.server.wait_for(f"/evaluations/{newest['id']}", lambda it: it["finished_at"], 20)


class Builds(OfFarm):
    versions = (f"8.{number}" for number in itertools.count())

    def test_list(self):
        listed = rows(self.command("build", "list", "--limit", "1000"))
        self.assertLessEqual({str(build["id"]) for build in self.builds.values()},
                             {row["ID"] for row in listed})
        failed, = rows(self.command("build", "list", "--state", "failed"))
        self.assertEqual((failed["ID"], failed["NAME"], failed["STATE"]),
                         (str(self.builds["sextant"]["id"]), "sextant-1.0", "failed"))
        items = self.told("build", "list", "--limit", "3")
        self.assertEqual(items, self.client.api("GET", "/builds?limit=3"))
        self.assertEqual(len(items["items"]), 3)
        self.assertIn("more", self.command("build", "list", "--limit", "3"))
        with_nothing, = self.told("build", "list", "--state", "dependency-failed")["items"]
        self.assertEqual(with_nothing["id"], self.builds["navigator"]["id"])
        self.assertEqual(self.command("evaluation", "jobs", self.evaluation["id"], "--state",
                                      "cancelled"), "It has no such jobs.\n")

    def test_pages_of_lists_are_linked(self):
        """By the header as by the body, with the filters; who has a page already is told so."""
        jobs = f"{API}/evaluations/{self.evaluation['id']}/jobs"
        for first, count in ((f"{API}/builds?evaluation={self.evaluation['id']}&limit=4", None),
                             (f"{jobs}?name=e&limit=3", None), (f"{jobs}?limit=1000", 11)):
            url, seen = first, []
            while url:
                answer = self.client.request("GET", url)
                page = json.loads(answer.body)
                seen += page["items"]
                link = re.fullmatch('<([^>]*)>; rel="next"', answer.headers.get("Link") or "")
                self.assertEqual(bool(link), page["next"] is not None)
                again = self.client.request("GET", url,
                                            headers={"If-None-Match": answer.headers["ETag"]})
                self.assertEqual((again.status, again.body), (304, b""))
                url = urllib.parse.urljoin(url, link[1]) if link else None
                if url:
                    query = dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(url).query))
                    self.assertEqual(query.pop("before"), page["next"])
                    self.assertIn(urllib.parse.urlencode(query), first)
            whole = self.client.json("GET", re.sub(r"limit=\d+", "limit=1000", first))["items"]
            self.assertEqual(seen, whole)
            self.assertEqual(len(seen), count or len(whole))
            self.assertTrue(seen)

    def test_show(self):
        number = self.builds["almanac"]["id"]
        build = self.told("build", "show", number)
        self.assertEqual(build, self.farm.build(number))
        text = self.command("build", "show", number)
        self.assertTrue(text.startswith(f"Build {number}, almanac-2026.1: succeeded\n"), text)
        self.assertEqual(members(text)["Derivation"], build["derivation"])
        self.assertIn(f"\n{build['outputs'][0]['path']}  offered, ", text)
        self.assertRegex(text, r"\nAttempts:\n.*\n\d+ +builder-1 +succeeded ")
        self.assertRegex(text, r"\nBuilds that it needs:\n(.*\n)*\d+ +tide-calendar-")
        failed = self.command("build", "show", self.builds["sextant"]["id"])
        self.assertIn("\nThe builder failed. ", failed)
        self.assertIn(f"panoply build log {self.builds['sextant']['id']}", failed)
        lost = self.command("build", "show", self.builds["navigator"]["id"])
        self.assertIn(f"It needs build {self.builds['sextant']['id']}, which failed.", lost)

    def test_explain(self):
        finished = self.told("build", "explain", self.builds["almanac"]["id"])
        self.assertEqual(finished["reason"], "finished")
        self.command("agents", "pause", "builder-1")
        self.addCleanup(self.command, "agents", "resume", "builder-1")
        build = self.survey()
        self.assertEqual(self.told("build", "explain", build)["reason"], "agents-paused")
        text = self.command("build", "explain", build)
        self.assertIn("\nEach connected agent for x86_64-linux is paused.", text)
        self.assertRegex(text, r"\nAgents for its system:\nAGENT .*\n(.*\n)*builder-1 +yes +yes +0 +4\n")
        self.command("build", "cancel", build)
        text = self.command("build", "explain", build)
        self.assertIn("\nIt was cancelled.", text)
        for package in ("sextant", "navigator"):  # one that has failed, and what needs it
            self.assertIn(str(self.builds["sextant"]["id"]),
                          self.command("build", "explain", self.builds[package]["id"]))

    def test_several_at_once(self):
        """One that the server refuses keeps the command from none of the others."""
        self.command("agents", "pause", "builder-1")
        self.addCleanup(self.command, "agents", "resume", "builder-1")
        first, second, ended = self.survey(), self.survey(), self.builds["almanac"]["id"]
        wrong = self.farm.server.command_line("build", "cancel", first, "x", check=False)
        self.assertEqual((wrong.returncode, wrong.stdout), (2, ""))
        self.assertEqual(self.told("build", "show", first)["state"], "waiting")
        done = self.farm.server.command_line("build", "cancel", first, ended, second, check=False)
        self.assertEqual(done.returncode, 1)
        self.assertEqual(done.stdout, f"build {first}: cancelled\nbuild {second}: cancelled\n")
        self.assertIn(str(ended), done.stderr)
        self.command("build", "restart", first, second)
        self.command("build", "cancel", first, second)

    def survey(self) -> int:
        """A build of sea-floor-survey that nobody has had yet."""
        self.farm.channel.set_version("sea-floor-survey", next(self.versions))
        return self.farm.builds(self.farm.push("Survey anew"))["sea-floor-survey"]["id"]

    def test_log(self):
        for package in ("sounding-log", "sextant"):
            number = self.builds[package]["id"]
            self.assertEqual(self.command("build", "log", number), self.farm.log(number))
        self.assertIn("the mirror is broken", self.command("build", "log", number))
        with open("/dev/full", "w") as full:
            lost = subprocess.run([executable(), "build", "log", str(number)], stdout=full,
                                  stderr=subprocess.PIPE, text=True,
                                  env=self.farm.server.client_environment())
        self.assertEqual(lost.returncode, 1)
        self.assertIn("No space left", lost.stderr)

    def test_log_of_a_build_that_waits_is_followed(self):
        """Its log is that of the attempt that comes."""
        self.command("agents", "pause", "builder-1")
        build = self.survey()
        with self.follow("build", build) as process:
            self.assertEqual(self.farm.build(build)["state"], "waiting")
            self.command("agents", "resume", "builder-1")
            self.assertEqual(len(process.stdout.readlines()), SECONDS)
            self.assertEqual(process.wait(), 0)

    def test_log_is_followed(self):
        """Lines arrive while the build runs, and the command ends with it."""
        build = self.survey()
        self.farm.wait_for_build(build, "running")
        with self.follow("build", build) as process:
            first = process.stdout.readline()
            self.assertEqual(self.farm.build(build)["state"], "running")
            rest = process.stdout.read()
            self.assertEqual(process.wait(), 0)
        self.assertEqual((first + rest).splitlines(),
                         [f"line {i + 1} of {SECONDS}" for i in range(SECONDS)])
        self.farm.wait_for_build(build, "succeeded")


class Submissions(OfFarm):
    numbers = itertools.count(1)

    def derivations(self) -> list[str]:
        """Two in the evaluator's store; the second needs the first."""
        channel = self.farm.evaluator.outside("/submitted")
        if not channel.exists():
            self.farm.channel.git("clone", "--quiet", self.farm.channel.url, str(channel))
        return self.farm.evaluator.run(
            "guix", "repl", "-L", "/submitted", "--", "/dev/stdin",
            given=TWO_DERIVATIONS.format(next(self.numbers))).stdout.split()

    def test_build(self):
        """With its sources and what it needs; the outputs are offered."""
        anchor, buoy = self.derivations()
        said = self.command("build", "submit", buoy)
        self.assertRegex(said, rf"^build \d+ of {buoy}\n$")
        number = int(said.split()[1])
        build = self.farm.wait_for_build(number, lambda it: it["finished_at"])
        self.assertEqual((build["state"], build["derivation"]), ("succeeded", buoy))
        self.assertEqual(build["jobs"], [])
        needed, = build["dependencies"]
        self.assertEqual(needed["state"], "succeeded")
        self.assertEqual(self.farm.build(needed["id"])["derivation"], anchor)
        output = build["outputs"][0]["path"].removeprefix("/gnu/store/")
        self.assertIn(f"StorePath: /gnu/store/{output}\n",
                      self.client.text(f"/{output[:32]}.narinfo"))
        self.assertIn(b"iron 1\nreef\n" if buoy.endswith("-1.drv") else b"reef\n",
                      self.client.request("GET", f"/nar/{output}").body)
        for item in (anchor, buoy):
            self.client.text(f"/{item.removeprefix('/gnu/store/')[:32]}.narinfo")
        self.assertEqual(self.command("build", "submit", buoy), said)
        self.assertEqual(len(self.farm.build(number)["attempts"]), 1)

    def test_several(self):
        """One may be of an evaluation already, or come twice."""
        anchor, buoy = self.derivations()
        almanac = self.farm.build(self.builds["almanac"]["id"])
        ids = self.told("build", "submit", buoy, almanac["derivation"], anchor, buoy)["builds"]
        self.assertEqual(ids[1], almanac["id"])
        self.assertEqual(ids[0], ids[3])
        for number, derivation in zip(ids, (buoy, almanac["derivation"], anchor)):
            build = self.farm.wait_for_build(number, "succeeded")
            self.assertEqual(build["derivation"], derivation)

    def test_priority(self):
        anchor, _ = self.derivations()
        answer = self.client.request(
            "POST", f"{API}/builds", json.dumps({"derivations": [anchor], "priority": 7}).encode())
        self.assertEqual(answer.status, 201)
        number, = json.loads(answer.body)["builds"]
        self.assertEqual(self.farm.wait_for_build(number, "succeeded")["priority"], 7)

    def test_what_the_store_lacks(self):
        done = self.farm.server.command_line("build", "submit", UNKNOWN, check=False)
        self.assertEqual((done.returncode, done.stdout), (1, ""))
        self.assertIn(UNKNOWN, done.stderr)
        self.assertEqual(len(done.stderr.splitlines()), 1)
        anchor, _ = self.derivations()
        with self.assertRaises(Refused) as refused:  # all or nothing
            self.client.api("POST", "/builds", {"derivations": [anchor, UNKNOWN]})
        self.assertEqual(refused.exception.status, 404)
        name = anchor.split("-", 1)[1].removesuffix(".drv")
        self.assertEqual(self.client.api("GET", f"/builds?name={name}")["items"], [])

    def test_what_is_no_submission(self):
        for body in ({}, {"derivations": []}, {"derivations": "x"}, {"derivations": [7]},
                     {"derivations": ["/etc/passwd"]}, {"derivations": [UNKNOWN] * 1001},
                     {"derivations": [UNKNOWN], "priority": 1001},
                     {"derivations": [UNKNOWN], "prioritee": 3}, []):
            with self.assertRaises(Refused) as refused:
                self.client.api("POST", "/builds", body)
            self.assertEqual(refused.exception.status, 400, body)
        with self.assertRaises(Refused) as refused:
            self.client.api("POST", "/builds", {"derivations": [UNKNOWN, 7]})
        self.assertIn(b"number 2", refused.exception.body)


class Agents(OfFarm):
    def test_list_and_show(self):
        listed = {row["NAME"]: row for row in rows(self.command("agents", "list"))}
        self.assertEqual(listed["builder-1"]["CONNECTED"], "yes")
        systems = self.client.api("GET", "/agents/builder-1")["systems"]
        self.assertEqual(listed["builder-1"]["SYSTEMS"], " ".join(systems))
        text = self.command("agents", "show", "builder-1")
        self.assertTrue(text.startswith("Agent builder-1: connected\n"), text)
        self.assertEqual(members(text)["Places"], "4")
        told = self.told("agents", "show", "builder-1")
        self.assertEqual(told["systems"], self.client.api("GET", "/agents/builder-1")["systems"])

    def test_pause_and_resume(self):
        self.command("agents", "pause", "builder-1")
        self.addCleanup(self.command, "agents", "resume", "builder-1")
        self.farm.server.wait_for("/agents/builder-1", lambda it: it["paused"])
        self.command("agents", "resume", "builder-1")
        self.farm.server.wait_for("/agents/builder-1", lambda it: not it["paused"])

    def test_token_enrols_an_agent(self):
        token = self.command("agents", "token", "create", "the cellar").strip()
        self.assertRegex(token, r"^panoply_join_[0-9a-f]{64}$")
        self.assertNotEqual(self.command("agents", "token", "create").strip(), token)
        file = self.folder() / "token"
        file.write_text(token + "\n")
        agent = self._program(Agent(self.farm.server, self.farm.builders[0], name="cellar",
                                    join_token_file=file))
        self.farm.server.wait_for("/agents/cellar", lambda it: it["connected"])
        self.assertEqual(self.command("agents", "show", "cellar").splitlines()[0],
                         "Agent cellar: connected")
        self.assertRegex((agent.folder / "token").read_text(), r"^panoply_agent_[0-9a-f]{64}\s*$")
        self.assertEqual(agent.stop(), 0)
        self.farm.server.wait_for("/agents/cellar", lambda it: not it["connected"])

    def test_released_agent_stays_out(self):
        """Though it has its joining token still; without its own it may have the name again."""
        agent = self._program(Agent(self.farm.server, self.farm.builders[0], name="attic"))
        self.farm.server.wait_for("/agents/attic", lambda it: it["connected"])
        enrolled = self.client.api("GET", "/status")["agents_enrolled_count"]
        self.assertIn("released", self.command("agents", "release", "attic"))
        attic = self.told("agents", "show", "attic")
        self.assertEqual((attic["released"], attic["connected"]), (True, False))
        listed = {row["NAME"]: row for row in rows(self.command("agents", "list"))}
        self.assertEqual(listed["attic"]["RELEASED"], "yes")
        for page in ("/agents", "/agents/attic"):
            self.assertIn('data-state="released"', self.client.text(page))
        self.farm.server.wait_for("/status",
                                  lambda it: it["agents_enrolled_count"] == enrolled - 1)
        for verb in ("pause", "resume", "release"):
            done = self.farm.server.command_line("agents", verb, "attic", check=False)
            self.assertEqual(done.returncode, 1)
            self.assertIn("released", done.stderr)
        wait_until(lambda: not agent.is_running(), 60, "the agent ends", pause=0.2)
        self.assertIn("was revoked", agent.log.read_text())
        self.assertNotIn("agent 'attic'", agent.log.read_text())
        (agent.folder / "token").unlink()
        agent.start()
        self.farm.server.wait_for("/agents/attic",
                                  lambda it: it["connected"] and not it["released"])
        self.assertEqual(agent.stop(), 0)

    def test_tokens_are_listed_and_revoked(self):
        token = self.told("agents", "token", "create", "the shed")
        listed = {row["ID"]: row for row in rows(self.command("agents", "token", "list"))}
        self.assertEqual(listed[str(token["id"])]["NAME"], "the shed")
        self.assertNotIn(token["token"], self.command("agents", "token", "list", "--json"))
        self.command("agents", "token", "revoke", token["id"])
        self.assertNotIn(token["id"], [it["id"] for it in self.client.api(
            "GET", "/agents/tokens")["items"]])
        wait_until(lambda: Client(self.farm.server.url, token["token"]).request(
            "POST", "/agent/v1/enrol", b"{}").status == 401, 10, "it enrols nobody any more")
        for words in (("revoke", token["id"]), ("revoke", 10 ** 9)):
            done = self.farm.server.command_line("agents", "token", *words, check=False)
            self.assertEqual(done.returncode, 1, done.stderr)
        for words in (("revoke", "x"), ("revoke",), ("list", "x"), ("destroy",)):
            done = self.farm.server.command_line("agents", "token", *words, check=False)
            self.assertEqual(done.returncode, 2, done.stderr)
        # An agent's own token is none of these; and the list is the operator's alone.
        with self.assertRaises(Refused) as refused:
            Client(self.farm.server.url).api("GET", "/agents/tokens")
        self.assertEqual(refused.exception.status, 401)

    def test_token_for_a_while(self):
        answer = self.client.request("POST", f"{API}/agents/tokens",
                                     json.dumps({"name": "brief", "valid_s": 3}).encode())
        self.assertEqual(answer.status, 201)
        joining = Client(self.farm.server.url, json.loads(answer.body)["token"])
        names = (f"brief-{number}" for number in itertools.count())

        def enrol() -> int:
            description = {"name": next(names), "systems": ["mips64el-linux"], "jobs": 1,
                           "facts": {}}
            return joining.request("POST", "/agent/v1/enrol",
                                   json.dumps(description).encode()).status

        self.assertEqual(enrol(), 201)
        wait_until(lambda: enrol() == 401, 20, "the token ends", pause=0.5)

    def test_tokens_that_cannot_be(self):
        for body in ({}, {"name": ""}, {"name": "x" * 201}, {"name": 7},
                     {"name": "x", "valid_s": -1}, {"name": "x", "valid_s": 10 ** 10},
                     {"name": "x", "bogus": 1}, []):
            with self.assertRaises(Refused) as refused:
                self.client.api("POST", "/agents/tokens", body)
            self.assertEqual(refused.exception.status, 400, body)
        anonymous = Client(self.farm.server.url)
        with self.assertRaises(Refused) as refused:
            anonymous.api("POST", "/agents/tokens", {"name": "x"})
        self.assertEqual(refused.exception.status, 401)

    def test_bodies_of_another_type(self):
        for path in ("/agents/tokens", "/builds", "/specifications"):
            for kind in ("application/x-www-form-urlencoded", "text/plain"):
                with self.subTest(path, kind=kind):
                    answer = self.client.request("POST", API + path, b'{"name": "\xff"}',
                                                 {"Content-Type": kind})
                    self.assertEqual(answer.status, 415, answer.body)
                    self.assertIn("Content-Type: application/json", json.loads(answer.body)["hint"])

    def test_parameters_that_cannot_be(self):
        name = self.client.api("GET", "/specifications")["items"][0]["name"]
        for method, path in (("POST", f"/specifications/{name}/evaluate?force=bogus"),
                             ("POST", f"/specifications/{name}/pause?force=yes"),
                             ("POST", "/builds/1/restart?dependents=maybe"),
                             ("GET", "/builds?foo=bar"), ("GET", "/evaluations?state=dependency-failed"),
                             ("GET", "/builds/1/log?follow=1"), ("GET", "/events?sort=name"),
                             ("GET", "/builds?evaluation=0"), ("GET", "/builds/1/log?attempt=0"),
                             ("GET", "/builds?limit=1&limit=2")):
            with self.subTest(path):
                with self.assertRaises(Refused) as refused:
                    self.client.api(method, path)
                self.assertEqual(refused.exception.status, 400)

    def test_actions_take_no_members(self):
        """Whoever writes into the body what belongs into the query is told."""
        for path in ("/specifications/none/evaluate", "/specifications/none/pause",
                     "/specifications/none/resume", "/evaluations/999999/cancel",
                     "/builds/999999/cancel", "/builds/999999/restart", "/agents/none/pause",
                     "/agents/none/resume", "/agents/none/release",
                     "/agents/tokens/999999/revoke"):
            for body, status, told in ((b'{"force": true}', 400, '"force"'), (b"{]", 400, "column"),
                                       (b"[]", 400, "object"), (b"{}", 404, ""), (b"", 404, "")):
                with self.subTest(path, body=body):
                    answer = self.client.request("POST", API + path, body)
                    self.assertEqual(answer.status, status, answer.body)
                    self.assertIn(told, json.loads(answer.body)["detail"])
        answer = self.client.request("POST", f"{API}/cache/check", b'{"withdraw": true}')
        self.assertEqual(answer.status, 400, answer.body)


class Server(OfFarm):
    def test_key(self):
        key = self.command("key", "show")
        self.assertIn("(public-key", key)
        self.assertEqual(key, self.client.text("/signing-key.pub"))
        self.assertEqual(key, (self.farm.server.state / "keys/signing-key.pub").read_text())
        self.assertEqual(self.told("key", "show"), {"public_key": key})

    def test_doctor(self):
        """It wants a look at what the overview says needs attention, and at nothing else."""
        overview = self.client.api("GET", "/overview")
        done = self.farm.server.command_line("doctor", check=False)
        said = done.stdout.splitlines()
        looks = [line for line in said if line.startswith("LOOK ")]
        self.assertEqual(done.returncode, 1 if looks else 0)
        self.assertEqual(len(looks), len(overview["worse_evaluations"])
                         + bool(overview["breakages"]) + bool(overview["agents_away"]), (done.stdout, overview))
        self.assertIn("specification example: its channels ", done.stdout)
        told = json.loads(self.farm.server.command_line("doctor", "--json", check=False).stdout)
        self.assertEqual([("ok  " if it["good"] else "LOOK") + " " + it["finding"] for it in told],
                         said)

    def test_help(self):
        for command in ("spec", "evaluation", "build", "agents", "key", "cache", "events",
                        "doctor"):
            with self.subTest(command):
                self.assertIn(f"Usage: panoply {command}", self.command(command, "--help"))


class Tables(OfFarm):
    """They fit a terminal, and are whole where none is."""

    COLOUR = re.compile(r"\x1b\[\d*m")

    def shown(self, *words: str, columns: int, **environment: str) -> str:
        return on_a_terminal([executable(), *words],
                             {**self.farm.server.client_environment(), "TERM": "xterm",
                              **environment}, columns)

    def test_lines_fit(self):
        whole = self.command("build", "list").splitlines()
        self.assertGreater(max(map(len, whole)), 80)
        self.assertNotIn("…", "".join(whole))
        number = str(self.evaluation["id"])
        for columns, environment, width in ((80, {}, 80), (120, {}, 120), (40, {}, 40),
                                            (0, {"COLUMNS": "70"}, 70), (0, {}, 80),
                                            (80, {"COLUMNS": "200"}, 80)):
            with self.subTest(columns=columns, **environment):
                environment = {"COLUMNS": "", **environment}
                for words in (("build", "list"), ("spec", "list"), ("evaluation", "list"),
                              ("agents", "list"), ("evaluation", "errors", number),
                              ("evaluation", "jobs", number), ("agents", "token", "list"),
                              ("spec", "show", "example"), ("agents", "show", "builder-1")):
                    text = self.COLOUR.sub("", self.shown(*words, columns=columns, **environment))
                    long = [line for line in text.splitlines() if len(line) > width
                            and not (line.startswith("module") or " /" in line)]
                    self.assertEqual(long, [], words)
                lines = self.COLOUR.sub("", self.shown("build", "list", columns=columns,
                                                       **environment)).splitlines()
                self.assertEqual(len(lines), len(whole))
        self.assertIn("sea-floor-survey-7.0", self.shown("build", "list", columns=200))

    def test_what_is_cut_keeps_its_meaning(self):
        """States are whole and have their colour, times tell rows apart; else a column goes."""
        for columns in (40, 60, 80):
            text = self.shown("build", "list", columns=columns)
            self.assertIn("\x1b[33mdependency-failed\x1b[m", text)
            self.assertEqual("CREATED" in text, columns > 40)
            plain = self.COLOUR.sub("", text)
            if columns > 40:
                self.assertRegex(plain, r"sextant-1.0 +(x86_64-linux +)?failed +\d+ (s|min) ago")
            self.assertNotRegex(plain, r"2026-|\d…")
        survey = self.shown("build", "show", str(self.builds["almanac"]["id"]), columns=80)
        self.assertRegex(survey, r"Wanted +\d+ (s|min) ago, 20\d\d-\d\d-\d\d \d\d:\d\d UTC\n")
        self.assertRegex(survey, r"Limits +\d+ h in all, \d+ h of silence\n")
        self.assertRegex(survey, r"  offered, [\d.]+ (B|KiB)\n")
        agent = self.shown("agents", "show", "builder-1", columns=80)
        self.assertRegex(agent, r"Memory +[\d.]+ [GT]iB\n")

    def test_colours_of_states(self):
        failed = "\x1b[31mfailed\x1b[m"
        number = str(self.builds["sextant"]["id"])
        for words in (("build", "list"), ("build", "show", number)):
            self.assertIn(failed, self.shown(*words, columns=100, NO_COLOR=""))
            for environment in ({"NO_COLOR": "1"}, {"TERM": "dumb"}):
                self.assertNotIn("\x1b", self.shown(*words, columns=100, **environment))
            self.assertNotIn("\x1b", self.command(*words))
        self.assertNotIn("\x1b", self.shown("build", "list", "--json", columns=100))

    def test_filters(self):
        builds = self.client.api("GET", "/builds?limit=1000")["items"]
        for words, condition in (
                (("--name", "tide", "--state", "succeeded"),
                 lambda it: "tide" in it["name"] and it["state"] == "succeeded"),
                (("--system", "riscv64-linux"), lambda it: False),
                (("--evaluation", str(self.evaluation["id"])),
                 lambda it: it["id"] in {build["id"] for build in self.builds.values()})):
            told = self.told("build", "list", "--limit", "1000", *words)["items"]
            self.assertEqual(told, [it for it in builds if condition(it)])
        self.assertIn("There is no such evaluation",
                      self.command("evaluation", "list", "--state", "cancelled"))
        jobs = rows(self.command("evaluation", "jobs", self.evaluation["id"], "--name", "tide"))
        self.assertTrue(jobs and all("tide" in row["JOB"] for row in jobs))


class Finding(OfFarm):
    def test_changes(self):
        """Of the newest of two evaluations."""
        self.farm.channel.set_version("moon-phases", "1.2")
        newest = self.farm.push("A newer moon")
        self.farm.finish(newest)
        told = self.told("evaluation", "changes", newest["id"])
        text = self.command("evaluation", "changes", newest["id"], "--show", "succeeded")
        self.assertIn(f"Against evaluation {told['against']}: ", text)
        self.assertRegex(text, r"\nmoon-phases\.x86_64-linux +same +\d+ +succeeded +succeeded\n")
        against = self.told("evaluation", "changes", newest["id"], "--against",
                            self.evaluation["id"], "--name", "moon", "--show", "succeeded")
        self.assertEqual((against["against"], [it["name"] for it in against["items"]]),
                         (self.evaluation["id"], ["moon-phases.x86_64-linux"]))
        done = self.command("evaluation", "restart", self.evaluation["id"])
        self.assertEqual(done, "what failed of it will be built again\n")
        self.farm.finish(self.evaluation)

    def test_around_a_build(self):
        """What its page tells beside: history, graph, how others make the same, the error."""
        sextant, navigator = (self.builds[name]["id"] for name in ("sextant", "navigator"))
        history = self.command("build", "history", sextant)
        self.assertRegex(history, r"^The job sextant\.x86_64-linux of example fails since evaluation")
        self.assertRegex(history, rf"\nBUILD .*\n(.*\n)*{sextant} +sextant-1.0 +failed ")
        graph = self.command("build", "graph", navigator)
        self.assertTrue(graph.startswith(f"Build {navigator}, navigator"), graph)
        self.assertRegex(graph, rf"\nIt needs:\nNAME .*\n(.*\n)*sextant-1.0 +{sextant} +failed\n")
        self.assertRegex(self.command("build", "graph", sextant),
                         rf"\nNeeded by:\nNAME .*\n(.*\n)*navigator-[\d.]+ +{navigator} ")
        commands = self.command("build", "reproduce", sextant)
        self.assertIn("\nguix build ", commands)
        self.assertEqual(self.told("build", "reproduce", sextant),
                         self.client.api("GET", f"/builds/{sextant}/reproduction"))
        self.assertRegex(self.command("build", "explain", sextant),
                         r"\nLine \d+ of its log: .*mirror is broken")
        tried = self.told("build", "list", "--agent", "builder-1", "--limit", "1000")["items"]
        self.assertIn(sextant, [it["id"] for it in tried])
        agent = self.command("agents", "show", "builder-1")
        self.assertRegex(agent, r"\nLast day +\d+ % of its places busy, [1-9]\d* tries failed\n")
        self.assertRegex(agent, rf"\nFailed last:\nBUILD .*\n(.*\n)*{sextant} +sextant-1.0 +build ")
        self.assertRegex(agent, r"\nBuilt last:\nBUILD ")

    def test_around_an_evaluation(self):
        self.farm.channel.set_version("moon-phases", "1.3")
        newest = self.farm.push("The newest moon of all")
        self.farm.finish(newest)
        commits = self.command("evaluation", "commits", newest["id"])
        self.assertRegex(commits, r"^Against evaluation \d+:\n\n\S+, 1 commits since [0-9a-f]{40}:\n"
                                  r"COMMIT .*\n[0-9a-f]{40} +The newest moon of all ")
        self.assertEqual(self.command("evaluation", "errors", newest["id"], "--show", "new"),
                         "It has no such errors.\n")
        refused = self.farm.server.command_line("evaluation", "errors", newest["id"], "--show", "x",
                                                check=False)
        self.assertEqual(refused.returncode, 2)
        self.assertIn("new gone", refused.stderr)

    def test_overview(self):
        text = self.command("overview")
        self.assertRegex(text, r"\nAgents +1 of \d+ connected\n")
        self.assertRegex(text, r"\nBuilds +.*\d+ succeeded")
        self.assertEqual(set(self.told("overview")), set(self.client.api("GET", "/overview")))

    def test_queue(self):
        queue = self.told("queue")
        self.assertEqual(set(queue), {"systems", "specifications", "next", "waiting_longest"})
        self.command("agents", "pause", "builder-1")
        self.addCleanup(self.command, "agents", "resume", "builder-1")
        self.farm.channel.set_version("libtide", "9.1")
        self.farm.push("Keep waiting")

        def waits() -> str:
            text = self.command("queue")
            return text if "example" in text and "x86_64-linux" in text else ""
        text = wait_until(waits, 20, "the queue shows it")
        self.assertIn("By specification:\n", text)
        self.command("agents", "resume", "builder-1")

    def test_search(self):
        item = self.builds["almanac"]["derivation"]
        self.assertRegex(self.command("search", "almanac"),
                         r"Jobs:\nJOB .*\nalmanac\.x86_64-linux +example +\d+ +\d+ +[a-z-]+\n")
        self.assertIn(item, self.command("search", item))
        commit = self.evaluation["revisions"][0]["commit"]
        self.assertIn(commit, self.command("search", commit[:10]))
        self.assertRegex(self.command("search", "example"),
                         r"By name or number:\nKIND .*\nspecification +- +example\b")
        nothing = self.farm.server.command_line("search", "no such thing", check=False)
        self.assertEqual((nothing.returncode, nothing.stderr), (1, ""))
        self.assertTrue(self.told("search", "almanac")["jobs"])


class NextSteps(OfFarm):
    """Whoever asks for what is not there is told where to look."""

    def test_hints(self):
        ended = str(self.builds["almanac"]["id"])
        for words, hint in (
                (("spec", "show", "nowhere"), "panoply spec list"),
                (("evaluation", "list", "nowhere"), "panoply spec list"),
                (("evaluation", "show", "99999"), "panoply evaluation list"),
                (("build", "show", "99999"), "panoply build list"),
                (("build", "show", "abc"), "panoply build list"),
                (("build", "cancel", ended), "panoply build show"),
                (("agents", "show", "nowhere"), "panoply agents list"),
                (("agents", "token", "revoke", "99999"), "panoply agents token list"),
                (("build", "list", "--state", "foo"), "dependency-failed"),
                (("evaluation", "changes", "1", "--show", "nope"), "broken fixed"),
                (("evaluation", "list", "--before", "abc"), "go on with"),
                (("build", "submit", "x"), "/gnu/store/"),
                (("build", "log", str(self.builds["navigator"]["id"])), "panoply build explain"),
                (("build", "show", "thyme"), "panoply build list --name thyme"),
                (("spec", "remove"), "delete"), (("agent-s",), "agents"), (("evaluations",), "evaluation"),
                (("build", "shwo", "1"), "\"show\""), (("agents", "tokens"), "token create"),
                (("agents", "token"), "create, list, revoke"),
                (("build", "lits"), "panoply build --help")):
            with self.subTest(words):
                done = self.farm.server.command_line(*words, check=False)
                self.assertIn(done.returncode, (1, 2))
                self.assertIn(hint, done.stderr)
                self.assertLessEqual(len(done.stderr.splitlines()), 2)


class Followed(OfFarm):
    """With --follow: again when something has happened."""

    def follow_lines(self, *words: str) -> subprocess.Popen:
        process = subprocess.Popen([executable(), *words, "--follow"], stdout=subprocess.PIPE,
                                   text=True, env=self.farm.server.client_environment())
        self.addCleanup(process.wait)
        self.addCleanup(process.stdout.close)
        self.addCleanup(process.kill)
        return process

    def until(self, process: subprocess.Popen, pattern: str) -> list[str]:
        """The lines up to the one that has it."""
        lines = []
        for line in process.stdout:
            lines.append(line.rstrip("\n"))
            if re.search(pattern, line):
                return lines
        raise AssertionError(f"{pattern} does not come: {lines}")

    def test_rows_that_change(self):
        process = self.follow_lines("agents", "list")
        self.until(process, r"^builder-1 +yes +no ")
        self.command("agents", "pause", "builder-1")
        self.addCleanup(self.command, "agents", "resume", "builder-1")
        later = self.until(process, r"^builder-1 +yes +yes ")
        self.assertFalse([line for line in later if line.startswith("NAME")], later)
        told = self.follow_lines("agents", "list", "--json")
        self.assertTrue(json.loads(self.until(told, "builder-1")[-1])["paused"])
        self.command("agents", "resume", "builder-1")
        self.until(process, r"^builder-1 +yes +no ")
        self.assertFalse(json.loads(self.until(told, "builder-1")[-1])["paused"])

    def test_a_build_until_its_end(self):
        self.farm.channel.set_version("sea-floor-survey", next(Builds.versions))
        build = self.farm.builds(self.farm.push("Follow a survey"))["sea-floor-survey"]["id"]
        rows_of = self.follow_lines("build", "list", "--name", "sea-floor-survey")
        evaluation = self.follow_lines(
            "evaluation", "show", str(self.client.api("GET", "/evaluations")["items"][0]["id"]))
        process = self.follow_lines("build", "show", str(build))
        self.until(process, f"^Build {build}, .*: succeeded")
        process.stdout.read()
        self.assertEqual(process.wait(), 0)
        self.until(rows_of, f"^{build} .* succeeded ")
        self.assertIn("succeeded", evaluation.stdout.read())
        self.assertEqual(evaluation.wait(), 0)

    def test_others(self):
        for words, pattern in ((("queue",), "Nothing waits|SYSTEM"), (("spec", "list"), "^example"),
                               (("evaluation", "list"), "example"),
                               (("spec", "show", "example"), "^Specification example"),
                               (("agents", "show", "builder-1"), "^Agent builder-1")):
            self.until(self.follow_lines(*words), pattern)
        refused = self.farm.server.command_line("build", "show", "99999", "--follow", check=False)
        self.assertEqual((refused.returncode, refused.stdout), (1, ""))
        self.assertIn("panoply build list", refused.stderr)

    def test_a_terminal_is_redrawn(self):
        with Screen([executable(), "agents", "list", "--follow"],
                    {**self.farm.server.client_environment(), "TERM": "xterm"}) as screen:
            screen.wait_for(r"builder-1 +yes +no ")
            self.command("agents", "pause", "builder-1")
            self.addCleanup(self.command, "agents", "resume", "builder-1")
            text = screen.wait_for(r"\x1b\[\d+A\r\x1b\[JNAME[^\x1b]*builder-1 +yes +yes ")
            lines = len(self.command("agents", "list").splitlines())
            self.assertIn(f"\x1b[{lines}A", text)

    def test_a_log_survives_a_lost_connection(self):
        proxy = Cut(self.farm.server.address)
        self.addCleanup(proxy.close)
        self.farm.channel.set_version("sea-floor-survey", next(Builds.versions))
        build = self.farm.builds(self.farm.push("Survey and be cut"))["sea-floor-survey"]["id"]
        process = self.follow_lines("build", "log", str(build), "--url", proxy.url)
        lines = self.until(process, "line 2 of")
        proxy.cut()
        lines += process.stdout.read().splitlines()
        self.assertEqual(lines, [f"line {i + 1} of {SECONDS}" for i in range(SECONDS)])
        self.assertEqual(process.wait(), 0)

    def test_log_of_an_older_attempt(self):
        sextant = self.builds["sextant"]["id"]
        first = self.farm.build(sextant)["attempts"][-1]["id"]
        self.command("build", "restart", sextant)
        newest = self.farm.wait_for_build(
            sextant, lambda it: it["finished_at"] and it["attempts"][0]["id"] != first)
        for attempt in (first, newest["attempts"][0]["id"]):
            self.assertEqual(self.command("build", "log", sextant, "--attempt", attempt),
                             self.client.text(f"{API}/builds/{sextant}/log?attempt={attempt}"))
        lost = self.farm.server.command_line("build", "log", sextant, "--attempt", 10 ** 9,
                                             check=False)
        self.assertEqual(lost.returncode, 1)

    def test_token_for_days(self):
        token = self.told("agents", "token", "create", "brief", "--days", "3")
        item, = (it for it in self.client.api("GET", "/agents/tokens")["items"]
                 if it["id"] == token["id"])
        lasts = (datetime.datetime.fromisoformat(item["expires_at"][:-1])
                 - datetime.datetime.fromisoformat(item["created_at"][:-1]))
        self.assertEqual(round(lasts.total_seconds()), 3 * 86400)
        self.assertRegex(on_a_terminal([executable(), "agents", "token", "list"],
                                       self.farm.server.client_environment(), 80),
                         r"brief +\d+ s ago +in \d+ [hd]")
        self.command("agents", "token", "revoke", token["id"])


class FollowedEvents(OfFarm):
    def events(self, *words: str) -> subprocess.Popen:
        process = subprocess.Popen([executable(), "events", *words], stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE, text=True,
                                   env=self.farm.server.client_environment())
        self.addCleanup(process.stdout.close)
        self.addCleanup(process.stderr.close)
        self.addCleanup(process.kill)
        return process

    def test_those_that_are_kept(self):
        lines = self.command("events", "--since", "0-0", "--limit", "5").splitlines()
        self.assertEqual(len(lines), 5)
        for line in lines:
            self.assertRegex(line, r"^\d{4}-\d\d-\d\dT[\d:.]+Z [a-z_]+\.[a-z_]+ \d+")
        failed = self.command("events", "--since", "0-0", "--kind", "build.failed", "--limit",
                              "1")
        self.assertRegex(failed, r" build\.failed \d+ .*derivation=sextant-1\.0\.drv .*"
                                 r"agent=builder-1 .*cause=build")
        raw = self.command("events", "--since", "0-0", "--limit", "3", "--json").splitlines()
        self.assertEqual([set(json.loads(line)) for line in raw],
                         [{"id", "happened_at", "kind", "subject", "facts"}] * 3)

    def test_as_they_happen_and_over_a_lost_connection(self):
        """The server is away in between, and nothing is missed or told twice."""
        proxy = Cut(self.farm.server.address)
        self.addCleanup(proxy.close)
        process = self.events("--kind", "agent.", "--json", "--url", proxy.url)
        proxy.wait_for_connection()
        verbs = ("pause", "resume", "pause", "resume")
        told = []
        for verb in verbs:
            self.command("agents", verb, "builder-1")
            told.append(json.loads(process.stdout.readline())["kind"])
            proxy.cut()
        self.assertEqual(told, [f"agent.{verb}d" for verb in verbs])
        self.assertIsNone(process.poll())

    def test_what_cannot_be(self):
        for words in (("--since", "yesterday"), ("--kind", "BUILD"), ("--limit", "0"),
                      ("--url", "http://127.0.0.1:1")):
            done = self.farm.server.command_line("events", *words, check=False)
            self.assertEqual(done.returncode, 2, done.stderr)


class Cut:
    """A door to a server whose connections can be cut."""

    def __init__(self, address: str):
        self.address = address
        self.pairs = []
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.listener.getsockname()[1]}"
        self.count = 0
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self) -> None:
        while True:
            try:
                ours, _ = self.listener.accept()
            except OSError:
                return
            theirs = socket.create_connection(self.address.rsplit(":", 1))
            self.pairs.append((ours, theirs))
            for one, other in ((ours, theirs), (theirs, ours)):
                threading.Thread(target=self.pump, args=(one, other), daemon=True).start()

    def pump(self, one: socket.socket, other: socket.socket) -> None:
        try:
            while piece := one.recv(65536):
                other.sendall(piece)
                self.count += 1
        except OSError:
            pass

    def wait_for_connection(self) -> None:
        wait_until(lambda: self.count >= 2, 20, "the stream begins")

    def cut(self) -> None:
        pairs, self.pairs = self.pairs, []
        for pair in pairs:
            for one in pair:
                one.shutdown(socket.SHUT_RDWR)
                one.close()

    def close(self) -> None:
        self.listener.close()
        self.cut()


class Events(OfFarm):
    """Pausing and resuming an agent are the events here."""

    def open(self, query: str = "", last: str = ""):
        """The lines of the feed, behind the event LAST."""
        status, lines, connection = self.client.stream(
            "GET", f"{API}/events{query}", headers={"Last-Event-ID": last} if last else {})
        self.addCleanup(connection.close)
        self.assertEqual(status, 200)
        return (line.decode().rstrip("\n") for line in lines)

    def receive(self, lines, count: int) -> list[tuple[str, str, str]]:
        """COUNT events: identifier, kind and subject."""
        events, position = [], ""
        while len(events) < count:
            line = next(lines)
            if line.startswith("id: "):
                position = line[4:]
            elif line.startswith("data: "):
                event = json.loads(line[6:])
                self.assertTrue(position.endswith(f"-{event['id']}"), line)
                events.append((position, event["kind"], event["subject"]))
        return events

    def happen(self, *verbs: str) -> list[str]:
        """Each is an event, in this order; returns their kinds."""
        for verb in verbs:
            self.command("agents", verb, "builder-1")
            self.farm.server.wait_for("/agents/builder-1",
                                      lambda it: it["paused"] == (verb == "pause"))
        return [f"agent.{verb}d" for verb in verbs]

    def test_live_and_without_gaps(self):
        live = self.open("?kind=agent.")
        kinds = self.happen("pause", "resume")
        first = self.receive(live, 2)
        self.assertEqual([kind for _, kind, _ in first], kinds)
        missed = self.happen("pause", "resume", "pause")
        again = self.open("?kind=agent.", last=first[0][0])
        self.assertEqual([kind for _, kind, _ in self.receive(again, 4)], kinds[1:] + missed)
        later = self.happen("resume")
        self.assertEqual([kind for _, kind, _ in self.receive(again, 1)], later)
        # Who never left has seen the same; so has who reads it all from the beginning.
        seen = first + self.receive(live, 4)
        self.assertEqual([kind for _, kind, _ in seen], kinds + missed + later)
        whole = []
        everything = self.open(last="0-0")
        while not whole or whole[-1] != seen[-1]:
            whole += self.receive(everything, 1)
        self.assertEqual([event for event in whole if event[1].startswith("agent.")][-6:], seen)
        self.assertIn("build.succeeded", {kind for _, kind, _ in whole})
        places = [tuple(map(int, position.split("-"))) for position, _, _ in whole]
        self.assertEqual(places, sorted(set(places)))

    def test_a_build_as_it_happens(self):
        self.farm.channel.set_version("moon-phases", "9.9")
        lines = self.open("?kind=build.")
        build = self.farm.builds(self.farm.push("Another moon"))["moon-phases"]["id"]
        kinds, seen = [], []
        while not seen or seen[-1] != "build.succeeded":
            (_, kind, subject), = self.receive(lines, 1)
            kinds.append(kind)
            seen += [kind] if subject == build and kind != "build.queued" else []
        self.assertEqual(kinds[0], "build.queued")  # one for all that an evaluation wishes
        self.assertEqual(seen, ["build.started", "build.succeeded"])

    def test_positions_that_cannot_be(self):
        for last in ("x", "1", "1-x", "-1-1"):
            answer = self.client.request("GET", f"{API}/events", headers={"Last-Event-ID": last})
            self.assertEqual(answer.status, 400, last)
