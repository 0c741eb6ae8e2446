# SPDX-License-Identifier: GPL-3.0-or-later
"""What goes wrong is said once, in words that help: one line on standard error, perhaps a
hint below it, and an exit status that tells a wrong question (2) from a "no" (1)."""

import base64
import http.server
import json
import os
import pathlib
import socket
import subprocess
import threading

from support.case import Case
from support.panoply import Server, executable
from support.programs import TOP
from support.roots import Machine, temporary_folder
from support.waiting import TIME_FACTOR, deaf_port, wait_until

ASKED_WRONGLY, ANSWERED_NO = 2, 1
UNKNOWN_TOKEN = "panoply_{}_" + "0123456789abcdef" * 4  # of a role, in the form of a real one


def panoply(*words: object, **environment: str) -> subprocess.CompletedProcess:
    return subprocess.run([executable(), *map(str, words)], text=True, capture_output=True,
                          stdin=subprocess.DEVNULL, timeout=60 * TIME_FACTOR,
                          env={**os.environ, **environment})


class Errors(Case):
    def deaf_port(self) -> int:
        """A port on loopback that nobody listens on, and nobody will."""
        holder = deaf_port()
        self.addCleanup(holder.close)
        return holder.getsockname()[1]

    def assert_told(self, done: subprocess.CompletedProcess, status: int, *words: str) -> None:
        """DONE ended with STATUS and one line that has all WORDS (a hint may follow). What a
        program logs before it gives up does not count."""
        lines = [line for line in done.stderr.splitlines() if not line.startswith("time=")]
        self.assertEqual(done.returncode, status, done.stderr)
        self.assertIn(len(lines), (1, 2), done.stderr)
        self.assertTrue(lines[0].startswith("panoply: "), done.stderr)
        self.assertTrue(all(line.startswith("  ") for line in lines[1:]), done.stderr)
        for word in words:
            self.assertIn(word, "\n".join(lines))


