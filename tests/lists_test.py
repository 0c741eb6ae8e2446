# SPDX-License-Identifier: GPL-3.0-or-later
"""Lists, as pages show them: sorted and narrowed by their address, in parts; the queue in the order
of the scheduler; and what the search finds."""

import datetime
import html
import json
import re

from support.case import Case
from support.farm import Farm
from support.panoply import API, Server
from support.waiting import wait_until


def names_of(page: str) -> list[str]:
    """Texts of the links to builds in a page's table, in their order."""
    table = page.partition("<tbody>")[2].partition("</tbody>")[0]
    return [html.unescape(name) for name in re.findall(r'<a href="/builds/\d+">([^<]*)</a>', table)]


def ids_of(page: str) -> list[int]:
    table = page.partition("<tbody>")[2].partition("</tbody>")[0]
    return [int(number) for number in re.findall(r'<a href="/builds/(\d+)">', table)]


def link(page: str, pattern: str) -> str | None:
    found = re.search(rf'<a [^>]*{pattern}[^>]*>', page)
    return html.unescape(re.search(r'href="([^"]*)"', found[0])[1]) if found else None


class Lists(Case):
    timeout = 300

    def setUp(self) -> None:
        super().setUp()
        self.farm = Farm(agents=2, jobs=1)
        self.addCleanup(self.farm.delete)
        self.farm.watch(self)
        self.client = self.farm.client

    def page(self, path: str) -> str:
        return self.client.text(path)

    def test_all(self) -> None:
        # One farm for all: it takes longer to make than to ask.
        self.example = self.farm.evaluate()
        self.farm.finish(self.example)
        self.boats = self.farm.evaluate(name="boats", systems=["aarch64-linux"])
        self.builds = self.client.api("GET", "/builds?limit=1000")["items"]
        self.check_order()
        self.check_parts()
        self.check_filters()
        self.check_agents()
        self.check_search()
        self.check_queue()

    # ---- order and parts ----

    def took(self, build: dict) -> datetime.timedelta | None:
        attempts = self.farm.build(build["id"])["attempts"]
        if not attempts or not attempts[0]["finished_at"]:
            return None
        begun, ended = (datetime.datetime.fromisoformat(attempts[0][name])
                        for name in ("created_at", "finished_at"))
        return ended - begun

    def check_order(self) -> None:
        self.assertEqual(ids_of(self.page("/builds")), sorted((it["id"] for it in self.builds), reverse=True))
        self.assertEqual(ids_of(self.page("/builds?sort=wanted")), sorted(it["id"] for it in self.builds))
        names = names_of(self.page("/builds?sort=name"))
        self.assertEqual(names, sorted((it["name"] for it in self.builds), key=lambda it: it + ".drv"))
        self.assertEqual(names_of(self.page("/builds?sort=-name")), names[::-1])
        ran = sorted((took, it["id"]) for it in self.builds if (took := self.took(it)) is not None)
        self.assertTrue(ran)
        self.assertEqual(ids_of(self.page("/builds?sort=took")), [number for _, number in ran])
        self.assertEqual(ids_of(self.page("/builds?sort=-took")), [number for _, number in ran[::-1]])
        waiting = self.page("/builds?sort=took&state=waiting")
        self.assertEqual(ids_of(waiting), [])
        self.assertIn('<a href="/builds?state=waiting">All, newest first</a>', waiting)
        # The head of the table says how it is sorted, and sorts the other way round.
        head = self.page("/builds?sort=name&state=succeeded&name=a")
        self.assertEqual(re.findall(r'<th aria-sort="(\w+)"><a href="([^"]*)"', head),
                         [("ascending", "/builds?state=succeeded&amp;name=a&amp;sort=-name")])
        self.assertEqual(self.client.request("GET", "/builds?sort=colour").status, 400)

    def check_parts(self) -> None:
        for sort in ("wanted", "-wanted", "name", "-name", "took", "-took"):
            whole = ids_of(self.page(f"/builds?sort={sort}"))
            path, found, last = f"/builds?sort={sort}&limit=4", [], None
            while path:
                page = self.page(path)
                found, last, path = found + ids_of(page), page, link(page, 'rel="next"')
                self.assertLessEqual(len(found), len(whole), sort)
            self.assertEqual(found, whole, sort)
            back = ids_of(last)
            while path := link(last, 'rel="prev"'):
                last = self.page(path)
                back = ids_of(last) + back
            self.assertEqual(back, whole, sort)

    def check_filters(self) -> None:
        def ids(query):
            return set(ids_of(self.page(f"/builds?{query}")))
        of_boats = {it["id"] for it in self.farm.builds(self.boats).values()}
        self.assertTrue(of_boats)
        self.assertEqual(ids("specification=boats"), of_boats)
        self.assertEqual(ids(f"evaluation={self.boats['id']}&sort=name"), of_boats)
        self.assertEqual(ids("specification=boats&state=succeeded"), set())
        for nothing in ("specification=none", "agent=none", "evaluation=999"):
            self.assertEqual(self.client.request("GET", f"/builds?{nothing}").status, 404, nothing)
        by = {name: ids(f"agent={name}") for name in ("builder-1", "builder-2")}
        for name, built in by.items():
            self.assertTrue(built, name)
            for number in built:
                self.assertIn(name, {it["agent"] for it in self.farm.build(number)["attempts"]})
        self.assertEqual(by["builder-1"] | by["builder-2"],
                         {it["id"] for it in self.builds if self.farm.build(it["id"])["attempts"]})
        # The form as it is sent, with nothing in its fields, narrows nothing.
        self.assertEqual(ids("name=&system=&specification=&evaluation=&agent="),
                         {it["id"] for it in self.builds})
        # What narrows the list stays, whatever is chosen besides.
        page = self.page("/builds?specification=boats&agent=builder-1&name=tide&sort=name")
        for found in re.findall(r'<a [^>]*href="(/builds\?[^"]*)"', page):
            for part in ("specification=boats", "agent=builder-1", "name=tide"):
                self.assertIn(part, found)

    def check_agents(self) -> None:
        # Pages of agents follow what their own agents do, by the events alone.
        _, lines, connection = self.client.stream("GET", f"{API}/events?kind=build.succeeded",
                                                  headers={"Last-Event-ID": "0-0"})
        self.addCleanup(connection.close)
        event = json.loads(next(it for it in lines if it.startswith(b"data: ")).removeprefix(b"data: "))
        self.assertIn(event["facts"]["agent"],
                      {it["agent"] for it in self.farm.build(event["subject"])["attempts"]})
        def names(query):
            return re.findall(r'<a href="/agents/([^"]+)">\1</a>', self.page(f"/agents{query}"))
        self.assertEqual(names(""), ["builder-1", "builder-2"])
        self.assertEqual(names("?sort=-name"), ["builder-2", "builder-1"])
        self.client.api("POST", "/agents/builder-1/pause")
        self.assertEqual(names("?sort=state"), ["builder-2", "builder-1"])
        self.assertIn('aria-sort="descending"', self.page("/agents?sort=-busy"))
        self.assertEqual(self.client.request("GET", "/agents?sort=colour").status, 400)
        self.client.api("POST", "/agents/builder-1/resume")

    # ---- the search ----

    def check_search(self) -> None:
        almanac = next(it for it in self.builds if it["name"].startswith("almanac-")
                       and it["system"] == "x86_64-linux")
        facts = self.farm.build(almanac["id"])
        name, version = almanac["name"].rsplit("-", 1)
        output = facts["outputs"][0]["path"]
        for asked in (almanac["name"], f"{name}@{version}", almanac["name"].upper(), version,
                      almanac["derivation"], output, f"{output}/bin/almanac", f"{output}/",
                      output.removeprefix("/gnu/store/")[:12]):
            page = self.page(f"/search?q={asked}")
            self.assertIn(f'href="/builds/{almanac["id"]}"', page, asked)
            self.assertNotIn("Nothing fits", page, asked)
        found = self.client.api("GET", f"/search?q={name}@{version}")["builds"]
        self.assertIn(almanac["id"], [it["id"] for it in found])
        text = next(it for it in self.builds if it["name"].endswith(".txt"))
        self.assertIn(f'href="/builds/{text["id"]}"', self.page(f"/search?q={text['name'][:5]}"))
        self.assertIn(f'href="/builds/{text["id"]}"', self.page("/search?q=.txt"))
        self.assertIn("Nothing fits", self.page("/search?q=almanac-9999"))
        # Beside a commit stands what came of its evaluation, as everywhere.
        revision = self.client.api("GET", f"/evaluations/{self.boats['id']}")["revisions"][0]
        summary = self.farm.server.wait_for(f"/evaluations/{self.boats['id']}",
                                            lambda it: it["outcome"] == "building")["summary"]
        self.assertIn(summary, self.page(f"/search?q={revision['commit'][:10]}"))
        # What is cut says so, and leads to more.
        page = self.page("/search?q=a&limit=2")
        self.assertIn("The first 2; ", page)
        self.assertEqual(link(page, "limit="), "/search?q=a&limit=20")
        self.assertNotIn("The first ", self.page("/search?q=a&limit=1000"))
        self.assertEqual(self.client.request("GET", f"{API}/search?q=%25").status, 200)

    # ---- the queue ----

    def queue(self, path: str = "/queue") -> str:
        return self.page(path)

    def ahead(self, number: int) -> int:
        """How many go first, as the scheduler itself has it."""
        return self.client.api("GET", f"/builds/{number}/explain")["ahead_count"]

    def occupy_agents(self) -> None:
        """Both agents build what does not end."""
        for name in ("blocker-0", "blocker-1"):
            self.farm.channel.add_package(name, "sleep 1000\n")
        self.farm.channel.commit("What takes long")
        blockers = self.farm.evaluate(name="blockers", priority=9,
                                      build={"packages": ["blocker-0", "blocker-1"]})
        for build in self.farm.builds(blockers).values():
            self.farm.wait_for_build(build["id"], "running")

    def check_queue(self) -> None:
        stuck = len(self.farm.builds(self.boats))
        self.assertIn(f"{stuck} builds</a> for aarch64-linux: no agent builds for this", self.queue())
        self.occupy_agents()
        for number in range(4):
            self.farm.channel.add_package(f"waiter-{number}", "mkdir $out\n")
        self.farm.channel.add_package("follower", "mkdir $out\n", inputs="waiter-1",
                                      modules="(example packages waiter-1)")
        self.farm.channel.commit("More to do")
        self.farm.evaluate(name="later")
        urgent = self.farm.evaluate(name="urgent", priority=5, build={"packages": ["waiter-2"]})
        first = self.farm.builds(urgent)["waiter-2"]["id"]
        page = wait_until(lambda: self.queue_beginning_with(first), 20, "the urgent one is first")
        ids = ids_of(page)
        self.assertEqual([self.ahead(number) for number in ids], list(range(len(ids))))
        self.assertEqual({"waiter-0-1.0", "waiter-1-1.0", "waiter-2-1.0", "waiter-3-1.0"},
                         set(names_of(page)))
        self.assertIn("1 that stand between them wait for other builds", page)
        self.assertIn(f"{stuck + 5} waiting", page)
        # In parts, the same.
        path, found = "/queue?limit=1", []
        while path:
            page = self.queue(path)
            found, path = found + ids_of(page.partition('id="next"')[2]), link(page, 'rel="next"')
            self.assertLessEqual(len(found), len(ids))
        self.assertEqual(found, ids)
        for agent in ("builder-1", "builder-2"):
            self.client.api("POST", f"/agents/{agent}/pause")
        wait_until(self.all_paused, 20, "the queue says that the agents are paused")

    def queue_beginning_with(self, number: int) -> str:
        page = self.queue()
        part = page.partition('id="next"')[2]
        assert ids_of(part)[:1] == [number] and len(ids_of(part)) == 4, ids_of(part)
        return part.partition("</table>")[0] + page

    def all_paused(self) -> bool:
        page = self.queue()
        return "all are paused" in page and 'id="next"' not in page


