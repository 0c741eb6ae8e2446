# SPDX-License-Identifier: GPL-3.0-or-later
"""A scheduler in a process of its own: agents dial in there."""

from support.case import Case
from support.panoply import Refused
from support.waiting import wait_until


class Scheduler(Case):
    timeout = 120

    def test_agents_dial_in_where_the_scheduler_is(self):
        web = self.server("--roles", "web", name="web")
        uri = f"postgresql:///panoply?host={web.state}/postgresql/socket&user=panoply"
        self.assertIs(web.client.api("GET", "/status")["scheduler"], False)
        with self.assertRaises(Refused) as refused:
            web.client.json("POST", "/agent/v1/enrol", {})
        self.assertEqual(refused.exception.status, 404)
        scheduler = self.server("--database", uri, "--roles", "scheduler", name="scheduler")
        self.agent(scheduler, self.machine("builder"), name="builder",
                   join_token_file=web.join_token_file())
        wait_until(lambda: web.client.api("GET", "/agents")["items"], 30, "the agent is enrolled")
        wait_until(lambda: web.client.api("GET", "/agents/builder")["connected"], 30,
                   "the agent is connected")
        wait_until(lambda: web.client.api("GET", "/status")["scheduler"], 10, "status")
        self.assertIn("a scheduler is active", web.command_line("doctor", check=False).stdout)
