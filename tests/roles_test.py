# SPDX-License-Identifier: GPL-3.0-or-later
"""Several processes of one Panoply, each with its part: `panoply serve --roles`."""

import re

from support.case import Case
from support.farm import Farm
from support.panoply import Refused, Server
from support.waiting import wait_until

# A module that is loaded only when its machine has the file /gate.
WAITING_AT_THE_GATE = """\
(define-module (example packages trial))
(let wait ()
  (unless (file-exists? "/gate")
    (usleep 100000)
    (wait)))
"""


class Roles(Case):
    timeout = 180

    def setUp(self) -> None:
        super().setUp()
        self.farm = Farm(agents=1, durable=True)  # its PostgreSQL outlives a killed server
        self.addCleanup(self.farm.delete)
        self.farm.watch(self)
        self.uri = f"postgresql:///panoply?host={self.farm.server.state}/postgresql/socket&user=panoply"

    def evaluations(self) -> list[dict]:
        return self.farm.client.api("GET", "/evaluations")["items"]

    def test_pages_alone(self):
        """A process that neither evaluates nor schedules shows all, and takes every order."""
        first = self.farm.evaluate()
        web = self.server("--database", self.uri, "--roles", "web", name="web")
        web.client.token = self.farm.client.token
        self.assertIn("example", web.client.text("/"))
        web.client.api("POST", "/specifications/example/evaluate?force=yes")
        wait_until(lambda: len(self.evaluations()) == 2
                   and self.evaluations()[0]["finished_at"], 60, "the other process evaluates")
        build = self.farm.finish(first)["sextant"]
        self.assertEqual(build["state"], "failed")
        web.client.api("POST", f"/builds/{build['id']}/restart")
        self.farm.wait_for_build(build["id"], lambda it: len(it["attempts"]) == 2)
        with self.assertRaises(Refused) as refused:
            web.client.api("POST", "/builds", {"derivations": [build["derivation"]]})
        self.assertEqual(refused.exception.status, 503)
        self.assertIn(b"evaluator role", refused.exception.body)

    def test_a_second_evaluator(self):
        """It leaves alone what the first is at, and goes on when the first is gone. Which of
        the two has an evaluation stands in its log; the evaluation itself waits for a gate."""
        self.farm.channel.write("example/packages/trial.scm", WAITING_AT_THE_GATE)
        self.farm.channel.commit("Take as long to load as the test wants")
        first = self.farm.server
        first.add_specification(self.farm.channel.specification(period=0))
        first.client.api("POST", "/specifications/example/evaluate")
        evaluation = self.wait_until_begun(first)
        machine = self.machine("second")
        second = self.server("--database", self.uri, "--roles", "evaluator,web", name="second",
                             machine=machine)
        second.client.token = self.farm.client.token
        # Having done this one, it has seen the older one too.
        second.add_specification(self.channel().specification("other", period=0))
        second.client.api("POST", "/specifications/other/evaluate")
        self.assertEqual(self.end(second, self.wait_until_begun(second)), "succeeded")
        self.assertEqual(self.state(second, evaluation), "running")
        self.farm.evaluator.outside("/gate").touch()
        self.assertEqual(self.end(second, evaluation), "succeeded")
        self.assertNotIn(f"evaluation {evaluation} of", second.log.read_text())

        second.stop()  # or it might be the quicker one
        self.farm.evaluator.outside("/gate").unlink()
        first.client.api("POST", "/specifications/example/evaluate?force=yes")
        evaluation = self.wait_until_begun(first, after=evaluation)
        second.start()
        first.kill()
        self.assertEqual(self.wait_until_begun(second), evaluation)
        machine.outside("/gate").touch()
        self.assertEqual(self.end(second, evaluation), "succeeded")
        self.assertEqual(second.client.api("GET", "/evaluations?specification=example")["items"]
                         [0]["id"], evaluation)

    def wait_until_begun(self, server: Server, after: int = 0) -> int:
        """The newest evaluation that SERVER has begun since it was started, by its log."""
        def begun() -> int:
            found = re.findall(r"evaluation (\d+) of \S+ begins", server.output())
            return max((int(number) for number in found if int(number) > after), default=0)
        return wait_until(begun, 60, f"{server.name} begins an evaluation")

    def state(self, server: Server, evaluation: int) -> str:
        return server.client.api("GET", f"/evaluations/{evaluation}")["state"]

    def end(self, server: Server, evaluation: int) -> str:
        return server.wait_for(f"/evaluations/{evaluation}", lambda it: it["finished_at"])["state"]
