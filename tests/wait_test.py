# SPDX-License-Identifier: GPL-3.0-or-later
"""Requests that take long do not hold up others: the server has two threads for all."""

import concurrent.futures
import subprocess
import time

from support.case import Case
from support.waiting import TIME_FACTOR

ORDERS = 6  # more than the server has threads


class Wait(Case):
    timeout = 60

    def hold_up_the_scheduler(self, server) -> None:
        """Locks the row that each of its batches writes, until the test ends."""
        command = ["runuser", "-u", "postgres", "--", "psql", "--no-psqlrc", "--quiet",
                   "--host", str(server.state / "postgresql/socket"), "panoply"]
        psql = subprocess.Popen(command, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.addCleanup(psql.stdout.close)
        self.addCleanup(psql.wait)
        self.addCleanup(psql.stdin.close)
        psql.stdin.write("BEGIN;\nLOCK TABLE farm_scheduler;\n\\echo held\n")
        psql.stdin.flush()
        self.assertEqual(psql.stdout.readline(), "held\n")

    def test_orders_that_wait_for_the_scheduler(self):
        server = self.server()
        token = server.join_token_file().read_text().strip()
        client = server.client
        answer = client.request("POST", "/agent/v1/enrol",
                                b'{"name": "a", "systems": ["x86_64-linux"], "jobs": 1}',
                                {"Authorization": f"Bearer {token}"})
        self.assertEqual(answer.status, 201)
        self.hold_up_the_scheduler(server)
        with concurrent.futures.ThreadPoolExecutor(ORDERS) as threads:
            start = time.monotonic()
            orders = [threads.submit(client.request, "POST", "/api/panoply/v1/agents/a/pause")
                      for _ in range(ORDERS)]
            slowest = 0.0
            while not any(order.done() for order in orders):
                asked = time.monotonic()
                client.text("/signing-key.pub")
                slowest = max(slowest, time.monotonic() - asked)
            self.assertLess(slowest, 1, "a file of the server, meanwhile")
            self.assertGreater(time.monotonic() - start, 1, "the orders were held up")
            self.assertEqual([order.result().status for order in orders], [202] * ORDERS)

    def test_database_away(self):
        """Told at once, however many ask: nobody sits out what may take long."""
        first = self.server("--no-fsync")
        client = self.server("--database",
                             f"postgresql:///panoply?host={first.state}/postgresql/socket"
                             "&user=panoply", "--roles", "web", name="web").client
        client.token = first.token()
        api = "/api/panoply/v1"
        asked = [*[("GET", f"{api}/status")] * ORDERS, ("GET", "/"), ("GET", "/builds/1"),
                 ("GET", "/substitutes"), ("GET", f"{api}/builds"),
                 ("POST", f"{api}/builds/1/cancel"), ("POST", f"{api}/builds/1/restart"),
                 ("POST", f"{api}/agents/a/pause"), ("POST", f"{api}/cache/check"),
                 ("POST", f"{api}/agents/a/release"), ("DELETE", f"{api}/specifications/x")]
        self.assertEqual(client.request("GET", f"{api}/builds").status, 200)
        first.stop()  # and with it its PostgreSQL
        for _ in range(2):  # the first finds connections that are dead
            start = time.monotonic()
            with concurrent.futures.ThreadPoolExecutor(len(asked)) as threads:
                answers = list(threads.map(lambda it: client.request(*it).status, asked))
            self.assertEqual(answers, [503] * len(asked))
            self.assertLess(time.monotonic() - start, 1 * TIME_FACTOR)
