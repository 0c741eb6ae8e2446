# SPDX-License-Identifier: GPL-3.0-or-later
"""A URL may name any server. Commands that meet one which is not Panoply's, or one that is only
half there, say so and fail: they neither crash nor claim that something was done."""

import contextlib
import http.server
import json
import os
import queue
import re
import socket
import socketserver
import subprocess
import threading
import time
import unittest

from support.case import Case
from support.panoply import executable
from support.terminal import on_a_terminal
from support.waiting import TIME_FACTOR, wait_until

JSON, HTML = "application/json", "text/html; charset=utf-8"
STREAM = "text/event-stream"
HOSTILE = "x\x1b[2J\x07\u009b1m"
OUR_COLOUR = re.compile(r"\x1b\[\d*m")
# What each command that shows something needs, and no more.
WHOLE = {"id": 1, "name": HOSTILE, "derivation": HOSTILE, "system": HOSTILE, "state": HOSTILE,
         "items": [{}], "outputs": [{}], "attempts": [{}], "dependencies": [{}],
         "dependents": [{}], "jobs": [{}], "definition": {"channels": [{}], HOSTILE: HOSTILE},
         "specification": HOSTILE, "revisions": [{}], "connected": True, "running_attempts": [{}],
         "builds_by_state": {"failed": None, HOSTILE: 1}, "things": [{}], "systems": [{}],
         "specifications": [{}], "waiting_longest": [{}], "store_items": [{}], "commits": [{}],
         "builds": [{}], "version": HOSTILE, "outcome": HOSTILE, "summary": HOSTILE, "scheduler": True, "key_exposed": False,
         "agents_connected_count": 1, "agents_enrolled_count": 1, "losses_met": 0,
         "reason": HOSTILE, "counts": {}, "public_key": HOSTILE, "build": 1, "nodes": [{"id": 1}],
         "build_command": HOSTILE, "edges": [{"dependent": 1, "dependency": 1}],
         "busy_percent": 1, "failures_count": 1, "failing_specifications": [{}],
         "worse_evaluations": [{}], "breakages": [{}], "agents_away": [{}], "attempt": 1,
         "lines_count": 1}
EVERY_COMMAND = (
    ("doctor",), ("overview",), ("queue",), ("search", "x"), ("key", "show"), ("cache", "check"), ("events",),
    ("spec", "list"), ("spec", "show", "x"), ("spec", "add", "FILE"), ("spec", "edit", "x", "FILE"),
    ("spec", "delete", "x"), ("spec", "evaluate", "x"), ("spec", "evaluate", "x", "--no-wait"),
    ("spec", "add", "FILE", "--no-wait"), ("spec", "pause", "x"), ("evaluation", "list"),
    ("evaluation", "show", "1"), ("evaluation", "jobs", "1"), ("evaluation", "changes", "1"),
    ("evaluation", "errors", "1"), ("evaluation", "log", "1"), ("evaluation", "cancel", "1"),
    ("build", "list"), ("build", "list", "--follow"), ("build", "show", "1"),
    ("build", "show", "1", "--follow"), ("build", "submit", "/gnu/store/x.drv"),
    ("build", "log", "1"), ("build", "log", "1", "--follow"), ("build", "cancel", "1"),
    ("build", "restart", "1"), ("build", "explain", "1"), ("build", "history", "1"), ("build", "graph", "1"),
    ("build", "reproduce", "1"), ("evaluation", "commits", "1"), ("agents", "list"),
    ("agents", "show", "x"), ("agents", "pause", "x"), ("agents", "token", "create", "x"),
    ("agents", "token", "list"), ("agents", "token", "revoke", "1"))


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def answer(self) -> None:
        given = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        status, kind, body = self.server.answer
        self.server.asked.append(given)
        self.send_response(status)
        if kind:
            self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
        self.close_connection = True

    do_GET = do_POST = do_PUT = do_DELETE = answer

    def log_message(self, *_words: object) -> None:
        pass


class Impostor(socketserver.ThreadingMixIn, http.server.HTTPServer):
    """Gives the same answer to everything."""
    daemon_threads = True

    def __init__(self, answer: tuple[int, str, bytes], handler: type = Handler):
        super().__init__(("127.0.0.1", 0), handler)
        self.answer = answer
        self.asked: list[bytes] = []  # the bodies
        self.url = f"http://127.0.0.1:{self.server_port}"
        threading.Thread(target=self.serve_forever, daemon=True).start()


