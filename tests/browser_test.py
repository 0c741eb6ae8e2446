# SPDX-License-Identifier: GPL-3.0-or-later
"""What people see: the pages in Chromium and w3m, driven by the scripts of tests/browser, on one
farm that has built what means harm."""

import json
import os
import shutil
import subprocess

from support.case import Case
from support.farm import Farm
from support.panoply import Client
from support.programs import BUILD, TOP
from support.waiting import TIME_FACTOR, wait_until

SCRIPTS = TOP / "tests" / "browser"
CHROMIUM = os.environ.get("PANOPLY_CHROMIUM", "/usr/bin/chromium")
SCRIPT = "<script>alert(1)</script>\"'&<b>"
BACKWARDS = "\u202edrawkcab"
HOSTILE = f"{SCRIPT} \x1b[31mred{BACKWARDS} {'x' * 10000}"
# Prints its lines with the time at which it does, in seconds and microseconds, and then some harm,
# in two phases, of which one ends with a line that comes in pieces.
TICKING = """\
echo "before all phases"
echo "starting phase \\`build'"
for number in $(seq 1 50); do
  set -- $(adjtimex | grep time.tv)
  echo "tick $number at $2 $4"
  printf '\\033[31m<b>\\342\\200\\256drawkcab\\n'
  sleep 0.2
done
echo "phase \\`build' succeeded after 10.0 seconds"
echo "starting phase \\`install'"
printf '10%%\\r20%%\\r100%%\\n\\033[1;38;5;240mgrey '
sleep 1
printf 'and \\033[7;32mgreen\\n\\033[0mplain\\n'
echo "phase \\`install' succeeded after 1.0 seconds"
mkdir $out
"""
# Prints line after line, half of them when the test says so, and fails.
LONG_TICKING = """\
for number in $(seq 0 59); do
  [ $number != 30 ] || until [ -e $NIX_BUILD_TOP/go-on ]; do sleep 0.1; done
  echo "tick $number"
  sleep 0.25
done
exit 1
"""


def scheme_text(text: str) -> str:
    """TEXT as a Scheme expression."""
    quoted = text.replace("\\", "\\\\").replace('"', '\\"').replace("\x1b", "\\x1b;")
    return f'"{quoted}"'


def add_harm(channel) -> None:
    """A package whose build prints it, one whose error tells it, and a commit that says it."""
    channel.add_package("hostile", f"cat <<'END'\n{HOSTILE}\nEND\nexit 1\n")
    for text in ('(synopsis "Added by a test")', '(description "Added by a test.")'):
        member = text.split()[0]
        channel.replace("example/packages/hostile.scm", text, f"{member} {scheme_text(HOSTILE)})")
    channel.add_package("unspeakable", "mkdir $out\n")
    channel.replace("example/packages/unspeakable.scm", "(inputs (list ))",
                    f"(inputs (list (error {scheme_text(HOSTILE)})))")
    channel.commit(f"{SCRIPT} \x1b[31mred{BACKWARDS} {'long ' * 500}{'x' * 2000}")


def enrol_hostile_agent(server) -> str:
    """An agent that says of itself what no machine is; returns its name."""
    joining = Client(server.url, server.join_token_file().read_text().strip())
    joining.json("POST", "/agent/v1/enrol", {
        "name": "hostile", "systems": ["x86_64-linux"], "jobs": 1,
        "facts": {"host": HOSTILE, SCRIPT: {"deep": [HOSTILE[:100]]}}})
    return "hostile"