class OfClients(Errors):
    @classmethod
    def setUpClass(cls) -> None:
        cls.server = Server("--no-fsync")
        cls.addClassCleanup(cls.server.stop)

    def setUp(self) -> None:
        super().setUp()
        self.watch("server", self.server.log)

    def ask(self, *words: object) -> subprocess.CompletedProcess:
        return self.server.command_line(*words, check=False)

    def add(self, text: str) -> subprocess.CompletedProcess:
        file = self.folder() / "specification.json"
        file.write_text(text)
        return self.ask("spec", "add", file)

    def specification(self, url: str, **fields) -> str:
        return json.dumps({"name": "x", "channels": [{"name": "x", "url": url}], **fields})

    def test_bad_specification_file(self):
        url = "https://example.org/x.git"
        cases = {
            "syntax": ('{"name": "x",\n "channels": [}', ("line 2", "column")),
            "empty": ("", ("line 1",)),
            "not an object": ("[]", ("a specification must be a JSON object",)),
            "no channels": ('{"name": "x"}', ('"channels"',)),
            "unknown field": (self.specification(url, colour="red"), ('no field "colour"',)),
            "bad URL": (self.specification("ftp:nowhere"), ('"ftp:nowhere" is no repository URL',
                                                            "https")),
            "option as a URL": (self.specification("--upload-pack=/bin/sh"), ("repository URL",)),
            "bad number": (self.specification(url, period=-1), ('"period"', "0 to 31536000")),
            "bad name": (self.specification(url, name="../x"), ('"name"',)),
            "system of no form": (self.specification(url, systems=["x86-64-linux"]),
                                  ('"x86-64-linux" is no system', "x86_64-linux")),
            "system without kernel": (self.specification(url, systems=["foo"]),
                                      ('"foo" is no system', "aarch64-linux")),
            "bad mode": (self.specification(url, mode="x"), ('"overlay" or "time-machine"',)),
        }
        for case, (text, words) in cases.items():
            with self.subTest(case):
                self.assert_told(self.add(text), ASKED_WRONGLY, *words)
        self.assertEqual(self.server.client.api("GET", "/specifications")["items"], [])

    def test_specification_file_that_is_not_there(self):
        self.assert_told(self.ask("spec", "add", "/nonexistent.json"), ASKED_WRONGLY,
                         "/nonexistent.json")

    def test_channel_that_does_not_exist(self):
        nowhere = self.folder() / "nowhere"
        file = self.folder() / "nowhere.json"
        file.write_text(self.specification(f"file://{nowhere}", name="nowhere"))
        self.addCleanup(self.ask, "spec", "delete", "nowhere")
        for words in (("add", file), ("edit", "nowhere", file), ("evaluate", "nowhere")):
            with self.subTest(words[0]):
                self.assert_told(self.ask("spec", *words), ANSWERED_NO, str(nowhere),
                                 "does not appear to be a git repository", "is kept",
                                 "panoply spec edit nowhere FILE")
        done = self.ask("spec", "evaluate", "nowhere", "--no-wait")
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        answer = self.server.wait_for("/specifications/nowhere", lambda it: not it["requested_at"])
        self.assertIn(str(nowhere), answer["failure"])
        self.assertIn("does not appear to be a git repository", answer["failure"])
        self.assertNotIn("\n", answer["failure"])
        self.assertEqual(answer["newest_evaluation"], None)
        doctor = self.ask("doctor")
        self.assertEqual(doctor.returncode, ANSWERED_NO, doctor.stdout)
        self.assertIn("LOOK specification nowhere: ", doctor.stdout)
        self.assertIn("does not appear to be a git repository", doctor.stdout)

    def test_channel_that_goes_on_failing(self):
        """It is looked at as long again after its failure as that has lasted, though once an hour."""
        done = self.add(self.specification("file:///nonexistent", name="down", period=60))
        self.addCleanup(self.ask, "spec", "delete", "down")
        self.assert_told(done, ANSWERED_NO, "/nonexistent")
        socket = f"host={self.server.state}/postgresql/socket&user=panoply"
        for lasted, pause in ((30, 60), (600, 600), (99999, 3600)):
            told = subprocess.run(
                ["psql", "--no-psqlrc", "--quiet", "--tuples-only", "--no-align",
                 f"postgresql:///panoply?{socket}", "--command",
                 f"UPDATE specification SET polled_at = failing_since + interval '{lasted} seconds' "
                 "WHERE name = 'down' "
                 "RETURNING extract(epoch FROM specification_due(specification) - polled_at)::int"],
                check=True, stdin=subprocess.DEVNULL, capture_output=True, text=True).stdout
            self.assertEqual(told, f"{pause}\n")

    def test_channel_that_is_there_after_all(self):
        """What was wrong before is not said of a look that went well."""
        place = self.folder() / "place"
        file = self.folder() / "late.json"
        file.write_text(self.specification(f"file://{place}", name="late"))
        self.addCleanup(self.ask, "spec", "delete", "late")
        self.assert_told(self.ask("spec", "add", file), ANSWERED_NO, str(place))
        place.symlink_to(self.channel().folder)
        done = self.ask("spec", "evaluate", "late")
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertRegex(done.stdout, r"^looked at its channels: made evaluation \d+\n$")
        done = self.ask("spec", "evaluate", "late")
        self.assertRegex(done.stdout, r"^looked at its channels: nothing new since evaluation \d+")

    def test_branch_that_does_not_exist(self):
        channel = self.channel()
        specification = channel.specification("branch")
        specification["channels"][0]["branch"] = "summer"
        self.server.add_specification(specification)
        self.addCleanup(self.ask, "spec", "delete", "branch")
        answer = self.server.wait_for("/specifications/branch", lambda it: it["failure"])
        self.assertEqual(answer["failure"], f'{channel.url} has no branch "summer"; it has "master"')

    def test_help_with_specifications(self):
        """What errors name is there."""
        page = self.server.client.text("/help/specification")
        for field in ("time_limit_s", "introduction"):
            self.assertIn(f"<code>{field}</code>", page)

    def test_secret_in_a_url(self):
        for url in ("https://me:glpat-SECRET@example.org/x.git", "https://ghp-SECRET@example.org/x"):
            done = self.add(self.specification(url))
            self.assert_told(done, ASKED_WRONGLY, "would show them to everybody", "git-credentials",
                             "Private repositories")
            self.assertNotIn("SECRET", done.stderr)
        self.assert_told(self.add(self.specification("git@example.org:me/x.git")), ASKED_WRONGLY,
                         "Write it ssh://git@example.org/me/x.git.")

    def test_repository_that_asks_for_a_password(self):
        """Its failure says where to put one, and one that is there is told to its host."""
        seen: list[str] = []

        class Forge(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                seen.append(self.headers.get("Authorization", ""))
                self.send_response(404 if seen[-1] else 401)
                self.send_header("WWW-Authenticate", 'Basic realm="forge"')
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_words):
                pass

        forge = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Forge)
        self.addCleanup(forge.server_close)
        threading.Thread(target=forge.serve_forever, daemon=True).start()
        self.addCleanup(forge.shutdown)
        url = f"http://127.0.0.1:{forge.server_address[1]}/x.git"
        done = self.add(self.specification(url, name="private"))
        self.addCleanup(self.ask, "spec", "delete", "private")
        self.assert_told(done, ANSWERED_NO, "it asks for a password", "Private repositories")
        credentials = self.server.state / "git-credentials"
        credentials.write_text(url.replace("http://", "http://me:pass%40word@") + "\n")
        self.addCleanup(credentials.unlink)
        done = self.ask("spec", "evaluate", "private")
        self.assertIn("Basic " + base64.b64encode(b"me:pass@word").decode(), seen)
        self.assertNotIn("pass%40word", done.stderr + self.server.log.read_text())
        self.assertTrue(credentials.read_text(), "what was refused is not forgotten")

    def test_specification_that_exists(self):
        text = self.specification("file:///nonexistent", name="twice", period=0)
        self.assertEqual(self.add(text).returncode, 0)
        self.addCleanup(self.ask, "spec", "delete", "twice")
        self.assert_told(self.add(text), ANSWERED_NO, 'a specification "twice" already')

    def test_empty_arguments(self):
        for words in (("spec", "show", ""), ("spec", "delete", ""), ("agents", "show", ""),
                      ("evaluation", "list", "")):
            with self.subTest(" ".join(words)):
                self.assert_told(self.ask(*words), ASKED_WRONGLY, "empty")

    def test_output_that_cannot_be_written(self):
        with open("/dev/full", "w") as full:
            for words in (("spec", "list"), ("key", "show"), ("--help",), ("spec", "--help")):
                with self.subTest(" ".join(words)):
                    done = subprocess.run([executable(), *words], stdout=full, text=True,
                                          stderr=subprocess.PIPE, stdin=subprocess.DEVNULL,
                                          env={**os.environ, "PANOPLY_URL": self.server.url})
                    self.assertEqual(done.returncode, ANSWERED_NO)
                    self.assertIn("No space left", done.stderr)

    def test_what_is_not_there(self):
        for words in (("spec", "show", "nosuch"), ("evaluation", "list", "nosuch"), ("spec", "delete", "nosuch"),
                      ("spec", "evaluate", "nosuch"), ("evaluation", "show", "999999"),
                      ("evaluation", "jobs", "999999"), ("evaluation", "errors", "999999"),
                      ("evaluation", "log", "999999"), ("evaluation", "cancel", "999999"),
                      ("build", "show", "999999"), ("build", "log", "999999"),
                      ("build", "cancel", "999999"), ("build", "restart", "999999"),
                      ("build", "explain", "999999"), ("agents", "show", "nosuch"),
                      ("agents", "pause", "nosuch")):
            with self.subTest(" ".join(words)):
                self.assert_told(self.ask(*words), ANSWERED_NO, words[-1])
        self.assert_told(self.ask("build", "log", "999999"), ANSWERED_NO, "there is no build 999999")

    def test_a_key_is_not_replaced_by_the_way(self):
        self.assert_told(self.ask("key", "rotate", self.server.state), ASKED_WRONGLY, "--force")
        self.assert_told(self.ask("key", "rotate", self.server.state, "--force"), ANSWERED_NO,
                         "another server runs", "Stop it")
        self.assert_told(self.ask("key", "rotate", "/nonexistent", "--force"), ASKED_WRONGLY,
                         "/nonexistent")

    def test_wrong_words(self):
        for words in (("spec",), ("spec", "colour"), ("spec", "add"), ("spec", "list", "--colour"),
                      ("spec", "list", "--limit", "0"), ("spec", "list", "--limit"),
                      ("build", "show", "../key"), ("build", "list", "--state", "blue"),
                      ("build", "submit", "/etc/passwd"), ("colour",)):
            with self.subTest(" ".join(words)):
                self.assert_told(self.ask(*words), ASKED_WRONGLY, words[-1])

    def test_wrong_token(self):
        for token in ("wrong", "panoply_admin_" + "A" * 64, "\u00e9", UNKNOWN_TOKEN.format("admin"),
                      UNKNOWN_TOKEN.format("agent")):
            with self.subTest(token):
                done = panoply("spec", "delete", "x", PANOPLY_URL=self.server.url,
                               PANOPLY_TOKEN=token)
                self.assert_told(done, ASKED_WRONGLY, "token", "admin-token")

    def test_joining_token_is_no_admin_token(self):
        done = panoply("spec", "delete", "x", "--token-file", self.server.join_token_file(),
                       PANOPLY_URL=self.server.url)
        self.assert_told(done, ASKED_WRONGLY, "role")

    def test_no_server(self):
        url = f"http://127.0.0.1:{self.deaf_port()}"
        for words in (("spec", "list"), ("doctor",), ("build", "log", "1", "--follow"),
                      ("key", "show")):
            with self.subTest(" ".join(words)):
                self.assert_told(panoply(*words, PANOPLY_URL=url), ASKED_WRONGLY, url,
                                 "panoply serve")

    def test_address_that_is_none(self):
        for url in ("nonsense", "gopher://127.0.0.1", "http://nonexistent.invalid"):
            with self.subTest(url):
                self.assert_told(panoply("spec", "list", "--url", url), ASKED_WRONGLY, url)


