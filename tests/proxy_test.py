# SPDX-License-Identifier: GPL-3.0-or-later
"""Panoply behind nginx with TLS, with the very block of doc/nginx.conf: agents, live logs,
events, uploads and substitutes go through it. Skipped where nginx is not installed."""

import http.client
import json
import re
import shutil
import ssl
import subprocess
import unittest

from support.case import Case
from support.farm import Farm
from support.panoply import API, executable
from support.programs import TOP, Program
from support.roots import Machine, temporary_folder
from support.waiting import free_port, wait_until

NAME = "ci.example.org"
SECONDS = 4  # how long sea-floor-survey takes
# Mounts over two files of its own view of the machine: the name's address, and whom to trust.
AS_ELSEWHERE = ('mount --bind "$1" /etc/hosts && '
                'mount --bind "$2" /etc/ssl/certs/ca-certificates.crt && shift 2 && exec "$@"')


class Proxy(Program):
    """nginx with doc/nginx.conf, but for its ports, and a certificate of its own."""

    def __init__(self, upstream: str):
        self.folder = temporary_folder("nginx")
        self.plain, self.port = free_port(), free_port()
        self.certificate = self.folder / "certificate.pem"
        key = self.folder / "key.pem"
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                        "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2", "-subj",
                        f"/CN={NAME}", "-addext", f"subjectAltName=DNS:{NAME}", "-keyout", key,
                        "-out", self.certificate], check=True, capture_output=True)
        block = (TOP / "doc/nginx.conf").read_text()
        for pattern, replacement in ((r"listen \[::\].*", ""),
                                     ("listen 80;", f"listen 127.0.0.1:{self.plain};"),
                                     ("listen 443 ", f"listen 127.0.0.1:{self.port} "),
                                     ("/etc/ssl/ci.example.org.pem", str(self.certificate)),
                                     ("/etc/ssl/ci.example.org.key", str(key)),
                                     ("http://127.0.0.1:8080", upstream)):
            block, found = re.subn(pattern, replacement, block)
            assert found, f"doc/nginx.conf has no {pattern}"
        folders = "".join(f"{kind}_temp_path {self.folder}/{kind};\n" for kind in
                          ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
        file = self.folder / "nginx.conf"
        file.write_text(f"daemon off;\npid {self.folder}/pid;\nerror_log stderr;\nevents {{}}\n"
                        f"http {{\naccess_log off;\n{folders}{block}}}\n")
        super().__init__("nginx", ["nginx", "-p", str(self.folder), "-c", str(file)],
                         self.folder / "nginx.log")
        self.start()
        wait_until(lambda: self.ask("GET", "/").status == 200, 20, "nginx answers")

    def connect(self) -> http.client.HTTPSConnection:
        context = ssl.create_default_context(cafile=self.certificate)
        context.check_hostname = False  # it is not in this machine's name service
        return http.client.HTTPSConnection("127.0.0.1", self.port, timeout=60, context=context)

    def ask(self, method: str, path: str, headers: dict | None = None):
        try:
            connection = self.connect()
            connection.request(method, path, headers={"Host": NAME, **(headers or {})})
            return connection.getresponse()
        except ConnectionRefusedError:
            raise AssertionError("nginx does not listen yet") from None


@unittest.skipUnless(shutil.which("nginx"), "nginx is not installed")
class BehindNginx(Case):
    timeout = 180

    @classmethod
    def setUpClass(cls) -> None:
        cls.farm = Farm(agents=0, survey_seconds=SECONDS)
        cls.addClassCleanup(cls.farm.delete)
        cls.proxy = Proxy(cls.farm.server.url)
        cls.addClassCleanup(cls.proxy.stop)
        cls.builder = Machine("builder")
        cls.addClassCleanup(cls.builder.delete)
        cls.agent = cls.start_agent()
        cls.addClassCleanup(cls.agent.stop)
        cls.events = cls.proxy.ask("GET", f"{API}/events?kind=build.")
        cls.evaluation = cls.farm.evaluate()

    @classmethod
    def start_agent(cls) -> Program:
        """An agent that knows the server by its name, as one on another machine would."""
        folder = temporary_folder("agent")
        hosts = folder / "hosts"
        hosts.write_text(f"127.0.0.1 localhost {NAME}\n")
        agent = Program("agent", [
            "unshare", "--mount", "--propagation", "private", "sh", "-c", AS_ELSEWHERE, "sh",
            str(hosts), str(cls.proxy.certificate), executable(), "agent",
            "--server", f"https://{NAME}:{cls.proxy.port}", "--name", "elsewhere",
            "--join-token-file", str(cls.farm.server.join_token_file()),
            "--state", str(folder / "state"), "--store-root", str(cls.builder.root),
            "--jobs", "4"], folder / "agent.log")
        agent.start()
        return agent

    def setUp(self) -> None:
        super().setUp()
        self.farm.watch(self)
        self.watch("nginx", self.proxy.log)
        self.watch("agent", self.agent.log)

    def test_everything_goes_through(self):
        survey = self.farm.builds(self.evaluation)["sea-floor-survey"]["id"]
        self.farm.wait_for_build(survey, "running")
        log = self.proxy.ask("GET", f"{API}/builds/{survey}/log?follow=yes")
        self.assertEqual(log.readline(), f"line 1 of {SECONDS}\n".encode())
        self.assertEqual(self.farm.build(survey)["state"], "running")  # so the line was live
        self.assertEqual(log.read().splitlines()[-1], f"line {SECONDS} of {SECONDS}".encode())

        kinds = []
        while "build.succeeded" not in kinds:
            line = self.events.readline()
            if line.startswith(b"data: "):
                kinds.append(json.loads(line[6:])["kind"])
        self.assertEqual(kinds[0], "build.queued")

        builds = self.farm.finish(self.evaluation)
        self.assertEqual(builds["almanac"]["state"], "succeeded")
        output = self.farm.build(builds["almanac"]["id"])["outputs"][0]["path"].split("/")[-1]
        narinfo = self.proxy.ask("GET", f"/{output[:32]}.narinfo")
        self.assertIn(f"StorePath: /gnu/store/{output}".encode(), narinfo.read())
        nar = self.proxy.ask("GET", f"/nar/{output}", headers={"Accept-Encoding": "identity"})
        self.assertIn(b"nix-archive-1", nar.read())
        self.assertEqual(self.farm.client.api("GET", "/agents/elsewhere")["connected"], True)
        self.assertNotIn("no session", self.agent.log.read_text())

    def test_plain_http_is_sent_to_https(self):
        connection = http.client.HTTPConnection("127.0.0.1", self.proxy.plain, timeout=20)
        connection.request("GET", "/builds?state=failed", headers={"Host": NAME})
        reply = connection.getresponse()
        self.assertEqual((reply.status, reply.headers["Location"]),
                         (301, f"https://{NAME}/builds?state=failed"))

    def test_clients_speak_http_2(self):
        done = subprocess.run(["curl", "--silent", "--show-error", "--cacert",
                               self.proxy.certificate, "--resolve",
                               f"{NAME}:{self.proxy.port}:127.0.0.1", "--write-out",
                               "%{http_version} %{http_code}", "--output", "/dev/null",
                               f"https://{NAME}:{self.proxy.port}/"],
                              text=True, capture_output=True)
        self.assertEqual(done.stdout, "2 200", done.stderr)
