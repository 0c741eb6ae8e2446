# SPDX-License-Identifier: GPL-3.0-or-later
"""The pages of builds and logs: what they tell, and what can be done with them."""

import base64
import hashlib
import html
import re
import time
import xml.etree.ElementTree

from support.case import Case
from support.farm import Farm
from support.panoply import Client
from support.visitor import Visitor, without_tags
from support.waiting import TIME_FACTOR, wait_until

SVG = "{http://www.w3.org/2000/svg}"
SCRIPT = "<script>alert(1)</script>"
LOUD = f"""\
printf '\\033[1;32mgreen\\033[0m \\033]0;title\\007and {SCRIPT}\\n'
echo "starting phase \\`unpack'"
echo "phase \\`unpack' succeeded after 0.3 seconds"
echo "starting phase \\`build'"
i=0; while [ $i -lt 5000 ]; do echo "line $i"; i=$((i+1)); done
head -c 10000 /dev/zero | tr '\\0' x; echo
echo 'x.c:1:2: error: \033[31mthe first one'
echo "phase \\`build' failed after 12.5 seconds"
exit 1
"""
HUGE_LINES = 1200000
HUGE = f"""\
i=0; while [ $i -lt 1000 ]; do echo "$i: a line that stands in a log of very many lines, and says very little else, as so many do"; i=$((i+1)); done >part
i=0; while [ $i -lt {HUGE_LINES // 1000} ]; do cat part; i=$((i+1)); done
mkdir $out
"""