class OfServers(Errors):
    def serve(self, *options: object,
              state: pathlib.Path | None = None) -> subprocess.CompletedProcess:
        """A server that does not come to run, and makes nothing when its options are wrong."""
        own = temporary_folder("state") / "state"
        words = [str(option) for option in options]
        address = () if "--listen" in words else ("--listen", "127.0.0.1:0")
        done = panoply("serve", "--state", state or own, "--scheme", TOP / "scheme", *address,
                       *options)
        if "--database" not in words:
            self.assertFalse(own.exists())
        return done

    def test_wrong_options(self):
        file = self.folder() / "panoply.conf"
        file.write_text("threads = 2\ncolour = red\n")
        cases = (("--colour",), ("colour",), ("--threads", "many"), ("--threads", "0"),
                 ("--listen",), ("--roles", "cook"), ("--compression", "rar"),
                 ("--config", "/nonexistent.conf"), ("--config", file),
                 ("--listen", "127.0.0.1"), ("--listen", "127.0.0.1:65536"),
                 ("--listen", "127.0.0.1:http"), ("--listen", "no host:80"),
                 ("--scheme", "/nonexistent"), ("--store-root", "/nonexistent"),
                 ("--database", ""), ("--state", ""))
        for options in cases:
            with self.subTest(" ".join(map(str, options))):
                self.assert_told(self.serve(*options), ASKED_WRONGLY)
        self.assert_told(self.serve("--config", file), ASKED_WRONGLY, "line 2", "colour")

    def test_unreachable_database(self):
        port = self.deaf_port()
        done = self.serve("--database", f"postgresql://panoply:secret@127.0.0.1:{port}/panoply")
        self.assert_told(done, ASKED_WRONGLY, str(port), "--database")
        self.assertNotIn("secret", done.stderr)

    def test_state_that_cannot_be(self):
        file = self.folder() / "file"
        file.write_text("")
        self.assert_told(self.serve(state=file / "state"), ASKED_WRONGLY, str(file),
                         "--state")
        long = self.folder() / ("x" * 100)
        self.assert_told(self.serve(state=long), ASKED_WRONGLY, str(long), "shorter")

    def test_disk_that_is_full(self):
        """The first fault is told, not how initdb cleaned up after it."""
        state = self.folder()
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=6m,mode=755", "tmpfs", state], check=True)
        self.addCleanup(subprocess.run, ["umount", state], check=True)
        self.assert_told(self.serve("--no-fsync", state=state), ANSWERED_NO, "No space left on device")

    def test_signing_key(self):
        server = self.server("--no-fsync")
        key = server.state / "keys/signing-key.sec"
        server.wait_for("/status", lambda it: it["scheduler"])
        self.assertIn("ok   the signing key is readable by the server alone",
                      server.command_line("doctor", check=False).stdout)
        server.stop()
        key.chmod(0o644)
        server.start()
        self.assertIn(f"others than its owner can read or write {key}", server.output())
        doctor = server.command_line("doctor", check=False)
        self.assertEqual(doctor.returncode, 1)
        self.assertIn("LOOK others on the server's machine", doctor.stdout)
        server.stop()
        key.write_text("garbage")
        self.assert_told(self.serve("--no-fsync", state=server.state), ASKED_WRONGLY,
                         f"the signing key in {key}:", "both files")

    def test_port_in_use(self):
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            address = "127.0.0.1:{}".format(taken.getsockname()[1])
            self.assert_told(self.serve("--no-fsync", "--listen", address), ASKED_WRONGLY,
                             address, "--listen")

    def test_second_server_in_a_state_folder(self):
        server = self.server("--no-fsync")
        done = self.serve(state=server.state)
        self.assert_told(done, ASKED_WRONGLY, "another server", "--state")
        self.assertTrue(server.is_running())
        self.assertEqual(server.client.request("GET", "/").status, 200)

    def test_no_guix(self):
        """Serves, but each evaluation says what is missing."""
        server = self.server("--no-fsync", "--guix", "/nonexistent/guix")
        server.add_specification(self.channel().specification())
        answer = server.wait_for("/evaluations", lambda it: it["items"] and
                                 it["items"][0]["state"] == "failed")
        self.assertIn("/nonexistent/guix", answer["items"][0]["message"])
        self.assertIn("--guix COMMAND", answer["items"][0]["message"])
        self.assertIn("evaluations will fail: there is no /nonexistent/guix",
                      server.log.read_text())
        self.assertIn("Evaluations will fail: there is no /nonexistent/guix",
                      server.client.text("/"))
        self.assertIn("there is no /nonexistent/guix",
                      server.client.api("GET", "/overview")["evaluations_trouble"])
        for command in ("doctor", "overview"):
            self.assertIn("valuations will fail: there is no /nonexistent/guix",
                          " ".join(server.command_line(command, check=False).stdout.split()))

    def test_daemon_that_stops(self):
        """What an evaluation fails by is known from then on, long before the next look at a daemon
        that was there."""
        machine = self.machine("evaluator")
        def looks():
            return machine.daemon_log.read_text().count("accepted connection")
        before = looks()
        server = self.server("--no-fsync", machine=machine)
        wait_until(lambda: looks() > before, 20, "the server looks whether the daemon is there")
        machine.stop_daemon()
        server.add_specification(self.channel().specification())
        server.wait_for("/evaluations", lambda it: it["items"] and
                        it["items"][0]["state"] == "failed")
        self.assertIn("Evaluations will fail: ", server.client.text("/"))


