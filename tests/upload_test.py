# SPDX-License-Identifier: GPL-3.0-or-later
"""What the server makes of an agent that breaks off, lies, or comes too late. The agent is played
here, in the words of doc/agent-protocol.md."""

import concurrent.futures
import itertools
import json
import subprocess
import urllib.parse

from support.case import Case
from support.farm import Farm
from support.nar import nar_of_file, sha256
from support.panoply import Client
from support.waiting import wait_until

LONG = 80  # MiB: more than the server goes through for several at once
UNKNOWN = "00000000000000000000000000000000-nowhere"


def compress(data: bytes) -> bytes:
    return subprocess.run(["zstd", "-q", "-3"], input=data, capture_output=True, check=True).stdout


class PlayedAgent:
    """An agent of one slot. `order` is the build that the server gave it."""

    def __init__(self, server, name: str, system: str):
        self.systems = [system]
        joining = Client(server.url, server.join_token_file().read_text().strip())
        enrolled = joining.json("POST", "/agent/v1/enrol", {
            "name": name, "systems": self.systems, "jobs": 1, "facts": {}})
        self.client = Client(server.url, enrolled["token"])
        self.open_session([])

    def open_session(self, running: list) -> None:
        status, self.lines, self.connection = self.client.stream(
            "POST", "/agent/v1/session",
            {"protocol": 1, "version": "test", "systems": self.systems, "jobs": 1,
             "facts": {}, "running": running})
        assert status == 200, status
        assert self.message()["type"] == "welcome"

    def message(self) -> dict:
        """The next message that is no ping."""
        for line in self.lines:
            message = json.loads(line) if line.strip() else {"type": "ping"}
            if message["type"] != "ping":
                return message
        raise AssertionError("the session ended")

    def take_order(self) -> dict:
        self.order = self.message()
        assert self.order["type"] == "build", self.order
        return self.order

    def call(self, method: str, path: str, body: bytes = b"", fence: str | None = None):
        headers = {"Panoply-Fence": fence or self.order["fence"],
                   "Content-Type": "application/json"}
        return self.client.request(method, f"/agent/v1/attempts/{self.order['attempt']}/{path}",
                                   body, headers)

    def upload(self, basename: str, data: bytes, offset: int = 0):
        return self.call("PUT", f"uploads/{urllib.parse.quote(basename)}?offset={offset}", data)

    def offset(self, basename: str) -> int:
        return json.loads(self.call("GET", f"uploads/{basename}").body)["offset"]

    def result(self, **members):
        return self.call("POST", "result", json.dumps({"log_size": 0, **members}).encode())

    def close(self) -> None:
        self.connection.close()