LOOKED_AT = 20000
BUILDS = LOOKED_AT + 10
RARE = 5  # the number of a build
PAST = f"""
INSERT INTO system (name) VALUES ('x86_64-linux');
INSERT INTO store_path (id, basename)
SELECT number, repeat('0', 27) || to_char(number, 'FM00000') || '-'
               || CASE number WHEN {RARE} THEN 'needle' ELSE 'straw' END || '-1.drv'
FROM generate_series(1, {BUILDS}) AS number;
INSERT INTO store_path (id, basename)
SELECT {BUILDS} + number, repeat('1', 27) || to_char(number, 'FM00000') || '-out'
FROM generate_series(1, {BUILDS}) AS number;
INSERT INTO derivation (id, system_id, output_key, fixed_output, text_size, text_zstd)
SELECT number, 1, {BUILDS} + number, false, 0, '' FROM generate_series(1, {BUILDS}) AS number;
INSERT INTO build (id, derivation_id, output_key, state, priority, timeout_s, max_silent_s, finished_at)
SELECT number, number, {BUILDS} + number, 2, 0, 0, 0, now() FROM generate_series(1, {BUILDS}) AS number;
INSERT INTO agent (name, token_id, systems, jobs) VALUES ('anvil', 1, '{{x86_64-linux}}', 1);
INSERT INTO attempt (id, build_id, agent_id, fence, state, created_at, started_at, finished_at)
SELECT 1000 * number, number, 1, 1, CASE WHEN number % 2 = 0 THEN 1 ELSE 2 END, now() - interval '1 hour',
       now(), now() - interval '1 hour' + number * interval '1 second'
FROM generate_series(1, 10) AS number;
INSERT INTO specification (name, definition, period_s, priority) VALUES ('rare', '{{}}', 0, 0);
INSERT INTO evaluation (specification_id, definition, state, finished_at) VALUES (1, '{{}}', 2, now());
INSERT INTO job_name (id, name) VALUES (1, 'needle.x86_64-linux');
INSERT INTO job (evaluation_id, name_id, derivation_id, build_id) VALUES (1, 1, {RARE}, {RARE});
ANALYZE;
"""

