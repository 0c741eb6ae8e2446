# SPDX-License-Identifier: GPL-3.0-or-later
"""Several processes of one Panoply, each with its part: `panoply serve --roles`."""

from support.case import Case
from support.farm import Farm
from support.panoply import Refused
from support.waiting import wait_until


class Roles(Case):
    timeout = 120

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
        """It leaves alone what the first is at, and goes on when the first is gone."""
        self.farm.channel.write("example/packages/trial.scm",
                                "(define-module (example packages trial))\n(sleep 6)\n")
        self.farm.channel.commit("Take a while to load")
        self.farm.server.add_specification(self.farm.channel.specification(period=300))
        self.wait_until_running(1)
        second = self.server("--database", self.uri, "--roles", "evaluator,web", name="second",
                             machine=self.machine("second"))
        second.client.token = self.farm.client.token
        self.assertEqual(self.end_of_newest(second), "succeeded")
        self.assertNotIn("begins", second.log.read_text())

        second.client.api("POST", "/specifications/example/evaluate?force=yes")
        self.wait_until_running(2)
        self.farm.server.kill()
        if "begins" in second.log.read_text():  # it was the quicker one: then it just goes on
            return
        self.assertEqual(self.end_of_newest(second), "succeeded")
        self.assertIn("begins", second.log.read_text())

    def wait_until_running(self, count: int) -> None:
        wait_until(lambda: len(self.evaluations()) == count
                   and self.evaluations()[0]["state"] == "running", 60, "an evaluation runs")

    def end_of_newest(self, server) -> str:
        def ended():
            newest = server.client.api("GET", "/evaluations")["items"][0]
            return newest["finished_at"] and newest["state"]
        return wait_until(ended, 60, "it ends")
