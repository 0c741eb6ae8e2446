# SPDX-License-Identifier: GPL-3.0-or-later
"""Lists, as pages show them: sorted and narrowed by their address, in parts; the queue in the order
of the scheduler; and what the search finds."""

import datetime
import html
import re

from support.case import Case
from support.farm import Farm
from support.panoply import API
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