# Two specifications with many evaluations, of which one each failed; what fails in all of them, and
# a newcomer. Names that no job has any more, a commit that stood in many evaluations, a build with
# many attempts of which only the first one began.
EVALUATIONS = {2: 800, 3: 501}
FAILED = 400  # the how manieth
FAILING, NEWCOMER, TRIED = 11, 12, 13  # builds
EVENTS = f"""
UPDATE build SET state = 3, cause = 1 WHERE id IN ({FAILING}, {NEWCOMER});
INSERT INTO specification (name, definition, period_s, priority)
VALUES ('often', '{{}}', 0, 0), ('as-often', '{{}}', 0, 0);
INSERT INTO job_name (id, name) VALUES (2, 'failing.x86_64-linux'), (3, 'newcomer.x86_64-linux'),
  (4, 'very-old-but-there.x86_64-linux'), (5, 'as-failing.x86_64-linux');
INSERT INTO job_name (id, name) SELECT 100 + number, 'old-' || number || '.i686-linux'
FROM generate_series(1, 40) AS number;
INSERT INTO evaluation (specification_id, definition, state, finished_at)
SELECT 2, '{{}}', CASE number WHEN {FAILED} THEN 3 ELSE 2 END, now()
FROM generate_series(1, {EVALUATIONS[2]}) AS number;
INSERT INTO evaluation (specification_id, definition, state, finished_at)
SELECT 3, '{{}}', CASE number WHEN {FAILED} THEN 3 ELSE 2 END, now()
FROM generate_series(1, {EVALUATIONS[3]}) AS number;
INSERT INTO job (evaluation_id, name_id, derivation_id, build_id)
SELECT id, 2, {FAILING}, {FAILING} FROM evaluation WHERE specification_id = 2 AND state = 2;
INSERT INTO job (evaluation_id, name_id, derivation_id, build_id)
SELECT id, name_id, {NEWCOMER}, {NEWCOMER}
FROM (SELECT id FROM evaluation WHERE specification_id = 2 ORDER BY id DESC LIMIT 7) AS newest,
     (VALUES (3), (4)) AS name (name_id);
INSERT INTO job (evaluation_id, name_id, derivation_id, build_id)
SELECT id, 5, {TRIED}, {TRIED} FROM evaluation WHERE specification_id = 3 AND state = 2;
INSERT INTO repository (url) VALUES ('https://example.org/a.git');
INSERT INTO revision (repository_id, commit_hash, subject, author, committed_at)
VALUES (1, repeat('a', 40), 'Add a lighthouse', 'A', now()),
       (1, repeat('b', 40), 'Paint the lighthouse', 'B', now());
INSERT INTO evaluation_revision (evaluation_id, channel, revision_id)
SELECT id, 'a', 2 FROM evaluation WHERE specification_id = 2;
UPDATE build SET state = 3, cause = 1 WHERE id = {TRIED};
INSERT INTO agent (name, token_id, systems, jobs) VALUES ('bellows', 2, '{{x86_64-linux}}', 1);
INSERT INTO attempt (id, build_id, agent_id, fence, state, cause, created_at, started_at, finished_at)
SELECT 20000 + number, {TRIED}, 2, 1, 2, 1, now(), CASE number WHEN 0 THEN now() END, now()
FROM generate_series(0, 100) AS number;
ANALYZE;
"""


