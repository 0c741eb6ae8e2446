# SPDX-License-Identifier: GPL-3.0-or-later
"""The command line and its API against a server whose Guix is a script: what needs no
store."""

import json
import os
import re
import subprocess

from support.case import Case
from support.panoply import Refused, Server, executable
from support.terminal import on_a_terminal
from support.waiting import wait_until

HOSTILE = "\x1b[2J\x1b]0;title\x07\x1b[31mred\x1b[0m caf\u00e9 \u009b1m \u202eback\n"
SHOWN = "^[[2J^[]0;title^Gred caf\u00e9 \ufffd1m \ufffdback\n"
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z")


class OfClients(Case):
    def setUp(self) -> None:
        super().setUp()
        script = self.folder() / "guix"
        script.write_text(f"#!/bin/sh\ncat >&2 <<'END'\n{HOSTILE}END\nexit 1\n")
        script.chmod(0o755)
        self.hub: Server = self.server("--no-fsync", "--guix", script)

    def ask(self, *words: object) -> subprocess.CompletedProcess:
        return self.hub.command_line(*words, check=False)

    def add(self, name: str, **fields) -> str:
        """A specification of a channel of its own; returns its path below the API."""
        self.hub.add_specification(self.channel().specification(name, **fields))
        return f"/specifications/{name}"

    def api(self, path: str):
        return self.hub.client.api("GET", path)

    def polled_again(self, path: str) -> None:
        before = self.api(path)["polled_at"]
        self.hub.wait_for(path, lambda it: it["polled_at"] != before)

    def test_paused_specification_is_looked_at_only_on_demand(self):
        paused, other = self.add("paused", period=1), self.add("other", period=1)
        self.hub.wait_for(paused, lambda it: it["newest_evaluation"])
        self.assertEqual(self.ask("spec", "pause", "paused").returncode, 0)
        self.assertEqual(self.ask("spec", "pause", "paused").returncode, 0)
        self.assertTrue(self.api(paused)["paused"])
        self.polled_again(other)  # a poll that was under way has ended
        before = self.api(paused)["polled_at"]
        for _ in range(3):  # while the other, just as old, is looked at again and again
            self.polled_again(other)
        self.assertEqual(self.api(paused)["polled_at"], before)
        for page in ("/specifications", paused):
            self.assertIn("data-state=\"paused\"", self.hub.client.text(page))
        self.assertIn("paused: on demand only", self.hub.client.text(paused))
        self.assertRegex(self.ask("spec", "list").stdout, r"paused +1 +yes ")

        newest = self.api(paused)["newest_evaluation"]["id"]
        self.ask("spec", "evaluate", "paused", "--force")
        self.hub.wait_for(paused, lambda it: it["newest_evaluation"]["id"] > newest)
        self.assertTrue(self.api(paused)["paused"])
        self.ask("spec", "resume", "paused")
        self.assertFalse(self.api(paused)["paused"])
        self.polled_again(paused)
        self.assertEqual(self.ask("spec", "pause", "nosuch").returncode, 1)

    def test_events_of_a_specification(self):
        self.add("one", period=0)
        self.ask("spec", "pause", "one")
        self.ask("spec", "pause", "one")  # changes nothing, tells nothing
        self.ask("spec", "resume", "one")
        file = self.folder() / "one.json"
        file.write_text(json.dumps(self.api("/specifications/one")["definition"]))
        self.assertEqual(self.ask("spec", "edit", "one", file).returncode, 0)
        self.ask("spec", "delete", "one")
        status, lines, connection = self.hub.client.stream(
            "GET", "/api/panoply/v1/events?kind=specification.", seconds=20,
            headers={"Last-Event-ID": "0-0"})
        self.addCleanup(connection.close)
        self.assertEqual(status, 200)
        events = []
        while not events or events[-1]["kind"] != "specification.deleted":
            line = next(lines)
            if line.startswith(b"data: "):
                events.append(json.loads(line[6:]))
        self.assertEqual([event["kind"].partition(".")[2] for event in events],
                         ["added", "paused", "resumed", "changed", "deleted"])
        self.assertEqual({event["subject"] for event in events}, {events[0]["subject"]})
        self.assertGreater(events[0]["subject"], 0)
        self.assertEqual(set(events[0]), {"id", "happened_at", "kind", "subject", "facts"})
        self.assertEqual(events[0]["facts"], {"specification": "one"})
        self.assertRegex(events[0]["happened_at"], TIME)

    def test_verbs_refuse_options_that_they_do_not_take(self):
        for words in (("spec", "list", "--force"), ("spec", "show", "x", "--limit", "1"),
                      ("spec", "add", "x", "--follow"), ("key", "show", "--state", "x"),
                      ("spec", "list", "--state", "failed"), ("doctor", "--follow"),
                      ("build", "log", "1", "--json"), ("agents", "list", "--dependents"),
                      ("key", "rotate", "/x", "--url", "http://localhost")):
            with self.subTest(" ".join(words)):
                done = self.ask(*words)
                option = next(word for word in words if word.startswith("--"))
                self.assertEqual((done.returncode, done.stdout), (2, ""))
                self.assertIn(f"takes no {option}", done.stderr)

    def test_a_list_goes_on_where_it_says(self):
        for name in ("one", "two", "three"):
            self.hub.wait_for(self.add(name, period=0), lambda it: True)
            self.ask("spec", "evaluate", name)
        self.hub.wait_for("/evaluations", lambda it: len(it["items"]) == 3)
        seen, words = [], ["evaluation", "list", "--limit", "2"]
        while words:
            lines = self.ask(*words).stdout.splitlines()
            seen += [int(line.split()[0]) for line in lines[1:] if line[0].isdigit()]
            more = re.fullmatch(r"\(there are more: go on with (--before) (\S+)\)", lines[-1])
            words = words[:4] + list(more.groups()) if more else []
        self.assertEqual(seen, [3, 2, 1])

    def test_numbers_must_be_numbers(self):
        path = "/gnu/store/6d4lk73an4918digdv34xprynczidc39-demo.drv"
        for route, body in (("/builds", {"derivations": [path], "priority": "high"}),
                            ("/builds", {"derivations": [path], "priority": 1.5}),
                            ("/builds", {"derivations": path}),
                            ("/agents/tokens", {"name": "x", "valid_s": "1 day"}),
                            ("/agents/tokens", {"name": 1})):
            with self.subTest(str(body)), self.assertRaises(Refused) as refused:
                self.hub.client.api("POST", route, body)
            self.assertEqual(refused.exception.status, 400, refused.exception)

    def test_times_have_one_form(self):
        path = self.add("one", period=0)
        self.ask("spec", "evaluate", "one")
        evaluation = self.hub.wait_for("/evaluations/1", lambda it: it["finished_at"])
        specification = self.api(path)
        for value in (*(specification[name] for name in ("created_at", "changed_at", "polled_at")),
                      *(evaluation[name] for name in ("created_at", "started_at", "finished_at")),
                      specification["newest_evaluation"]["created_at"],
                      evaluation["revisions"][0]["committed_at"]):
            self.assertRegex(value, TIME)

    def on_a_terminal(self, *words: str) -> str:
        return on_a_terminal([executable(), *words],
                             {**os.environ, "PANOPLY_URL": self.hub.url})

    def test_a_log_cannot_give_orders_to_the_terminal(self):
        self.add("one", period=0)
        self.ask("spec", "evaluate", "one")
        self.hub.wait_for("/evaluations/1", lambda it: it["state"] == "failed")
        self.assertEqual(self.ask("evaluation", "log", "1").stdout, HOSTILE)
        self.assertEqual(self.on_a_terminal("evaluation", "log", "1"), SHOWN)
        raw = json.loads(self.on_a_terminal("evaluation", "show", "1", "--json"))
        self.assertEqual(raw, self.api("/evaluations/1"))

    def test_nothing_new_since_a_failure(self):
        """Who asks again because it failed is told that it did, and what evaluates it again."""
        self.add("one", period=0)
        self.ask("spec", "evaluate", "one")
        self.hub.wait_for("/evaluations/1", lambda it: it["state"] == "failed")
        again = self.ask("spec", "evaluate", "one")
        self.assertIn("nothing new since evaluation 1, which failed\n", again.stdout)
        self.assertIn("'panoply spec evaluate one --force' evaluates again", again.stdout)

    def test_doctor_sees_what_cannot_work(self):
        self.hub.wait_for("/status", lambda it: it["scheduler"])
        done = self.ask("doctor")  # new, and it cannot build anything
        self.assertEqual(done.returncode, 1)
        self.assertIn("LOOK no agent is enrolled, and 0 builds wait: ", done.stdout)
        self.add("one", period=0)
        self.ask("spec", "evaluate", "one")
        self.hub.wait_for("/evaluations/1", lambda it: it["state"] == "failed")
        done = self.ask("doctor")
        self.assertEqual(done.returncode, 1)
        looks = [line for line in done.stdout.splitlines() if line.startswith("LOOK ")]
        self.assertIn("no agent is enrolled", looks[0])
        self.assertIn("--join-token-file", looks[0])
        self.assertIn("specification one: its newest evaluation, 1, failed: ", looks[1])
        self.assertIn("--force", looks[1])
        self.assertFalse(all(it["good"] for it in json.loads(self.ask("doctor", "--json").stdout)))

    def test_changes_of_what_failed(self):
        self.add("one", period=0)
        self.ask("spec", "evaluate", "one")
        self.hub.wait_for("/evaluations/1", lambda it: it["state"] == "failed")
        self.assertEqual(self.ask("evaluation", "changes", "1").stdout,
                         "Evaluation 1 failed: it has no jobs to compare.\n")

    def test_period_of_what_is_paused(self):
        self.add("one", period=300)
        self.ask("spec", "pause", "one")
        self.assertRegex(self.ask("spec", "show", "one").stdout,
                         r"\nPeriod +300 s, but only when asked while paused\n")

    def test_first_start_is_introduced(self):
        """Once: who starts it again knows."""
        def introductions() -> int:
            return self.hub.log.read_text().count(
                f"panoply agent --server {self.hub.url} --join-token-file "
                f"{self.hub.state}/join-token\n")

        wait_until(lambda: introductions() == 1, 20, "it says how to go on")
        self.assertIn(f"Sign in with the token in {self.hub.state}/admin-token.",
                      self.hub.log.read_text())
        self.hub.restart()
        self.hub.stop()
        self.assertEqual(introductions(), 1)

    def test_lists_that_end_exactly(self):
        self.add("one", period=0)
        self.ask("spec", "evaluate", "one")
        self.hub.wait_for("/evaluations/1", lambda it: it["finished_at"])
        self.assertEqual(self.ask("evaluation", "list", "--before", "1").stdout,
                         "There is nothing more.\n")
        self.assertEqual(self.ask("evaluation", "list", "--state", "cancelled").stdout,
                         "There is no such evaluation.\n")

    def test_json_is_json(self):
        self.add("one", period=0)
        self.assertEqual(json.loads(self.ask("spec", "pause", "one", "--json").stdout), {})
        for words in (("--no-wait",), ()):
            json.loads(self.ask("spec", "evaluate", "one", "--json", *words).stdout)
        self.assertEqual(json.loads(self.ask("spec", "delete", "one", "--json").stdout), {})

    def test_a_joining_token_is_not_the_administrator(self):
        token = self.hub.join_token_file().read_text().strip()
        done = subprocess.run([executable(), "agents", "token", "list"], text=True,
                              capture_output=True, env={**os.environ, "PANOPLY_URL": self.hub.url,
                                                        "PANOPLY_TOKEN": token})
        self.assertEqual(done.returncode, 2)
        self.assertIn("Give the administrator token: PANOPLY_TOKEN", done.stderr)
        self.assertNotIn("Bearer", done.stderr)