class FeedHandler(Handler):
    """Its events are what a test says, over one connection after the other."""

    def do_GET(self) -> None:
        if "/events" not in self.path:
            return self.answer()
        self.server.dials += 1
        self.send_response(200)
        self.send_header("Content-Type", STREAM)
        self.send_header("Connection", "close")
        self.end_headers()
        for piece in iter(self.server.feed.get, b""):
            self.wfile.write(piece)
        return None


class Feed(Impostor):
    def __init__(self, answer: tuple[int, str, bytes]):
        self.feed: queue.Queue[bytes] = queue.Queue()
        self.dials = 0
        super().__init__(answer, FeedHandler)

    def happen(self, number: int, kind: str) -> None:
        self.feed.put(f'id: 0-{number}\ndata: {{"kind": "{kind}"}}\n\n'.encode())


class OfImpostors(Case):
    def impostor(self, answer: tuple[int, str, bytes], kind: type = Impostor) -> Impostor:
        server = kind(answer)
        self.addCleanup(server.server_close)
        self.addCleanup(server.shutdown)
        return server

    def ask(self, server: Impostor | str, *words: str) -> subprocess.CompletedProcess:
        file = self.folder() / "x.json"
        file.write_text("{}")
        url = server if isinstance(server, str) else server.url
        return subprocess.run(
            [executable(), *(str(file) if word == "FILE" else word for word in words)], text=True,
            capture_output=True, stdin=subprocess.DEVNULL, timeout=60 * TIME_FACTOR,
            env={**os.environ, "PANOPLY_URL": url, "PANOPLY_TOKEN": ""})

    def assert_refused(self, done: subprocess.CompletedProcess, *hints: str) -> None:
        self.assertEqual((done.returncode, done.stdout), (1, ""), done.stderr)
        lines = done.stderr.splitlines()
        self.assertEqual(len(lines), 2, done.stderr)
        self.assertTrue(lines[0].startswith("panoply: "), done.stderr)
        self.assertTrue(any(hint in lines[1] for hint in hints), done.stderr)


