# SPDX-License-Identifier: GPL-3.0-or-later
"""A URL may name any server. Commands that meet one which is not Panoply's, or one that is only
half there, say so and fail: they neither crash nor claim that something was done."""

import http.server
import json
import os
import socketserver
import subprocess
import threading
import unittest

from support.case import Case
from support.panoply import executable
from support.terminal import on_a_terminal
from support.waiting import TIME_FACTOR

JSON, HTML = "application/json", "text/html; charset=utf-8"
STREAM = "text/event-stream"
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
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        status, kind, body = self.server.answer
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

    def __init__(self, answer: tuple[int, str, bytes]):
        super().__init__(("127.0.0.1", 0), Handler)
        self.answer = answer
        self.url = f"http://127.0.0.1:{self.server_port}"
        threading.Thread(target=self.serve_forever, daemon=True).start()


class OfImpostors(Case):
    def impostor(self, answer: tuple[int, str, bytes]) -> Impostor:
        server = Impostor(answer)
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
            {"id": 1, "specification": order, "state": order, "builds_by_state": {}, "revisions": [],
             "message": order}).encode()))
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

    def test_members_that_are_null(self):
        """Of the right kind as far as it is looked at, and nothing else in it."""
        whole = {"id": 1, "name": "x", "derivation": "x", "system": "x", "state": "failed",
                 "items": [{}], "outputs": [{}], "attempts": [{}], "dependencies": [{}],
                 "dependents": [{}], "jobs": [{}], "definition": {"channels": [{}]},
                 "specification": "x", "builds": {"failed": None}, "revisions": [{}],
                 "connected": True, "running_attempts": [{}], "builds_by_state": {"failed": None},
                 "things": [{}], "systems": [{}], "specifications": [{}],
                 "store_items": [{}], "commits": [{}], "version": "x", "scheduler": True,
                 "agents": {}, "losses_met": 0, "reason": "x", "counts": {}, "errors": {},
                 "public_key": "x", "build": 1, "nodes": [{"id": 1}], "build_command": "x",
                 "edges": [{"dependent": 1, "dependency": 1}], "busy_percent": 1,
                 "failures_count": 1, "failing_specifications": [{}], "worse_evaluations": [{}],
                 "breakages": [{}], "agents_away": [{}], "attempt": 1, "lines_count": 1}
        for state in ("failed", "waiting", "running", "dependency-failed", "cancelled", "blue"):
            server = self.impostor((200, JSON, json.dumps({**whole, "state": state}).encode()))
            for words in (("build", "show", "1"), ("build", "explain", "1"), ("overview",),
                          ("build", "history", "1"), ("build", "graph", "1"),
                          ("build", "reproduce", "1"), ("evaluation", "commits", "1"),
                          ("agents", "show", "x"), ("evaluation", "show", "1"), ("spec", "show", "x"), ("spec", "list"),
                          ("build", "list"), ("agents", "list"), ("evaluation", "jobs", "1"),
                          ("evaluation", "changes", "1"), ("evaluation", "errors", "1"),
                          ("queue",), ("key", "show")):
                with self.subTest(state, words=words):
                    done = self.ask(server, *words)
                    self.assertEqual((done.returncode, done.stderr), (0, ""))
                    self.assertTrue(done.stdout)
                    on_a_terminal([executable(), *words],
                                  {**os.environ, "PANOPLY_URL": server.url}, 40)


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