class Driven(Case):
    """A farm, and scripts that look at it."""

    @classmethod
    def configure(cls, **facts: object) -> None:
        if not (TOP / "node_modules").exists() or not os.access(CHROMIUM, os.X_OK):
            raise RuntimeError("no browser, or nothing to drive it with: run tools/deps")
        cls.config = cls.farm.server.folder / "farm.json"
        cls.config.write_text(json.dumps({
            "base": cls.farm.server.url, "token": cls.farm.server.token(), "chromium": CHROMIUM,
            "time_factor": TIME_FACTOR, **facts}))

    def setUp(self) -> None:
        super().setUp()
        self.farm.watch(self)

    def drive(self, script: str, *arguments: object, **actions) -> None:
        """Runs a SCRIPT of tests/browser, which may ask for ACTIONS while it runs, and fails with
        what it has found."""
        process = subprocess.Popen(["node", SCRIPTS / script, self.config, *map(str, arguments)],
                                   stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                   stderr=subprocess.STDOUT, text=True, cwd=TOP)
        self.addCleanup(process.kill)
        printed = []
        with process:
            for line in process.stdout:
                word, _, action = line.strip().partition(" ")
                if word != "ask":
                    printed.append(line)
                    continue
                process.stdin.write(json.dumps(actions[action]()) + "\n")
                process.stdin.flush()
        self.assertEqual(process.returncode, 0, "".join(printed))


class OfBrowser(Driven):
    """On one farm for all tests."""

    timeout = 300

    @classmethod
    def setUpClass(cls) -> None:
        cls.farm = Farm(jobs=4)
        cls.addClassCleanup(cls.farm.delete)
        add_harm(cls.farm.channel)
        hostile_agent = enrol_hostile_agent(cls.farm.server)
        evaluation = cls.farm.evaluate()
        lost = cls.add_lost_specification()
        waiting = cls.farm.evaluate(name="boats", systems=["aarch64-linux"])
        builds = cls.farm.finish(evaluation)
        cls.configure(
            evaluation=evaluation["id"], agent=cls.farm.builders[0].name,
            hostile_agent=hostile_agent, lost=lost, boats=waiting["id"],
            join_token=cls.farm.client.api("GET", "/agents/tokens")["items"][0]["id"],
            waiting_build=cls.farm.builds(waiting)["tide-calendar"]["id"],
            builds={name: build["id"] for name, build in builds.items()})

    @classmethod
    def add_lost_specification(cls) -> str:
        """One whose channel is not there; returns its name."""
        specification = cls.farm.channel.specification(
            "lost", channels=[{"name": "example", "url": "file:///nowhere"}])
        cls.farm.server.add_specification(specification)
        cls.farm.server.wait_for("/specifications/lost", lambda value: value["failure"])
        return specification["name"]


class Browser(OfBrowser):

    # ---- every page ----

    def test_complete(self) -> None:
        self.drive("complete.mjs")

    def test_layout(self) -> None:
        self.drive("layout.mjs")

    def test_accessibility(self) -> None:
        self.drive("accessibility.mjs")

    def test_markup(self) -> None:
        self.drive("markup.mjs")

    def test_keyboard(self) -> None:
        self.drive("keyboard.mjs")

    def test_forms(self) -> None:
        self.drive("forms.mjs")

    def test_hostile(self) -> None:
        self.drive("hostile.mjs")

    def test_matrix(self) -> None:
        self.drive("matrix.mjs")

    def test_pieces(self) -> None:
        self.drive("pieces.mjs")

    def test_text(self) -> None:
        self.drive("text.mjs")

    # ---- what happens while a page is open ----

    def start_ticking(self) -> int:
        """The id of a build that runs and prints line after line."""
        self.farm.channel.add_package("ticking", TICKING)
        build = self.farm.builds(self.farm.push())["ticking"]
        self.farm.wait_for_build(build["id"], "running")
        return build["id"]

    def pause(self, word: str = "pause") -> None:
        self.farm.client.api("POST", f"/agents/{self.farm.builders[0].name}/{word}")

    def test_live(self) -> None:
        self.drive("live.mjs", start_ticking=self.start_ticking)

    def test_connection(self) -> None:
        self.drive("connection.mjs", stop=self.farm.server.stop, start=self.farm.server.start,
                   pause=self.pause, resume=lambda: self.pause("resume"))