class BuildPages(Case):
    timeout = 240

    @classmethod
    def setUpClass(cls) -> None:
        cls.farm = Farm(jobs=2)
        cls.addClassCleanup(cls.farm.delete)
        channel = cls.farm.channel
        channel.add_package("loud", LOUD)
        channel.add_package("huge", HUGE)
        cls.first = cls.farm.evaluate()
        cls.builds = cls.farm.finish(cls.first, 180)
        channel.set_version("sounding-log", "0.4")
        channel.add_package("slow", "i=0; while true; do echo tick $i; sleep 0.05; i=$((i+1)); done\n")
        channel.add_package("waiter", "mkdir $out\n", inputs="slow", modules="(example packages slow)")
        channel.add_package("chain-1", "mkdir $out\n")
        for number in range(2, 7):
            channel.add_package(f"chain-{number}", "mkdir $out\n", inputs=f"chain-{number - 1}",
                                modules=f"(example packages chain-{number - 1})")
        cls.second = cls.farm.push("the second")
        cls.newer = cls.farm.builds(cls.second)
        cls.farm.wait_for_build(cls.newer["slow"]["id"], "running")

    def setUp(self) -> None:
        super().setUp()
        self.farm.watch(self)
        self.visitor = Visitor(self.farm.server.url)

    def path(self, name: str) -> str:
        return f"/builds/{self.newer[name]['id']}"

    # ---- one build ----

    def test_what_a_page_tells(self):
        failed = without_tags(self.visitor.page(self.path("sextant")))
        self.assertIn("The builder failed.", failed)
        self.assertIn(f"sextant.x86_64-linux fails since evaluation {self.first['id']}", failed)
        self.assertIn("not offered", failed)
        good = self.visitor.page(self.path("almanac"))
        text = without_tags(good)
        self.assertIn(f"guix build {self.newer['almanac']['derivation']}", text)
        self.assertIn("guix time-machine -C channels.scm -- build --system=x86_64-linux almanac@2026.1",
                      text)
        self.assertIn(f'(url "{self.farm.channel.url}")', text)
        self.assertIn(self.second["revisions"][0]["commit"], text)
        narinfo = re.search(r'href="(/[0-9a-z]{32}\.narinfo)"', good).group(1)
        self.assertIn("StorePath: ", self.farm.client.text(narinfo))
        self.assertIn(f'href="{self.path("moon-phases")}"', good)

    def test_history(self):
        page = self.visitor.page(self.path("sounding-log"))
        strip = re.search(r'<ol class="strip">(.*?)</ol>', page, re.S).group(1)
        self.assertEqual(re.findall(r'href="/builds/(\d+)"', strip),
                         [str(self.builds["sounding-log"]["id"]), str(self.newer["sounding-log"]["id"])])
        self.assertEqual(strip.count('aria-current="page"'), 1)

    def test_why_it_waits(self):
        waiter = without_tags(self.visitor.page(self.path("waiter")))
        waiter = " ".join(waiter.split())
        self.assertIn("It waits for 1 other build: slow-1.0 (running).", waiter)
        self.assertIn("In the end, slow-1.0 is being built by builder-1.", waiter)
        slow = without_tags(self.visitor.page(self.path("slow")))
        self.assertIn("builder-1 builds it", slow)
        needs_sextant = next(it for it in self.newer.values() if it["state"] == "dependency-failed")
        self.assertIn("It needs sextant-1.0, which failed",
                      without_tags(self.visitor.page(f"/builds/{needs_sextant['id']}")))

    def test_why_it_waits_to_the_root(self):
        """What nobody builds for is named, however far down the line it is."""
        boats = self.farm.builds(self.farm.evaluate(name="boats", systems=["aarch64-linux"]))
        for name in ("tide-calendar", "libtide"):
            for address in (f"/builds/{boats[name]['id']}", f"/builds/{boats[name]['id']}/log"):
                text = " ".join(without_tags(self.visitor.page(address)).split())
                self.assertIn("waits for an agent for aarch64-linux, and there is none.", text, address)
        self.assertIn("It waits for", " ".join(without_tags(
            self.visitor.page(f"/builds/{boats['tide-calendar']['id']}")).split()))

    # ---- the list ----

    def test_filters_and_pages(self):
        page = self.visitor.page("/builds?state=failed&name=sex&system=x86_64-linux")
        self.assertEqual(set(re.findall(r'<td data-label="Name"><a href="(/builds/\d+)">', page)),
                         {self.path("sextant")})
        self.assertIn('value="sex"', page)
        self.assertRegex(page, r"<option selected>x86_64-linux")
        self.assertRegex(page, r'href="/builds\?name=sex&amp;system=x86_64-linux&amp;state=running"')
        self.assertIn("No build is like this", self.visitor.page("/builds?name=nothing-is-called-so"))
        ids = [it["id"] for it in self.farm.client.api("GET", "/builds?limit=1000")["items"]]
        path, seen = "/builds?limit=7", []
        while path:
            page = self.visitor.page(path + "&limit=7")
            seen.append([int(it) for it in re.findall(r'"Name"><a href="/builds/(\d+)"', page)])
            older = re.search(r'rel="next" href="([^"]*)"', page)
            path = older and html.unescape(older.group(1))
        self.assertEqual(sum(seen, []), ids)
        back = re.search(r'rel="prev" href="([^"]*)"', page)
        page = self.visitor.page(html.unescape(back.group(1)) + "&limit=7")
        here = [it for it in seen if it][-2]
        self.assertEqual([int(it) for it in re.findall(r'"Name"><a href="/builds/(\d+)"', page)], here)

    # ---- actions ----

    def test_actions_are_for_who_is_signed_in(self):
        self.assertEqual(self.visitor.forms(self.path("sextant")), {})
        for action in ("restart", "cancel"):
            answer = self.visitor.request("POST", f"{self.path('sextant')}/{action}", {})
            self.assertIn(answer.status, (401, 403), action)
        self.visitor.sign_in(self.farm.server.token())
        for csrf in ({}, {"csrf": "x" * 64}):
            answer = self.visitor.request("POST", f"{self.path('sextant')}/restart", csrf)
            self.assertEqual(answer.status, 403)
        self.assertEqual(self.farm.build(self.newer["sextant"]["id"])["state"], "failed")

    def test_restart(self):
        self.visitor.sign_in(self.farm.server.token())
        self.assertEqual(set(self.visitor.forms(self.path("sextant"))) - {"Sign out"},
                         {"Restart", "Restart with dependents"})
        before = len(self.farm.build(self.newer["sextant"]["id"])["attempts"])
        page = self.visitor.press(self.path("sextant"), "Restart")
        self.assertIn("was restarted", page)
        self.farm.wait_for_build(self.newer["sextant"]["id"], lambda it:
                                 len(it["attempts"]) == before + 1 and it["state"] == "failed")
        page = self.visitor.press(self.path("sextant"), "Restart with dependents")
        self.assertIn("and so was what failed with it", page)
        self.farm.wait_for_build(self.newer["sextant"]["id"], lambda it:
                                 len(it["attempts"]) == before + 2 and it["state"] == "failed")

    def test_zz_cancel(self):
        """Last, since the others want it to run."""
        self.visitor.sign_in(self.farm.server.token())
        self.assertIn(f'href="{self.path("slow")}/cancel"', self.visitor.page(self.path("slow")))
        question = without_tags(self.visitor.page(f"{self.path('slow')}/cancel"))
        self.assertIn("Cancel slow-1.0?", question)
        self.assertIn("One more build waits for it", question)
        page = self.visitor.press(f"{self.path('slow')}/cancel", "Cancel it")
        self.assertIn("is cancelled", page)
        self.farm.wait_for_build(self.newer["slow"]["id"], "cancelled")
        self.farm.wait_for_build(self.newer["waiter"]["id"], "cancelled")
        answer = self.visitor.request("GET", f"{self.path('slow')}/cancel")
        self.assertEqual(answer.status, 409)

    # ---- agents ----

    def test_paused_is_not_seen(self):
        """Away and paused are two facts, and neither pausing nor resuming is a sign of life."""
        joining = Client(self.farm.server.url, self.farm.server.join_token_file().read_text().strip())
        joining.json("POST", "/agent/v1/enrol",
                     {"name": "ghost", "systems": ["riscv64-linux"], "jobs": 1, "facts": {"memory": 25276502016}})
        for word in ("pause", "resume", "pause"):
            self.farm.client.api("POST", f"/agents/ghost/{word}")
        self.assertIsNone(self.farm.client.api("GET", "/agents/ghost")["seen_at"])
        page = self.visitor.page("/agents/ghost")
        self.assertEqual(re.findall(r'state badge" data-state="([^"]*)"', page), ["away", "paused"])
        self.assertIn("<dt>Seen</dt><dd>never</dd>", page)
        self.assertIn("<dt>memory</dt><dd>24 GiB</dd>", page)

    def test_day_of_an_agent(self):
        page = self.visitor.page("/agents/builder-1")
        for word in ("24 hours ago", "2 places", "of work in all", "By the hour"):
            self.assertIn(word, page)
        hours = re.search(r'<details id="hours">.*?</details>', page, re.S).group()
        self.assertRegex(hours, r'data-label="Work" class="number">[\d.]+ ')

    # ---- the picture ----

    def picture(self, path: str):
        answer = self.visitor.request("GET", f"{path}/graph.svg")
        self.assertEqual(answer.status, 200, answer.body[:300])
        self.assertEqual(answer.headers["Content-Type"], "image/svg+xml")
        return answer, xml.etree.ElementTree.fromstring(answer.body)

    def nodes(self, picture) -> dict[str, str]:
        """Addresses, by what nodes are called."""
        return {text.text: link.get("href") for link in picture.iter(SVG + "a")
                for text in link.iter(SVG + "text")}

    def test_picture(self):
        answer, picture = self.picture(self.path("almanac"))
        nodes = self.nodes(picture)
        self.assertEqual(nodes["libtide-1.4.2"], self.path("libtide"))
        self.assertEqual(nodes["navigator-4.8"], self.path("navigator"))
        self.assertNotIn("sextant-1.0", nodes)
        self.assertEqual(len(picture.findall(f".//{SVG}a")), len(nodes))
        style = re.search(rb"<style>(.*?)</style>", answer.body, re.S).group(1)
        policy = answer.headers["Content-Security-Policy"]
        self.assertIn(base64.b64encode(hashlib.sha256(style).digest()).decode(), policy)
        self.assertIn("default-src 'none'", policy)
        again = self.farm.client.request("GET", f"{self.path('almanac')}/graph.svg",
                                         headers={"If-None-Match": answer.headers["ETag"]})
        self.assertEqual((again.status, again.body), (304, b""))
        self.assertIn(f'data-drawing="{self.path("almanac")}/graph.svg"',
                      self.visitor.page(self.path("almanac")))
        for path in ("/builds/99999/graph.svg", "/builds/x/graph.svg"):
            self.assertEqual(self.visitor.request("GET", path).status, 404, path)

    def test_picture_tells_of_others_where_there_are_some(self):
        """It goes four steps: the chain's fifth ends there, the sixth goes on."""
        for number, others in ((5, []), (6, ["and others"])):
            _, picture = self.picture(self.path(f"chain-{number}"))
            texts = [text.text for text in picture.iter(SVG + "text")]
            self.assertEqual([text for text in texts if text.startswith("and ")], others, number)
            self.assertIn(f"chain-{number - 4}-1.0", texts)
        text = without_tags(self.visitor.page(f"{self.path('chain-6')}/needs"))
        self.assertIn("There is more than was looked at: 4 steps, and 5,000 builds.", text)
        self.assertIn("Needs at least 4", text)
        page = self.visitor.page(f"{self.path('chain-5')}/needs")
        self.assertNotIn("There is more than was looked at", page)
        self.assertIn("Needs 4<", page)
        self.assertIn("<title>What chain-5-1.0 needs –", page)
        self.assertEqual(re.findall(r'"Build"><a href="/builds/\d+">([^<]*)<', page),
                         [f"chain-{number}-1.0" for number in (4, 3, 2, 1)])
        page = self.visitor.page(f"{self.path('chain-5')}/needs?part=needed-by")
        self.assertIn("<title>What needs chain-5-1.0 –", page)

    def test_zzz_picture_of_a_crowd(self):
        """Of many, those that are not built come first, and the rest is one node."""
        self.farm.client.api("POST", "/agents/builder-1/pause")
        self.addCleanup(self.farm.client.api, "POST", "/agents/builder-1/resume")
        packages = "".join(
            f"(define-public crowd-{i} (package (inherit moon-phases) (name \"crowd-{i}\")"
            f" (inputs (list libtide))))\n" for i in range(400))
        self.farm.channel.write("example/packages/crowd.scm", f"""\
(define-module (example packages crowd)
  #:use-module (example packages almanac)
  #:use-module (guix packages))
{packages}""")
        builds = self.farm.builds(self.farm.push("a crowd"))
        path = f"/builds/{builds['libtide']['id']}"
        start = time.monotonic()
        _, picture = self.picture(path)
        self.assertLess(time.monotonic() - start, 8 * TIME_FACTOR)
        nodes = self.nodes(picture)
        self.assertEqual(len(nodes), 300)
        self.assertGreater(len([name for name in nodes if name.startswith("crowd-")]), 290)
        texts = [text.text for text in picture.iter(SVG + "text")]
        rest = [int(re.search(r"\d+", text).group()) for text in texts if text.startswith("and ")]
        self.assertEqual(len(rest), 1)
        self.assertGreaterEqual(rest[0] + len(nodes), 400)
        page = self.visitor.page(path)
        self.assertLess(len(page), 150000)
        self.check_list(path, 400)

    def check_list(self, path: str, users: int) -> None:
        """The list of what needs a build has all of it, what is not built first."""
        found, address = [], f"{path}/needs?part=needed-by"
        while address:
            page = self.visitor.page(address)
            self.assertLess(len(page), 150000)
            found += re.findall(r'<td data-label="Build"><a href="(/builds/\d+)">([^<]*)</a></td>\s*'
                                r'<td data-label="State"><span[^>]*data-state="([^"]*)"', page)
            more = re.search(r'rel="next" href="([^"]*)"', page)
            address = more and html.unescape(more.group(1))
        self.assertEqual(len(found), len(set(found)))
        names = [name for _, name, _ in found]
        self.assertEqual(len([name for name in names if name.startswith("crowd-")]), users)
        direct = [state for _, name, state in found[:users]]
        self.assertEqual(direct, sorted(direct, key="waiting succeeded".split().index))
        self.assertEqual(self.visitor.request("GET", f"{path}/needs?sort=odd").status, 400)
        self.assertEqual(self.visitor.request("GET", "/builds/99999/needs").status, 404)

    # ---- logs ----

    def log(self, name: str, query: str = "") -> str:
        return self.visitor.page(f"{self.path(name)}/log?{query}")

    def lines(self, page: str) -> dict[int, str]:
        """What the lines say, by number."""
        found = re.findall(r'<span id="L(\d+)"[^>]*><a [^>]*>\d+</a> (.*?)\n</span>(?=<span id|</pre>)',
                           page, re.S)
        return {int(number): text for number, text in found}

    def test_colours_and_harm(self):
        lines = self.lines(self.log("loud", "from=1"))
        self.assertEqual(lines[1], '<span class="c2 bold">green</span> and '
                                   "&lt;script&gt;alert(1)&lt;/script&gt;")
        end = self.log("loud")
        self.assertNotIn("\x1b", end)
        self.assertNotIn(SCRIPT, end)
        self.assertIn("x" * 10000, end)

    def test_phases_and_first_error(self):
        page = self.log("loud")
        phases = re.search(r'<ol class="chips phases">(.*?)</ol>', page, re.S).group(1)
        self.assertEqual([" ".join(it.split()) for it in without_tags(phases).strip().split("\n") if it],
                         ["unpack 0.3 s", "build 12 s"])
        error = re.search(r'href="[^"]*line=(\d+)#L\d+">line', page).group(1)
        self.assertIn("the first one", self.lines(self.log("loud", f"line={error}"))[int(error)])

    def folds(self, query: str) -> list[tuple[str, str, list[int]]]:
        """Of the log of `loud`: each fold's state, what its head says, and its lines."""
        found = re.findall(r'<details class="phase"( open)?><summary>(.*?)</summary>(.*?)</details>',
                           self.log("loud", query), re.S)
        return [("open" if is_open else "closed", " ".join(without_tags(head).split()),
                 sorted(self.lines(body))) for is_open, head, body in found]

    def test_phases_fold(self):
        (state, head, lines), (later_state, _, later) = self.folds("from=1")
        self.assertEqual((state, head), ("closed", f"unpack 0.3 s, {len(lines)} lines"))
        self.assertEqual((later_state, later[0]), ("open", lines[-1] + 1))  # it failed
        self.assertEqual(self.folds("from=1&unfold=yes")[0][0], "open")
        self.assertEqual(self.folds(f"line={lines[0]}")[0][0], "open")
        self.assertTrue(all("continued" in head for _, head, _ in self.folds(f"from={later[5]}")))

    def test_windows_join(self):
        seen, path = {}, f"{self.path('loud')}/log?from=1"
        while path:
            page = self.visitor.page(path)
            lines = self.lines(page)
            self.assertFalse(set(seen) & set(lines))
            seen |= lines
            later = re.search(r'rel="next" href="([^"]*)"', page)
            path = later and html.unescape(later.group(1))
        raw = self.farm.log(self.newer["loud"]["id"]).split("\n")[:-1]
        self.assertEqual(sorted(seen), list(range(1, len(raw) + 1)))
        self.assertEqual([seen[5 + i] for i in range(5000)], [f"line {i}" for i in range(5000)])

    def test_marks_without_script(self):
        page = self.log("loud", "line=100-102")
        self.assertEqual(re.findall(r'<span id="L(\d+)" class="marked"', page), ["100", "101", "102"])
        for query in ("line=x", "line=0", "line=5-2", "from=-1", "line=99999999999999999999"):
            answer = self.visitor.request("GET", f"{self.path('loud')}/log?{query}")
            self.assertEqual(answer.status, 400, query)
            if query.startswith("line="):  # told beside the field, on the page itself
                page = answer.body.decode()
                field = re.search(r'<input name="line"[^>]*>', page)[0]
                self.assertIn('aria-invalid="true"', field)
                self.assertIn(f'value="{query.removeprefix("line=")}"', field)
                self.assertIn("must be the number of a line", page)
                self.assertTrue(self.lines(page))
        self.assertTrue(self.lines(self.log("loud", "line=999999999")))
        for path in ("/builds/1/log?attempt=999999", "/builds/999999/log"):
            self.assertEqual(self.visitor.request("GET", path).status, 404, path)

    def test_before_the_log(self):
        page = self.log("waiter")
        self.assertIn("It waits for 1 other build", " ".join(without_tags(page).split()))
        self.assertIn("as soon as an agent begins", page)
        self.assertNotIn("<pre", page)

    def test_numbers_lead_to_lines_of_this_attempt(self):
        attempt = self.farm.build(self.newer["loud"]["id"])["attempts"][0]["id"]
        address = html.unescape(re.search(r'<span id="L7"[^>]*><a href="([^"]*)"', self.log("loud", "from=1")).group(1))
        self.assertEqual(address, f"{self.path('loud')}/log?attempt={attempt}&line=7#L7")
        self.assertIn(7, self.lines(self.visitor.page(address.split("#")[0])))

    def test_huge(self):
        """More than a million lines, of more than 100 MB."""
        self.farm.wait_for_build(self.newer["huge"]["id"],
                                 lambda it: it["attempts"][0]["log_size"] > 100000000)
        for query, line in (("line=1000000", 1000000), ("from=600000", 600000), ("from=0", HUGE_LINES)):
            start = time.monotonic()
            page = self.log("huge", query)
            took = time.monotonic() - start
            self.assertIn(f"{(line - 1) % 1000}: a line that stands", self.lines(page)[line])
            self.assertLess(len(page), 1 << 20)
            self.assertLess(took, 2 * TIME_FACTOR, query)

    def test_live(self):
        """What runs is shown from its end, and says from where it goes on."""
        wait_until(lambda: 10 in self.lines(self.log("slow")), 60, "ten lines")
        page = self.log("slow")
        pre = re.search(r"<pre [^>]*>", page).group()
        line = int(re.search(r'data-line="(\d+)"', pre).group(1))
        start = int(re.search(r'data-from="(\d+)"', pre).group(1))
        address = html.unescape(re.search(r'data-log="([^"]*)"', pre).group(1))
        status, lines, connection = self.farm.client.stream("GET", f"{address}&from={start}")
        self.addCleanup(connection.close)
        self.assertEqual(status, 200)
        self.assertEqual(next(lines).decode(), f"tick {line - 1}\n")
        shown = self.lines(page)
        self.assertEqual(shown[min(shown)], f"tick {min(shown) - 1}")