class Foreign(OfImpostors):
    def test_answers_of_another_shape(self):
        for answer in ((200, JSON, b"{}"), (200, JSON, b"[]"), (200, JSON, b""), (200, "", b""),
                       (200, JSON, b'{"items": 7, "name": [], "id": "x", "state": 1}'),
                       (200, JSON, b'{"items": [1], "name": "x", "id": 1, "state": "x"}'),
                       (200, HTML, b"<html>Hello</html>"), (204, "", b""), (404, HTML, b"<html>not here</html>")):
            server = self.impostor(answer)
            for words in EVERY_COMMAND:
                if answer[0] == 204 and words[:2] == ("spec", "delete"):
                    continue  # as it should be
                with self.subTest(answer, words=words):
                    self.assert_refused(self.ask(server, *words), "Is this a Panoply server?")

    def test_words_that_are_orders_to_a_terminal(self):
        order = "\x1b]0;title\x07"
        server = self.impostor((200, JSON, json.dumps(
            {"id": 1, "specification": order, "state": "failed", "outcome": "failed", "summary": order,
             "builds_by_state": {}, "revisions": [], "message": order}).encode()))
        done = self.ask(server, "evaluation", "show", "1")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(done.stdout.count("title"), 3)
        self.assertNotIn("\x1b", done.stdout)

    def test_streams_that_are_none(self):
        for answer in ((200, HTML, b"<html>"), (200, STREAM, b""), (200, STREAM, b"<html>\n\n"),
                       (200, JSON, b"{}")):
            with self.subTest(answer):
                self.assert_refused(self.ask(self.impostor(answer), "events"),
                                    "Is this a Panoply server?")

    def test_gateways_and_doors(self):
        self.assert_refused(self.ask(self.impostor((502, HTML, b"<html>Bad Gateway</html>")),
                                     "build", "list"), "is 'panoply serve' running")
        plain = self.impostor((200, JSON, b"{}"))
        self.assert_refused(self.ask(plain.url.replace("http:", "https:"), "build", "list"),
                            "say http://")

    def test_a_server_that_hangs_up(self):
        with socket.create_server(("127.0.0.1", 0)) as listener:
            def hang_up() -> None:
                with contextlib.suppress(OSError):
                    while True:
                        listener.accept()[0].close()

            threading.Thread(target=hang_up, daemon=True).start()
            for words in (("doctor",), ("build", "log", "1"), ("events",)):
                done = self.ask(f"http://127.0.0.1:{listener.getsockname()[1]}", *words)
                self.assertEqual((done.returncode, done.stdout), (2, ""), done.stderr)
                self.assertEqual(len(done.stderr.splitlines()), 2, done.stderr)
            listener.shutdown(socket.SHUT_RDWR)

    def test_members_that_are_missing(self):
        for words, members in ((("search", "x"), ("jobs", "builds", "things")),
                               (("queue",), ("systems", "waiting_longest")),
                               (("doctor",), ("losses_met", "key_exposed"))):
            for member in members:
                with self.subTest(member, words=words):
                    rest = {name: value for name, value in WHOLE.items() if name != member}
                    self.assert_refused(
                        self.ask(self.impostor((200, JSON, json.dumps(rest).encode())), *words),
                        "Is this a Panoply server?")

    def test_members_that_are_null(self):
        """Of the right kind as far as it is looked at, and nothing else in it. What is said gives
        no orders to a terminal, be it a value or a name."""
        for state in ("failed", "waiting", "running", "dependency-failed", "cancelled", HOSTILE):
            server = self.impostor((200, JSON, json.dumps({**WHOLE, "state": state}).encode()))
            for words in (("build", "show", "1"), ("build", "explain", "1"), ("overview",),
                          ("build", "history", "1"), ("build", "graph", "1"), ("doctor",),
                          ("build", "reproduce", "1"), ("evaluation", "commits", "1"),
                          ("agents", "show", "x"), ("evaluation", "show", "1"),
                          ("spec", "show", "x"), ("spec", "list"), ("search", "x"),
                          ("build", "list"), ("agents", "list"), ("evaluation", "jobs", "1"),
                          ("evaluation", "changes", "1"), ("evaluation", "errors", "1"),
                          ("queue",), ("key", "show")):
                with self.subTest(state, words=words):
                    done = self.ask(server, *words)
                    status = 1 if words == ("doctor",) else 0  # it wants a look
                    self.assertEqual((done.returncode, done.stderr), (status, ""))
                    self.assertTrue(done.stdout)
                    shown = on_a_terminal([executable(), *words],
                                          {**os.environ, "PANOPLY_URL": server.url}, 40, status)
                    self.assertTrue(shown)
                    self.assertNotRegex(OUR_COLOUR.sub("", shown), "[\x00-\x09\x0b-\x1f\x7f-\x9f]")