class OfAgents(Errors):
    @classmethod
    def setUpClass(cls) -> None:
        cls.server = Server("--no-fsync")
        cls.addClassCleanup(cls.server.stop)
        cls.builder = Machine("builder")
        cls.addClassCleanup(cls.builder.delete)

    def setUp(self) -> None:
        super().setUp()
        self.watch("server", self.server.log)

    def run_agent(self, *options: object) -> subprocess.CompletedProcess:
        return panoply("agent", "--server", self.server.url, "--state",
                       temporary_folder("agent") / "state", "--store-root", self.builder.root,
                       *options)

    def token_file(self, text: str) -> pathlib.Path:
        file = self.folder() / "token"
        file.write_text(text)
        return file

    def test_wrong_options(self):
        for options in (("--colour",), ("colour",), ("--jobs", "none"), ("--systems", ","),
                        ("--jobs",)):
            with self.subTest(" ".join(options)):
                self.assert_told(self.run_agent(*options), ASKED_WRONGLY)
        self.assert_told(panoply("agent"), ASKED_WRONGLY, "--server")

    def test_no_token(self):
        self.assert_told(self.run_agent(), ASKED_WRONGLY, "--join-token-file")

    def test_wrong_joining_token(self):
        for text in ("nonsense", UNKNOWN_TOKEN.format("join"), UNKNOWN_TOKEN.format("read")):
            with self.subTest(text):
                file = self.token_file(text)
                self.assert_told(self.run_agent("--join-token-file", file), ASKED_WRONGLY,
                                 self.server.url, "joining token", "join-token")

    def test_admin_token_does_not_enrol(self):
        self.assert_told(self.run_agent("--join-token-file", self.server.state / "admin-token"),
                         ASKED_WRONGLY, self.server.url, "role")

    def test_name_that_is_taken(self):
        file = self.server.join_token_file()
        first = self.agent(self.server, self.builder, name="taken")
        self.server.wait_for("/agents/taken", lambda it: it["connected"])
        self.assert_told(self.run_agent("--join-token-file", file, "--name", "taken"),
                         ANSWERED_NO, "taken")
        self.assertTrue(first.is_running())

    def test_unknown_token(self):
        for text in ("nonsense", UNKNOWN_TOKEN.format("agent")):
            with self.subTest(text):
                file = self.token_file(text)
                self.assert_told(self.run_agent("--token-file", file), ASKED_WRONGLY, "refused",
                                 "enrol")

    def test_revoked_token(self):
        join = self.server.join_token_file().read_text().strip()
        description = {"name": "twice", "systems": ["x86_64-linux"], "jobs": 1, "facts": {}}
        headers = {"Authorization": f"Bearer {join}", "Content-Type": "application/json"}

        def enrol(**more) -> str:
            answer = self.server.client.request(
                "POST", "/agent/v1/enrol", json.dumps({**description, **more}).encode(), headers)
            self.assertEqual(answer.status, 201, answer.body)
            return json.loads(answer.body)["token"]

        old = enrol()
        enrol(token=old)
        self.assert_told(self.run_agent("--token-file", self.token_file(old)), ASKED_WRONGLY,
                         "refused", "enrol")

    def test_no_daemon(self):
        self.assert_told(
            self.run_agent("--join-token-file", self.server.join_token_file(), "--name", "lonely",
                           "--daemon-socket", "/nonexistent/socket"),
            ASKED_WRONGLY, "/nonexistent/socket", "guix-daemon")
        self.assertNotIn("lonely", [it["name"] for it in
                                    self.server.client.api("GET", "/agents")["items"]])

    def test_no_server(self):
        url = f"http://127.0.0.1:{self.deaf_port()}"
        done = self.run_agent("--server", url, "--join-token-file", self.server.join_token_file())
        self.assert_told(done, ASKED_WRONGLY, url)

    def test_second_agent_in_a_state_folder(self):
        first = self.agent(self.server, self.builder, name="first")
        self.server.wait_for("/agents/first", lambda it: it["connected"])
        done = self.run_agent("--token-file", first.folder / "token", "--state",
                              first.folder / "state")
        self.assert_told(done, ASKED_WRONGLY, "another agent", "--state")