class Follows(Driven):
    """What open pages show of a build whose agent is lost, and of what is deleted."""

    timeout = 300

    @classmethod
    def setUpClass(cls) -> None:
        cls.farm = Farm("--agent-grace", 6, agents=2, jobs=4)
        cls.addClassCleanup(cls.farm.delete)
        cls.farm.finish(cls.farm.evaluate())
        cls.configure()

    def set_paused(self, name: str, word: str) -> None:
        self.farm.client.api("POST", f"/agents/{name}/{word}")

    def prepare(self) -> int:
        """A build that waits, since all agents are paused."""
        for agent in self.farm.builders:
            self.set_paused(agent.name, "pause")
        self.farm.channel.add_package("ticker", LONG_TICKING)
        self.ticker = self.farm.builds(self.farm.push("It ticks"))["ticker"]["id"]
        return self.ticker

    def resume(self) -> None:
        for agent in self.farm.builders:
            self.set_paused(agent.name, "resume")

    def builds_it(self) -> str:
        return self.farm.build(self.ticker)["attempts"][0]["agent"]

    def go_on(self) -> None:
        """Has the ticker go on where it waits."""
        self.farm.wait_for_build(self.ticker, "running")
        wait_until(lambda: "tick 0" in self.farm.log(self.ticker), 60, "it ticks")
        machine = next(it for it in self.farm.builders if it.name == self.builds_it())
        for folder in machine.outside("/tmp").glob("guix-build-ticker-1.0.drv-*/top"):
            (folder / "go-on").touch()

    def kill(self) -> str:
        """The agent that builds it."""
        name = self.builds_it()
        self.killed = next(it for it in self.farm.agents if it.name == f"agent {name}")
        self.killed.kill()
        return name

    def evaluate_slowly(self) -> list[int]:
        """Two evaluations that end when they are cancelled: one that runs, one that waits for it."""
        self.farm.channel.write("example/packages/slow.scm",
                                "(define-module (example packages slow))\n(sleep 1000)\n")
        self.farm.channel.commit("Takes a while")
        self.farm.server.add_specification(self.farm.channel.specification("second", period=0))
        return [self.begin_evaluation("example", "running"), self.begin_evaluation("second", "waiting")]

    def begin_evaluation(self, specification: str, state: str) -> int:
        before = self.newest_evaluation(specification)
        self.farm.server.command_line("spec", "evaluate", specification)
        number = wait_until(lambda: self.newest_evaluation(specification) != before
                            and self.newest_evaluation(specification), 60, "it is evaluated")
        self.farm.server.wait_for(f"/evaluations/{number}", lambda it: it["state"] == state)
        return number

    def newest_evaluation(self, specification: str) -> int | None:
        newest = self.farm.client.api("GET", f"/specifications/{specification}")["newest_evaluation"]
        return newest and newest["id"]

    def cancel_first(self) -> None:
        self.farm.client.api("POST", f"/evaluations/{self.newest_evaluation('example')}/cancel")

    def cancel_second(self) -> None:
        self.farm.client.api("POST", f"/evaluations/{self.newest_evaluation('second')}/cancel")

    def delete(self) -> None:
        self.farm.client.api("DELETE", "/specifications/example")

    def test_follows(self) -> None:
        self.drive("follows.mjs", prepare=self.prepare, resume=self.resume, kill=self.kill,
                   go_on=self.go_on, start=lambda: self.killed.start(), delete=self.delete,
                   evaluate_slowly=self.evaluate_slowly, cancel_first=self.cancel_first,
                   cancel_second=self.cancel_second,
                   pause_second=lambda: self.set_paused("builder-2", "pause"),
                   resume_second=lambda: self.set_paused("builder-2", "resume"))


class Thorough(OfBrowser):
    """What takes longer: `tests/run --slow browser`."""

    slow = True

    def test_accessibility_in_every_look(self) -> None:
        self.drive("accessibility.mjs", "all")

    def test_screenshots(self) -> None:
        folder = BUILD / "screenshots"
        shutil.rmtree(folder, ignore_errors=True)
        self.drive("screenshots.mjs", folder)
        self.assertGreater(len(list(folder.glob("*.png"))), 50)