class Shown(OfImpostors):
    """What a command makes of an answer that no small farm gives."""

    def shown(self, answer: dict, *words: str) -> str:
        done = self.ask(self.impostor((200, JSON, json.dumps(answer).encode())), *words)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        return done.stdout

    def test_a_graph_with_a_long_way_and_a_short_one(self):
        """From a by b, c and d to e, behind which is f, and straight from a to e."""
        nodes = [{"id": number, "name": name, "state": "succeeded"}
                 for number, name in enumerate("abcdefgh", 1)]
        edges = [{"dependent": one, "dependency": other}
                 for one, other in ((1, 2), (2, 3), (3, 4), (4, 5), (1, 5), (5, 6), (6, 7), (7, 8))]
        text = self.shown({"build": 1, "nodes": nodes, "edges": edges}, "build", "graph", "1")
        needs = text.partition("It needs:\n")[2].splitlines()[1:]
        self.assertEqual([re.match(r" *\w", line)[0] for line in needs],
                         ["b", "  c", "    d", "e", "  f", "    g", "      h"])

    def test_how_to_make_the_same_can_be_pasted(self):
        for channels in ("(list 1)\n", "(list 1)"):
            text = self.shown({"build_command": "echo first", "channels_scm": channels,
                               "time_machine_command": "cat channels.scm", "same_guix": True},
                              "build", "reproduce", "1")
            done = subprocess.run(["sh", "-e"], input=text, text=True, capture_output=True,
                                  cwd=self.folder())
            self.assertEqual((done.returncode, done.stdout, done.stderr),
                             (0, "first\n(list 1)\n", ""))

    def test_more_words_than_anybody_types(self):
        server = self.impostor((201, JSON, b'{"builds": []}'))
        paths = [f"/gnu/store/{number:032}-x.drv" for number in range(5000)]
        self.assertEqual(self.ask(server, "build", "submit", *paths).returncode, 0)
        self.assertEqual(json.loads(server.asked[0])["derivations"], paths)

    def test_nothing_is_found(self):
        lists = ("jobs", "builds", "store_items", "commits", "things")
        server = self.impostor((200, JSON, json.dumps({name: [] for name in lists}).encode()))
        for option in ((), ("--json",)):
            done = self.ask(server, "search", "x", *option)
            self.assertEqual((done.returncode, done.stderr), (1, ""), option)
            self.assertTrue(done.stdout)


    def test_doctor_has_what_needs_attention(self):
        answer = {**WHOLE, "items": [], "evaluations_trouble": "there is no guix on the path",
                  "worse_evaluations": [
                      {"specification": "a", "evaluation": 3, "errors_new_count": 0, "against": None,
                       "summary": "2 of 2 failed"},
                      {"specification": "b", "evaluation": 5, "errors_new_count": 1, "against": 4,
                       "summary": "1 error"}],
                  "breakages": [{"evaluation": 5, "jobs_count": 2, "jobs": [{"name": "hello"}]},
                                {"evaluation": 2, "jobs_count": 1, "jobs": [{"name": "bye"}]}],
                  "agents_away": [{"agent": "attic", "seen_at": None}]}
        done = self.ask(self.impostor((200, JSON, json.dumps(answer).encode())), "doctor")
        looks = [line for line in done.stdout.splitlines() if line.startswith("LOOK ")]
        self.assertEqual(done.returncode, 1)
        for look, said in zip(looks, ("evaluations will fail: there is no guix on the path",
                                      "a: evaluation 3 is not all well: 2 of 2 failed",
                                      "b: evaluation 5 has 1 new error (",
                                      "3 jobs are broken that had succeeded, hello since evaluation 5",
                                      "1 agent is away, attic"), strict=True):
            self.assertIn(said, look)

    def test_durations_are_seconds_and_only_of_what_has_ended(self):
        begun = {"id": 8, "agent": "a", "state": "running",
                 "created_at": "2026-01-02T03:04:05.000000Z",
                 "started_at": "2026-01-02T03:04:05.000000Z", "finished_at": None}
        ended = {**begun, "id": 7, "finished_at": "2026-01-02T03:09:17.000000Z"}
        build = {**WHOLE, "state": "running", "attempts": [begun, ended]}
        text = self.shown(build, "build", "show", "1")
        self.assertIn("\na builds it, since 2026-01-02T03:04:05.000000Z.\n", text)
        self.assertRegex(text, r"\n7 .* 312\n")
        self.assertRegex(text, r"\n8 .* -\n")
        for times, told in ((ended, "\nTook           312 s\n"), (begun, None)):
            text = self.shown({**WHOLE, **times}, "evaluation", "show", "1")
            self.assertIn(told or "\n", text)
            self.assertEqual(bool(told), "Took" in text or "Runs" in text)


