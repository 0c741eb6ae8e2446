# SPDX-License-Identifier: GPL-3.0-or-later
"""The commands of README.md and of the documents below doc/, run as they stand, by whom and where
the documents say. A block in `sh` is run, line by line; those of other languages hold no commands."""

import json
import os
import pathlib
import re
import shutil
import subprocess

from support.case import Case
from support.farm import ENDED, package_of
from support.hosts import STAND_INS, Host, Network
from support.panoply import executable
from support.programs import BUILD, TOP
from support.waiting import wait_until

README = TOP / "README.md"
SPECIFICATION = TOP / "doc/specification.md"
DOCUMENTS = (README, *sorted((TOP / "doc").glob("*.md")))
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
HEADING_OR_BLOCK = re.compile(r"^#+ ([^\n]*)$|^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LANGUAGES = {"sh", "text", "json", "scheme", "sql", "html", "meson"}
COMMAND = re.compile(r"^(?:sudo|export|panoply|make|guix|git|wget|curl|psql|pg_dump|systemctl|"
                     r"journalctl|apt-get|install|cp|echo|printf|\$) ", re.MULTILINE)
FILES_NAMED = re.compile(r"`([a-z-]+\.md)`")
PICTURES_NAMED = re.compile(r'(?:src|srcset)="([^"]+)"|!\[[^]]*\]\(([^)]+)\)')
PANOPLY_NAMED = re.compile(r"`panoply ([^`]+)`")
MAKE_NAMED = re.compile(r"`make ([a-z-]+)[^`]*`|^make ([a-z-]+)", re.MULTILINE)
# Run by tools/check, which cannot run itself.
RUN_ELSEWHERE = {"make demo", "make check"}
# What goes on, and what it prints when what comes next may begin.
ENDLESS = {"panoply serve": "listening on ", "panoply agent ": " works for ", "panoply events": "",
           "/events": ""}
# What may succeed without a word.
SILENT = re.compile(r"export|umask|sudo (install|useradd|chown|tar|systemctl|guix gc|-u)|psql|wget|"
                    r".* ssh |panoply evaluation log")


def commands(text: str) -> list[str]:
    """The lines of a block, those that end in a backslash with what follows."""
    return [line for line in text.replace("\\\n", " ").splitlines() if line]


def commands_of(document: pathlib.Path) -> list[tuple[str, str]]:
    """Of its blocks in `sh`, each with the heading that it stands under."""
    found, under = [], ""
    for heading, language, text in HEADING_OR_BLOCK.findall(document.read_text()):
        under = heading or under
        if language == "sh":
            found += [(under, line) for line in commands(text)]
    return found


class Documents(Case):
    """What can be said of them without a farm."""

    def test_files_that_are_named(self):
        for document in DOCUMENTS:
            for name in FILES_NAMED.findall(document.read_text()):
                self.assertTrue((TOP / "doc" / name).exists(), f"{document.name} names {name}")

    def test_pictures_that_are_named(self):
        named = {pathlib.Path(document.parent, *names).resolve() for document in DOCUMENTS
                 for names in PICTURES_NAMED.findall(document.read_text())}
        self.assertEqual(named, set((TOP / "doc/screenshots").glob("*.png")))

    def test_every_command_is_run(self):
        self.assertGreater(min(len(commands_of(it.document)) for it in (Using, Operating, Api)), 3)
        run = {line for document in (Using.document, Operating.document, Api.document)
               for _, line in commands_of(document)} | RUN_ELSEWHERE
        for document in DOCUMENTS:
            for heading, line in commands_of(document):
                self.assertIn(line, run, f"{document.name}, {heading}: no test runs it")

    def test_commands_are_in_blocks_that_are_run(self):
        for document in DOCUMENTS:
            text = document.read_text()
            for language, block in BLOCK.findall(text):
                self.assertIn(language, LANGUAGES, f"{document.name}: {block}")
                if language != "sh":
                    self.assertIsNone(COMMAND.search(block), f"{document.name}: {block}")
            outside = BLOCK.sub("", text)
            self.assertIsNone(re.search(r"^(    |\t)\S", outside, re.MULTILINE), document.name)

    def test_commands_that_are_named_exist(self):
        """Those in a sentence, such as `panoply queue`, and the examples of the manual pages."""
        named = {name for document in DOCUMENTS for name in PANOPLY_NAMED.findall(document.read_text())}
        for manual in BUILD.glob("src/cli/panoply*.1"):
            named |= {name for line in re.findall(r'^\.It Li "(.*)"$', manual.read_text(), re.M)
                      for name in re.findall(r"panoply ([^|>)]+)", line)}
        self.assertGreater(len(named), 30)
        for name in sorted(named):
            self.assert_is_command(name.split())

    def assert_is_command(self, words: list[str]) -> None:
        options = [word for word in words if word.startswith("--")]
        command = [word for word in words[:2] if re.fullmatch("[a-z]+", word)]
        helps = subprocess.run([executable(), *command[:1], "--help"], text=True, capture_output=True)
        self.assertEqual(helps.returncode, 0, words)
        if re.search(r"^Usage: panoply \w+ VERB", helps.stdout) and len(command) > 1:
            self.assertRegex(helps.stdout, rf"(?m)^  {command[1]}\b", words)
        for option in options:
            self.assertIn(option, helps.stdout + "--help", words)

    def test_targets_that_are_named_exist(self):
        makefile = (TOP / "Makefile").read_text()
        for document in DOCUMENTS:
            for name in MAKE_NAMED.findall(document.read_text()):
                self.assertRegex(makefile, rf"(?m)^{''.join(name)}:", document.name)
        self.assertIn('"tools" / "demo"', (TOP / "tools/check").read_text())


class OnHosts(Case):
    """The commands of a document, on machines with a network in which its names are theirs."""

    timeout = 240
    document: pathlib.Path
    home = "/root"
    # Where a command runs that does not on the first machine, by its heading or its beginning.
    places: dict[str, str] = {}
    # What a person types when a command asks, by its beginning.
    typed: dict[str, str] = {}

    def setUp(self) -> None:
        super().setUp()
        self.network = Network()
        self.addCleanup(self.network.stop)
        self.watch("nginx", self.network.nginx.log)
        self.hosts: dict[str, Host] = {}

    def host(self, name: str, account: str = "root", **options) -> Host:
        host = self.hosts[name] = Host(name, self.network, account, **options)
        self.addCleanup(host.delete)
        self.watch(f"guix-daemon of {name}", host.daemon_log)
        return host

    def user(self) -> Host:
        """Somebody who wants my-package, has what `guix pull` brings, and cannot build."""
        user = self.host("user", daemon_options=(
            "--max-jobs=0", "--substitute-urls=https://ci.guix.gnu.org"))
        user.mount(self.network.channel.folder, "/my-channel")
        user.environment["GUIX_PACKAGE_PATH"] = "/my-channel"
        return user

    def place(self, heading: str, line: str) -> Host:
        names = [name for beginning, name in self.places.items()
                 if heading == beginning or line.startswith(beginning)]
        return self.hosts[names[0]] if names else next(iter(self.hosts.values()))

    def run_line(self, heading: str, line: str) -> None:
        host = self.place(heading, line)
        endless = [says for words, says in ENDLESS.items() if words in line]
        if endless:
            program = host.begin(line)
            self.watch(line, program.log)
            if endless[0]:
                program.wait_for(endless[0], 60)
            return
        typed = [text for beginning, text in self.typed.items() if line.startswith(beginning)]
        done = host.do(line, given=typed[0] if typed else "")
        statuses = (0, 1) if line == "panoply doctor" else (0,)  # it may well want a look
        self.assertIn(done.returncode, statuses, f"{heading}: {line}\n{done.stdout}{done.stderr}")
        if not SILENT.match(line):
            self.assertTrue(done.stdout, f"{line} says nothing")

    def write_specification(self, host: Host) -> None:
        """That of the documents, which all have the same, as it stands."""
        [text] = {text for document in (README, Using.document)
                  for language, text in BLOCK.findall(document.read_text()) if language == "json"}
        host.outside(f"{self.home}/my-channel.json").write_text(text)

    def wait_for_builds(self, host: Host) -> dict[str, dict]:
        """Of the first evaluation, when all have ended: by package."""
        def ended() -> dict[str, dict]:
            done = host.do("panoply build list --limit 1000 --json")
            builds = {package_of(it): it for it in json.loads(done.stdout)["items"]}
            states = {name: it["state"] for name, it in builds.items()}
            assert builds and set(states.values()) <= ENDED, states
            return builds
        return wait_until(ended, 90, "all builds end", pause=0.5)


class Using(OnHosts):
    """doc/using.md, and then doc/api.md, as somebody who is not root."""

    document = TOP / "doc/using.md"
    home = "/home/ada"
    places = {"wget": "user", "guix build": "user"}

    def setUp(self) -> None:
        super().setUp()
        self.laptop = self.host("laptop", account="ada")
        self.laptop.add_panoply()
        self.user()
        self.write_specification(self.laptop)

    def test_every_command(self):
        under = ""
        for heading, line in commands_of(self.document) + commands_of(Api.document):
            if heading == "Trying again" != under:
                self.pause()  # so that what is restarted can be cancelled
            under = heading
            self.run_line(heading, self.with_number(line))
            if line.startswith("panoply spec add"):
                self.builds = self.wait_for_builds(self.laptop)
        for program in self.laptop.programs:
            self.assertTrue(program.is_running(), f"{program.name}\n{program.output()}")

        self.try_examples_of_specifications()

    def try_examples_of_specifications(self) -> None:
        examples = [text for language, text in BLOCK.findall(SPECIFICATION.read_text())
                    if language == "json"]
        self.assertEqual(len(examples), 3)
        for text in examples:
            name = json.loads(text)["name"]
            self.laptop.outside(f"{self.home}/example.json").write_text(text)
            verb = f"edit {name}" if name == "my-channel" else "add"
            done = self.laptop.do(f"panoply spec {verb} example.json --no-wait")
            self.assertEqual(done.returncode, 0, text + done.stderr)

    def pause(self) -> None:
        [agent] = json.loads(self.laptop.do("panoply agents list --json").stdout)["items"]
        self.laptop.do(f"panoply agents pause {agent['name']}")

    def with_number(self, line: str) -> str:
        """12 is the build that failed."""
        return re.sub(r" 12\b(?!\.)", lambda _: f" {self.builds['sextant']['id']}", line)


class Operating(OnHosts):
    """doc/operating.md, by root of several machines."""

    document = TOP / "doc/operating.md"
    places = {"echo 'OPTIONS=": "builder", "sudo systemctl enable --now panoply-agent": "builder",
              "Users": "user"}
    typed = {"sudo -u postgres createuser": "PASSWORD\nPASSWORD\n"}

    def setUp(self) -> None:
        super().setUp()
        self.ci = self.host("ci")
        self.builder = self.host("builder")
        self.ci.mount(self.builder.root, "/machines/builder")
        self.user()
        self.write_specification(self.ci)

    def test_every_command(self):
        done_under = set()
        for heading, line in commands_of(self.document):
            if heading not in done_under:
                self.before.get(heading, lambda _: None)(self)
            done_under.add(heading)
            if heading == "Install":
                self.install(line)
            else:
                self.run_line(heading, line)

    def install(self, line: str) -> None:
        """From this tree; the build machine gets a copy."""
        path = f"{STAND_INS}:{os.environ['PATH']}"
        done = subprocess.run(["bash", "-c", line], cwd=TOP, text=True, capture_output=True,
                              stdin=subprocess.DEVNULL, env={
                                  **os.environ, "PATH": path, "DESTDIR": str(self.ci.root),
                                  "BUILD": os.path.relpath(BUILD, TOP)})
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        subprocess.run(["cp", "-a", f"{self.ci.outside('/usr/local')}/.",
                        self.builder.outside("/usr/local")], check=True)
        for host in (self.ci, self.builder):
            host.add_libraries(host.outside("/usr/local/bin/panoply"))
        if shutil.which("systemd-analyze"):
            self.verify_units()

    def verify_units(self) -> None:
        units = sorted(self.ci.root.glob("usr/local/lib/systemd/system/*.service"))
        self.assertEqual(len(units), 2)
        done = subprocess.run(["systemd-analyze", "verify", "--man=no", *map(str, units)],
                              text=True, capture_output=True)
        wrong = [line for line in done.stderr.splitlines()
                 if not line.endswith("/panoply is not executable: No such file or directory")]
        self.assertEqual(wrong, [])  # it is there, but not in this machine's /usr/local

    def add_specification(self) -> None:
        """What is there to be backed up, restored, built and fetched."""
        self.run_line("", "panoply spec add my-channel.json")

    def start_postgresql(self) -> None:
        self.ci.do("sudo -u postgres initdb --auth-local=peer --auth-host=scram-sha-256 "
                   "--encoding=UTF8 --no-locale --no-sync /var/lib/postgresql/main")
        program = self.ci.begin("setpriv --reuid postgres --regid postgres --init-groups "
                                "postgres -D /var/lib/postgresql/main -k /var/run/postgresql")
        program.wait_for("ready to accept connections")

    def see_what_was_restored(self) -> None:
        self.assertIn("my-channel", self.ci.do("panoply evaluation list").stdout)
        self.token = self.ci.environment["PANOPLY_TOKEN"]
        self.assertEqual(self.ci.do("panoply agents token list").returncode, 0)

    def see_what_was_revoked(self) -> None:
        done = self.ci.do(f"PANOPLY_TOKEN={self.token} panoply agents token list")
        self.assertEqual(done.returncode, 2, done.stdout)
        self.assertIn("token", done.stderr)

    def build_all(self) -> None:
        self.wait_for_builds(self.ci)

    before = {"Backup": add_specification, "A PostgreSQL of your own": start_postgresql,
              "Keys and tokens": see_what_was_restored, "Agents": see_what_was_revoked,
              "Users": build_all}


class Api:
    document = TOP / "doc/api.md"