class Uploads(Case):
    names = (f"liar-{number}" for number in itertools.count())

    @classmethod
    def setUpClass(cls) -> None:
        cls.farm = Farm(agents=0)
        cls.addClassCleanup(cls.farm.delete)
        cls.panoply = cls.farm.server
        names = [f"plain-{number}" for number in range(8)]  # need nothing, and no hash is declared
        for name in names:
            cls.farm.channel.add_package(name, "mkdir $out\n")
        cls.farm.channel.commit("Packages for liars")
        cls.farm.evaluate(build={"packages": names})

    def setUp(self) -> None:
        super().setUp()
        self.farm.watch(self)
        name = next(self.names)
        self.addCleanup(self.give_back, name)
        self.agent = self.play(name)
        self.agent.take_order()
        self.output = self.agent.order["outputs"][0]["path"]
        nars = {output["path"]: nar_of_file(output["path"].encode() * 20000)
                for output in self.agent.order["outputs"]}
        self.nars = nars
        self.packed = {path: compress(nar) for path, nar in nars.items()}

    def play(self, name: str, system: str = "x86_64-linux") -> PlayedAgent:
        agent = PlayedAgent(self.panoply, name, system)
        self.addCleanup(agent.close)
        return agent

    def give_back(self, name: str) -> None:
        """Lets the next test have the order, if this one has not done with it. The session must
        have ended, or another order comes at once."""
        self.panoply.wait_for(f"/agents/{name}", lambda agent: not agent["connected"])
        self.agent.result(status="failed", cause="cancelled", message="")

    def items(self, **changes) -> list[dict]:
        return [{"path": path, "nar_hash": sha256(nar),
                 "nar_size": len(nar), "references": [], "deriver": "", **changes}
                for path, nar in self.nars.items()]

    def upload_all(self) -> None:
        self.agent.call("POST", "missing", json.dumps({"paths": list(self.nars)}).encode())
        for path, data in self.packed.items():
            self.assertEqual(self.agent.upload(path, data).status, 200)

    def build_of(self, attempt: int) -> int:
        builds = self.panoply.client.api("GET", "/builds?limit=100")["items"]
        build, = (it["id"] for it in map(self.farm.build, (it["id"] for it in builds))
                  if attempt in {its["id"] for its in it["attempts"]})
        return build

    def is_offered(self, path: str) -> bool:
        answer = self.panoply.client.request("GET", f"/{path[:32]}.narinfo")
        return answer.status == 200

    def test_a_truncated_upload_is_resumed(self):
        data = self.packed[self.output]
        half = len(data) // 2
        # A body that promises more than it brings, as when the line breaks.
        connection = self.agent.client.connect()
        connection.putrequest("PUT", f"/agent/v1/attempts/{self.agent.order['attempt']}/uploads/"
                                     f"{self.output}?offset=0")
        for name, value in self.agent.client.headers(
                {"Panoply-Fence": self.agent.order["fence"],
                 "Content-Length": str(len(data))}).items():
            connection.putheader(name, value)
        connection.endheaders(data[:half])
        connection.close()
        wait_until(lambda: self.agent.offset(self.output) == half, 20, "half of it arrived")
        # 503 as long as the server has not noticed that the line is broken.
        wait_until(lambda: self.agent.upload(self.output, data[half:], half + 1).status == 409,
                   20, "a wrong offset is refused")
        self.assertEqual(self.agent.upload(self.output, data[half:], half).status, 200)
        self.agent.call("POST", "missing", json.dumps({"paths": list(self.nars)}).encode())
        for path in list(self.nars)[1:]:
            self.agent.upload(path, self.packed[path])
        self.assertEqual(self.agent.result(status="succeeded", items=self.items()).status, 200)
        self.assertTrue(self.is_offered(self.output))
        nar = self.panoply.client.request("GET", f"/nar/{self.output}")
        self.assertEqual(nar.body, self.nars[self.output])
        # The same word once more is answered the same; another one comes too late.
        self.assertEqual(self.agent.result(status="succeeded", items=self.items()).status, 200)
        self.assertEqual(self.agent.result(status="failed", cause="build", message="").status, 410)

    def test_a_wrong_hash_is_refused(self):
        self.upload_all()
        lie = sha256(b"another")
        answer = self.agent.result(status="succeeded", items=self.items(nar_hash=lie))
        self.assertEqual(answer.status, 422)
        self.assertEqual(sorted(json.loads(answer.body)["damaged"]), sorted(self.nars))
        self.assertFalse(self.is_offered(self.output))
        self.assertEqual(self.agent.offset(self.output), 0)
        # Uploaded again with the truth, it is taken.
        self.upload_all()
        self.assertEqual(self.agent.result(status="succeeded", items=self.items()).status, 200)
        self.assertTrue(self.is_offered(self.output))

    def logs(self, build: int) -> dict[str, str]:
        """The log of BUILD, wherever it is shown without naming an attempt."""
        client = self.panoply.client
        places = (f"/api/panoply/v1/builds/{build}/log", f"/log/{self.output}",
                  f"/log/{self.agent.order['derivation']}", f"/builds/{build}")
        return {"command": self.panoply.command_line("build", "log", build).stdout,
                **{place: client.request("GET", place).body.decode() for place in places}}

    def test_a_retry_without_a_builder_does_not_hide_the_log(self):
        """The agent is lost after its builder ended. The next one finds the output in its store."""
        lost = self.agent.order["attempt"]
        text = "what the builder said\n"
        self.assertEqual(self.agent.call("POST", "started", b"{}").status, 200)
        self.assertEqual(self.agent.call("POST", "log?offset=0", text.encode()).status, 200)
        self.agent.close()
        self.agent.open_session([])
        retry = self.agent.take_order()["attempt"]
        build = self.build_of(retry)
        # As long as it runs, people want to follow what it will say.
        self.assertEqual(self.farm.log(build), "")
        self.upload_all()
        self.assertEqual(self.agent.result(status="succeeded", items=self.items()).status, 200)
        for place, log in self.logs(build).items():
            self.assertIn(text, log, place)
        self.assertEqual(self.farm.log(build), text)
        own = self.panoply.client.text(f"/api/panoply/v1/builds/{build}/log?attempt={retry}")
        self.assertEqual((own, retry != lost), ("", True))

    def test_a_log_that_is_nearly_all_one_line(self):
        """One goes through it, once; others hear 503 meanwhile, and do not wait for that."""
        self.agent.call("POST", "started", b"{}")
        for number in range(LONG):
            answer = self.agent.call("POST", f"log?offset={number << 20}", b"x" * (1 << 20))
            self.assertEqual(answer.status, 200)
        self.agent.call("POST", f"log?offset={LONG << 20}", b"\nthe second\n")
        path = f"/builds/{self.build_of(self.agent.order['attempt'])}/log?from=2"
        with concurrent.futures.ThreadPoolExecutor(6) as threads:
            answers = [threads.submit(self.panoply.client.request, "GET", path) for _ in range(6)]
            statuses = {answer.result().status for answer in answers}
        self.assertIn(200, statuses)
        self.assertLessEqual(statuses, {200, 503})
        page = self.panoply.client.text(path)
        self.assertIn("the second", page)
        self.assertNotIn("xxxx", page)

    def test_what_is_no_nar_is_refused(self):
        self.agent.call("POST", "missing", json.dumps({"paths": list(self.nars)}).encode())
        for path in self.nars:
            self.agent.upload(path, compress(b"not a nar" * 1000))
        answer = self.agent.result(status="succeeded", items=self.items())
        self.assertEqual(answer.status, 422)
        self.assertFalse(self.is_offered(self.output))

    def test_a_reference_that_is_not_there_is_refused(self):
        self.upload_all()
        answer = self.agent.result(status="succeeded", items=self.items(references=[UNKNOWN]))
        self.assertGreaterEqual(answer.status, 400)
        self.assertFalse(self.is_offered(self.output))

    def test_only_the_holder_of_the_fence_is_heard(self):
        stale = str(int(self.agent.order["fence"]) // 2 + 1)
        for method, path, body in (("POST", "started", b"{}"), ("GET", "closure", b""),
                                   ("GET", f"uploads/{self.output}", b"")):
            self.assertEqual(self.agent.call(method, path, body, fence=stale).status, 410, path)
        other = self.play("other", system="mips64el-linux")  # gets no order
        other.order = self.agent.order
        self.assertEqual(other.upload(self.output, b"x").status, 410)
        unknown = Client(self.panoply.url, "panoply_agent_" + "0" * 64)
        self.assertEqual(unknown.request("POST", "/agent/v1/session", b"{}").status, 401)

    def test_paths_that_are_not_its_own_are_refused(self):
        for path in ("..%2F..%2Fetc%2Fpasswd", "passwd", UNKNOWN, "%00"):
            answer = self.agent.call("PUT", f"uploads/{path}?offset=0", b"x")
            self.assertIn(answer.status, (400, 403, 404), path)


class FixedOutputs(Case):
    """Where the derivation declares a hash, the agent is not believed."""
    timeout = 90

    def test_only_what_is_declared_is_taken(self):
        farm = Farm(agents=0)
        self.addCleanup(farm.delete)
        farm.watch(self)
        evaluation = farm.evaluate(build={"packages": ["tide-tables"]})
        agent = PlayedAgent(farm.server, "forger", "x86_64-linux")
        self.addCleanup(agent.close)
        output, = (it["path"] for it in agent.take_order()["outputs"])
        self.assertEqual(output[33:], "tides-2026.txt")
        true = b"".join(b"%d %d %d\n" % (day, day * 50 % 745, 320 + day * 7 % 90)
                        for day in range(1, 366))

        def deliver(contents: bytes):
            nar = nar_of_file(contents)
            agent.call("POST", "missing", json.dumps({"paths": [output]}).encode())
            self.assertEqual(agent.upload(output, compress(nar)).status, 200)
            return agent.result(status="succeeded", items=[
                {"path": output, "nar_hash": sha256(nar), "nar_size": len(nar), "references": []}])

        def is_offered() -> bool:
            return farm.client.request("GET", f"/{output[:32]}.narinfo").status == 200

        answer = deliver(true.replace(b"320", b"999", 1))
        self.assertEqual(answer.status, 422, answer.body)
        told = json.loads(answer.body)
        self.assertEqual(told["refused"], [output])
        self.assertIn("declares", told["detail"])
        self.assertFalse(is_offered())
        self.assertEqual(agent.result(status="succeeded", items=[]).status, 410)
        build = farm.builds(evaluation)["tide-tables"]
        needed, = farm.build(build["id"])["dependencies"]
        ended, = farm.build(needed["id"])["attempts"]
        self.assertEqual((ended["state"], ended["cause"]), ("failed", "hash-mismatch"))
        # There is no other agent: it gets a second try, after a pause.
        self.assertEqual(agent.take_order()["outputs"][0]["path"], output)
        answer = deliver(true)
        self.assertEqual(answer.status, 200, answer.body)
        self.assertTrue(is_offered())