class Followed(OfImpostors):
    """With --follow, by a server whose answers and events are known."""

    def follow(self, server: Feed, *words: str) -> subprocess.Popen:
        process = subprocess.Popen([executable(), *words, "--follow"], text=True,
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                   env={**os.environ, "PANOPLY_URL": server.url})
        self.addCleanup(server.feed.put, b"")
        for stream in (process.stdout, process.stderr):
            self.addCleanup(stream.close)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        server.feed.put(b"id: 0-1\n\n")
        return process

    def say(self, server: Feed, answer: dict, status: int = 200) -> None:
        server.answer = (status, JSON, json.dumps({**WHOLE, **answer}).encode())

    def test_signs_of_life_are_no_news(self):
        """What is there again is told no more than once, whatever else happens."""
        agent = {"name": "a", "connected": True, "paused": False, "seen_at": "2026-01-02T03:04:05Z",
                 "condition": {"load": 1}}
        for words, pattern in ((("agents", "list"), "^a +yes +{}"),
                               (("agents", "list", "--json"), '"paused":{}'),
                               (("agents", "show", "a"), "^Agent a: {}"),
                               (("agents", "show", "a", "--json"), '"paused":{}')):
            with self.subTest(words):
                before, after = {"list": ("no", "yes"), "show": ("connected", "paused")}[words[1]]
                if "--json" in words:
                    before, after = "false", "true"
                server = self.impostor((200, JSON, b""), Feed)
                self.say(server, {**agent, "items": [agent]})
                process = self.follow(server, *words)
                self.read_until(process, pattern.format(before))
                later = {**agent, "seen_at": "2026-01-02T03:04:25Z", "condition": {"load": 2}}
                self.say(server, {**later, "items": [later]})
                asked = len(server.asked)
                server.happen(2, "agent.resumed")
                wait_until(lambda: len(server.asked) > asked, 20, "it looks again")
                later["paused"] = True
                self.say(server, {**later, "items": [later]})
                server.happen(3, "agent.paused")
                lines = self.read_until(process, pattern.format(after))
                self.assertNotRegex("\n".join(lines), "(?m)" + pattern.format(before))

    def read_until(self, process: subprocess.Popen, pattern: str) -> list[str]:
        lines = []
        for line in process.stdout:
            lines.append(line)
            if re.search(pattern, line):
                return lines
        raise AssertionError(f"{pattern} does not come: {lines}")

    def test_a_server_that_cannot_answer_for_a_while(self):
        server = self.impostor((200, JSON, b""), Feed)
        self.say(server, {})
        process = self.follow(server, "overview")
        self.read_until(process, "^Agents +1 of 1 connected")
        self.say(server, {"title": "Internal Server Error", "status": 500}, 500)
        server.happen(2, "agent.connected")
        self.assertEqual(process.stderr.readline(),
                         "panoply: the server cannot answer; asking again\n")
        self.say(server, {"agents_connected_count": 0})
        server.happen(3, "agent.lost")
        self.assertEqual(process.stderr.readline(), "panoply: it answers again\n")
        self.read_until(process, "^Agents +0 of 1 connected")

    def test_streams_that_end_at_once(self):
        """However often, the server is left in peace between."""
        server = self.impostor((200, JSON, b"{}"), Feed)
        for _ in range(1000):
            server.feed.put(b"id: 0-1\n\n")
            server.feed.put(b"")
        process = subprocess.Popen([executable(), "events"], stdout=subprocess.DEVNULL,
                                   env={**os.environ, "PANOPLY_URL": server.url})
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        wait_until(lambda: server.dials > 1, 20, "it dials again")
        time.sleep(2)
        self.assertLess(server.dials, 8)
        self.assertIsNone(process.poll())


class Options(OfImpostors):
    """Refused before anybody is asked."""

    def test_values_that_are_empty(self):
        for words in (("build", "list", "--state="), ("build", "list", "--system", ""),
                      ("evaluation", "jobs", "1", "--name="), ("build", "list", "--evaluation="),
                      ("evaluation", "changes", "1", "--against="), ("events", "--kind="),
                      ("spec", "list", "--url="), ("spec", "list", "--token-file=")):
            with self.subTest(words):
                done = self.ask("http://127.0.0.1:1", *words)
                self.assertEqual((done.returncode, done.stdout), (2, ""))
                option = next(word for word in words if word.startswith("--")).rstrip("=")
                self.assertIn(f"the value of {option} is empty", done.stderr)

    def test_files_that_are_no_specification(self):
        file = self.folder() / "slip.json"
        file.write_text('{"name": "x",\n "channels": [,]}')
        for words, told in ((("/dev/null",), "/dev/null is no JSON: line 1"),
                            (("/nonexistent",), "/nonexistent"), ((str(file),), f"{file} is no JSON: line 2")):
            done = self.ask("http://127.0.0.1:1", "spec", "add", *words)
            self.assertEqual(done.returncode, 2)
            self.assertIn(told, done.stderr)
            self.assertIn("doc/specification.md", done.stderr)

    def test_events(self):
        for words, told in ((("--since", "abc"), "--since"), (("--kind", "ABC"), "--kind")):
            done = self.ask("http://127.0.0.1:1", "events", *words)
            self.assertEqual(done.returncode, 2)
            self.assertIn(told, done.stderr)
            self.assertEqual(len(done.stderr.splitlines()), 2)


if __name__ == "__main__":
    unittest.main()