class LongLists(Case):
    """Of a farm that has been there for years, as its database would have it."""
    timeout = 120

    @classmethod
    def setUpClass(cls) -> None:
        cls.server = Server("--no-fsync", "--roles", "web")
        cls.addClassCleanup(cls.server.stop)
        cls.client = cls.server.client
        cls.server.sql(PAST + EVENTS)

    def setUp(self) -> None:
        super().setUp()
        self.watch("server", self.server.log)

    def test_what_is_rare_takes_steps(self):
        """No step looks at more than so many builds, and each says where it goes on."""
        for asked in ("name=needle", "name=needle&state=succeeded&sort=name", "specification=rare",
                      "name=needle&sort=name&limit=1", "agent=anvil&name=needle"):
            page = self.client.text(f"/builds?{asked}")
            if "sort=name" in asked:  # the first of that order
                self.assertEqual(ids_of(page), [RARE], asked)
                continue
            self.assertIn("None of the 20,000 builds that were looked at is like this.", page, asked)
            page = self.client.text(link(page, 'rel="next"'))
            self.assertEqual(ids_of(page), [RARE], asked)
            self.assertIsNone(link(page, 'rel="next"'), asked)
        page = self.client.text("/builds?name=needle&sort=wanted")
        self.assertEqual(ids_of(page), [RARE])
        self.assertIn("20,000 builds were looked at for these.", page)
        self.assertEqual(len(ids_of(self.client.text("/builds?evaluation=1"))), 1)

    def test_what_is_rare_by_the_api(self):
        first = self.client.request("GET", f"{API}/builds?name=needle&limit=3")
        found = self.client.api("GET", "/builds?name=needle&limit=3")
        self.assertEqual(found, {"items": [], "next": str(BUILDS - LOOKED_AT + 1)})
        self.assertIn(f"before={found['next']}", first.headers["Link"])
        found = self.client.api("GET", f"/builds?name=needle&limit=3&before={found['next']}")
        self.assertEqual([it["id"] for it in found["items"]], [RARE])
        self.assertIsNone(found["next"])
        self.assertIn(f"(none so far: go on with --before {BUILDS - LOOKED_AT + 1})",
                      self.server.command_line("build", "list", "--name", "needle").stdout)

    def test_what_takes_long_is_not_live(self):
        for asked, is_live in (("state=succeeded", True), ("name=straw", False)):
            page = self.client.text(f"/builds?{asked}")
            self.assertTrue(ids_of(page), asked)
            self.assertEqual("data-live" in page.partition("<main")[2], is_live, asked)

    def test_a_place_outlasts_its_build(self):
        """A list by time goes on although its last build was restarted."""
        page = self.client.text("/builds?sort=-took&limit=4")
        self.assertEqual(ids_of(page), [10, 9, 8, 7])
        self.server.sql("UPDATE attempt SET finished_at = NULL, state = 0 WHERE build_id = 7;")
        try:
            self.assertEqual(ids_of(self.client.text(link(page, 'rel="next"'))), [6, 5, 4, 3])
        finally:
            self.server.sql("""UPDATE attempt SET state = 2,
                               finished_at = created_at + interval '7 seconds' WHERE build_id = 7;""")
        for cursor in ("7", "x/7", "7/x", "/"):
            self.assertEqual(self.client.request("GET", f"/builds?sort=-took&before={cursor}").status,
                             400, cursor)

    def newest(self, specification: int) -> int:
        """The newest evaluation of a specification."""
        return 1 + sum(count for number, count in EVALUATIONS.items() if number <= specification)

    def test_how_long_it_has_failed(self):
        """Failed evaluations have no jobs: they neither count nor hide that there are older ones."""
        for build, since, is_longer in ((FAILING, self.newest(2) - 500, True),
                                        (NEWCOMER, self.newest(2) - 6, False),
                                        (TRIED, self.newest(2) + 1, False)):
            history = self.client.api("GET", f"/builds/{build}/history")
            self.assertEqual((history["outcome"], history["since_evaluation"], history["perhaps_longer"]),
                             ("failed", since, is_longer), build)
            page = " ".join(self.client.text(f"/builds/{build}").split())
            self.assertIn(f">evaluation {since}</a>{' or longer' if is_longer else ','}", page)

    def test_what_is_built_again_has_failed(self):
        """Until it has ended: the restart changes what it is, not what it was."""
        self.server.sql(f"UPDATE build SET state = 0, finished_at = NULL WHERE id = {TRIED};")
        try:
            history = self.client.api("GET", f"/builds/{TRIED}/history")
            self.assertEqual((history["outcome"], history["since_evaluation"]),
                             ("failed", self.newest(2) + 1))
            page = " ".join(self.client.text(f"/builds/{TRIED}").split())
            self.assertIn("is being built again; it failed since <a", page)
        finally:
            self.server.sql(f"UPDATE build SET state = 3, finished_at = now() WHERE id = {TRIED};")

    def test_an_old_log(self):
        """A log is there however many attempts came after, which never began."""
        for path in (f"/builds/{TRIED}/log?attempt=20000", f"/builds/{TRIED}/log"):
            page = self.client.text(path)
            self.assertIn("The builder printed nothing.", page, path)
            self.assertIn(f'href="/api/panoply/v1/builds/{TRIED}/log?attempt=20000"', page, path)
        self.assertEqual(self.client.request("GET", f"/builds/{TRIED}/log?attempt=8000").status, 404)

    def test_search_among_what_is_no_more(self):
        jobs = self.client.api("GET", "/search?q=old-")["jobs"]
        self.assertEqual([it["name"] for it in jobs], ["very-old-but-there.x86_64-linux"])
        commits = self.client.api("GET", "/search?q=lighthouse")["commits"]
        self.assertEqual([(it["subject"], it["evaluation"]) for it in commits],
                         [("Paint the lighthouse", self.newest(2)), ("Add a lighthouse", None)])

    def test_against_one_that_failed(self):
        """It has no jobs: all would be new."""
        newest, failed = self.newest(2), self.newest(2) - EVALUATIONS[2] + FAILED
        answer = self.client.request("GET", f"{API}/evaluations/{newest}/changes?against={failed}")
        self.assertEqual(answer.status, 404)
        self.assertIn("that succeeded", answer.body.decode())
        answer = self.client.request("GET", f"/evaluations/{newest}?against={failed}")
        self.assertEqual(answer.status, 400)
        self.assertIn(f"no other evaluation {failed} of specification often that succeeded",
                      answer.body.decode())

    def test_what_an_agent_did(self):
        page = self.client.text("/agents/anvil")
        failed, built = page.partition("Failed last")[2].split("Built last")
        self.assertEqual(ids_of(failed), [9, 7, 5, 3, 1])
        self.assertEqual(ids_of(built), list(range(10, 0, -1)))
        self.assertIn('data-live-agent="anvil"', page)
