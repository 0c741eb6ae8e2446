# SPDX-License-Identifier: GPL-3.0-or-later
"""scheme/evaluate.scm in a real Guix: what it reports, and what it costs to fail."""

import base64
import hashlib
import json
import os
import shutil
import subprocess

from support import channel as example
from support.case import Case
from support.programs import TOP
from support.roots import Machine
from support.waiting import TIME_FACTOR


class Evaluation:
    """One run of evaluate.scm, up to and with its last line; it still waits to be let go."""

    def __init__(self, machine: Machine, folder: str, before: tuple[str, ...] = (), **request):
        """Runs in MACHINE's FOLDER. BEFORE: words between `guix` and `repl`."""
        script, file = f"{folder}/evaluate.scm", f"{folder}/request.json"
        shutil.copy(TOP / "scheme" / "evaluate.scm", machine.outside(script))
        machine.outside(file).write_text(json.dumps(request))
        lines, its_end = os.pipe()
        # Only descriptor 3 is agreed on, so the shell moves ours there.
        self.process = subprocess.Popen(
            ["sh", "-c", f'exec "$@" 3>&{its_end}', "sh",
             "chroot", str(machine.root), "guix", *before, "repl", "--", script, file],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            text=True, pass_fds=[its_end])
        os.close(its_end)
        self.lines = []
        self.stream = open(lines, encoding="utf-8")
        for line in self.stream:
            self.lines.append(json.loads(line))
            if self.lines[-1]["type"] == "done":
                break

    def of_type(self, kind: str) -> list[dict]:
        return [line for line in self.lines if line["type"] == kind]

    def jobs(self) -> dict[str, dict]:
        return {job["name"]: job for job in self.of_type("job")}

    def errors(self) -> dict[str, dict]:
        return {error["name"]: error for error in self.of_type("error")}

    def let_go(self) -> int:
        """Ends it and returns its exit status; `log` is what Guix said."""
        if not self.stream.closed:
            self.stream.close()
            self.log, _ = self.process.communicate("\n", timeout=60 * TIME_FACTOR)
        return self.process.returncode


class Evaluate(Case):
    @classmethod
    def setUpClass(cls) -> None:
        cls.guix = Machine("evaluator")
        cls.addClassCleanup(cls.guix.delete)

    def setUp(self) -> None:
        super().setUp()
        self.watch("guix-daemon", self.guix.daemon_log)
        self.repository = self.channel()

    def evaluate(self, build: object, system: str = "x86_64-linux") -> Evaluation:
        """Evaluates the repository's files as they are; ends with the test."""
        folder = self.guix.outside(f"/evaluation-{self.id()}")
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(self.repository.folder, folder / "checkout",
                        ignore=shutil.ignore_patterns(".git"))
        evaluation = Evaluation(
            self.guix, f"/{folder.name}", mode="overlay", build=build, system=system,
            channels=[{"name": "example", "url": self.repository.url, "branch": "master",
                       "commit": "0" * 40, "checkout": f"/{folder.name}/checkout"}])
        self.addCleanup(evaluation.let_go)
        return evaluation

    def names(self, packages: set[str]) -> set[str]:
        return {f"{name}.x86_64-linux" for name in packages}

    def test_packages_of_a_channel(self):
        evaluation = self.evaluate({"channels": ["example"]})
        self.assertEqual(set(evaluation.jobs()), self.names(
            example.SUCCEEDING | example.FAILING | example.DEPENDING_ON_FAILING))
        self.assertEqual(evaluation.jobs()["almanac.x86_64-linux"]["timeout"], 72000)
        self.assertEqual(evaluation.lines[-1], {"type": "done", "jobs": 11, "errors": 1})
        self.assertEqual(evaluation.of_type("progress")[-1],
                         {"type": "progress", "done": 13, "total": 13})

    def test_error_of_a_package_has_a_place(self):
        error = self.evaluate({"channels": ["example"]}).errors()["lighthouse@0.1"]
        self.assertEqual(error["message"], "lighthouse-turn-the-lamp-on.patch: patch not found")
        self.assertEqual(error["file"], "example/packages/survey.scm")
        text = (self.repository.folder / error["file"]).read_text().splitlines()
        self.assertEqual(text[error["line"] - 1][error["column"]:], "(package")
        self.assertEqual(text[error["line"]].strip(), '(name "lighthouse")')

    def test_other_system(self):
        evaluation = self.evaluate({"channels": ["example"]}, system="aarch64-linux")
        self.assertIn("sonar.aarch64-linux", evaluation.jobs())
        self.assertEqual({job["system"] for job in evaluation.of_type("job")}, {"aarch64-linux"})

    def test_derivations_are_those_of_guix_build(self):
        job = self.evaluate({"packages": ["almanac"]}).jobs()["almanac.x86_64-linux"]
        folder = f"/evaluation-{self.id()}/checkout"
        said = self.guix.run("guix", "build", "-L", folder, "--no-grafts", "-d", "almanac")
        self.assertEqual(said.stdout.strip(), job["derivation"])

    def test_store_items_are_protected_until_let_go(self):
        self.repository.add_package("buoy", "mkdir $out\n")
        evaluation = self.evaluate({"packages": ["buoy"]})
        derivation = evaluation.jobs()["buoy.x86_64-linux"]["derivation"]
        self.guix.run("guix", "gc")
        self.assertTrue(self.guix.has(derivation))
        self.assertEqual(evaluation.let_go(), 0)
        self.guix.run("guix", "gc")
        self.assertFalse(self.guix.has(derivation))

    def test_module_that_fails_costs_only_itself(self):
        begin = "(define-module (example packages {}) #:use-module (guix packages))\n"
        broken = {
            "unbound": "(define-public x (package (inherit nosuch)))",
            "paren": "(define-public x (package",
            "syntax": '(define-public x (package (name "x") (colour "red")))',
            "short": "\n\n (if)",
            "raises": "(vector-ref (vector) 5)",
            "exits": "(exit 3)",
        }
        for name, text in broken.items():
            self.repository.write(f"example/packages/{name}.scm", begin.format(name) + text)
        evaluation = self.evaluate({"channels": ["example"]})
        errors = evaluation.errors()
        self.assertEqual(evaluation.let_go(), 0)
        for name, words in (("unbound", "nosuch: unbound variable"), ("paren", "searching for"),
                            ("syntax", "extraneous field"), ("raises", "out of range"),
                            ("exits", "exit")):
            with self.subTest(name):
                error = errors[f"example/packages/{name}.scm"]
                self.assertIn(words, error["message"])
                self.assertEqual(error["file"], f"example/packages/{name}.scm")
        for name, line, column in (("syntax", 2, 17), ("paren", 2, 25), ("short", 4, 1)):
            with self.subTest(name):
                error = errors[f"example/packages/{name}.scm"]
                self.assertEqual((error["line"], error["column"]), (line, column))
        self.assertEqual(len(evaluation.jobs()), 11)
        self.assertIn("failed to load", evaluation.log)

    def test_named_packages(self):
        evaluation = self.evaluate({"packages": ["almanac", "sonar", "hello", "nosuch"]})
        self.assertEqual(set(evaluation.jobs()), self.names({"almanac", "hello"}))
        self.assertEqual(evaluation.errors()["nosuch"]["message"], "nosuch: unknown package")

    def test_manifests(self):
        self.repository.write("all/manifest.scm", """\
(use-modules (guix profiles) (example packages almanac) (example packages survey))
(packages->manifest (list almanac lighthouse (list libtide "doc")))
""")
        evaluation = self.evaluate({"manifests": ["all/manifest.scm", "none.scm"]})
        self.assertEqual(set(evaluation.jobs()), {"almanac-2026.1", "libtide-1.4.2"})
        self.assertEqual(set(evaluation.errors()), {"lighthouse-0.1", "none.scm"})

    def test_manifest_with_what_another_system_has(self):
        """Packages that do not support the system are passed over, as everywhere."""
        self.repository.write("manifest.scm", """\
(use-modules (guix profiles) (example packages almanac) (example packages survey))
(packages->manifest (list almanac sonar))
""")
        for system, names in (("x86_64-linux", {"almanac-2026.1"}),
                              ("aarch64-linux", {"almanac-2026.1", "sonar-2.2"})):
            with self.subTest(system):
                evaluation = self.evaluate({"manifests": ["manifest.scm"]}, system)
                self.assertEqual(set(evaluation.jobs()), names)
                self.assertEqual(evaluation.errors(), {})

    def test_manifest_that_cannot_be_read(self):
        self.repository.write("all/manifest.scm", "(use-modules (guix profiles))\n\n  (list")
        error = self.evaluate({"manifests": ["all/manifest.scm"]}).errors()["all/manifest.scm"]
        self.assertEqual((error["file"], error["line"], error["column"]),
                         ("all/manifest.scm", 3, 7))

    def test_limits_that_are_none(self):
        """In a package's properties anything may stand: it costs that package."""
        limits = {"long": "1000000000000000000000000000000", "float": "59.6", "endless": "+inf.0",
                  "negative": "-5", "text": "\"an hour\"", "none": "+nan.0", "complex": "1+2i"}
        for name, limit in limits.items():
            self.repository.add_package(name, "mkdir $out\n", properties=f"(timeout . {limit})")
        evaluation = self.evaluate({"channels": ["example"]})
        self.assertEqual(evaluation.let_go(), 0)
        jobs = evaluation.jobs()
        self.assertEqual({name: jobs[f"{name}.x86_64-linux"]["timeout"]
                          for name in ("long", "float", "endless")},
                         {"long": 2592000, "float": 60, "endless": 2592000})
        self.assertLessEqual(self.names(example.SUCCEEDING), set(jobs))
        errors = evaluation.errors()
        for name in ("negative", "text", "none", "complex"):
            with self.subTest(name):
                error = errors[f"{name}.x86_64-linux"]
                self.assertIn("no number of seconds", error["message"])
                self.assertEqual(error["file"], f"example/packages/{name}.scm")
                self.assertNotIn(f"{name}.x86_64-linux", jobs)

    def test_message_with_a_character_that_json_texts_cannot_hold(self):
        self.repository.write("example/packages/nul.scm", """\
(define-module (example packages nul))
(error "before\\x00after")
""")
        error = self.evaluate({"channels": ["example"]}).errors()["example/packages/nul.scm"]
        self.assertIn("before?after", error["message"])

    def test_custom_modules(self):
        self.repository.write("our/ci.scm", """\
(define-module (our ci)
  #:use-module (example packages almanac)
  #:use-module (gnu ci) #:use-module (guix)
  #:export (cuirass-jobs))

(define (cuirass-jobs store arguments)
  (map (lambda (system)
         (derivation->job "ours" (package-derivation store almanac system)
                          #:timeout 60 #:max-silent-time 7))
       (assq-ref arguments 'systems)))
""")
        evaluation = self.evaluate({"custom": ["our ci", "(no such)"]})
        job = evaluation.jobs()["ours"]
        self.assertEqual((job["timeout"], job["max_silent"]), (60, 7))
        self.assertEqual(set(evaluation.errors()), {"(no such)"})

    def test_custom_job_that_cannot_be_costs_only_itself(self):
        self.repository.write("our/ci.scm", """\
(define-module (our ci)
  #:use-module (example packages almanac)
  #:use-module (gnu ci) #:use-module (guix)
  #:export (cuirass-jobs))

(define (cuirass-jobs store arguments)
  (define (job name derivation)
    `((#:job-name . ,name) (#:system . "x86_64-linux") (#:derivation . ,derivation)))
  (list (job "absent" "/gnu/store/6d4lk73an4918digdv34xprynczidc39-absent.drv")
        (job "elsewhere" "/etc/passwd.drv")
        (job "below" "/gnu/store/6d4lk73an4918digdv34xprynczidc39-absent.drv/x.drv")
        (job 'number 42)
        "no job"
        (derivation->job "wrong" (package-derivation store almanac) #:timeout "soon")
        (derivation->job "ours" (package-derivation store almanac))))
""")
        evaluation = self.evaluate({"custom": ["our ci"]})
        self.assertEqual(evaluation.let_go(), 0)
        self.assertEqual(set(evaluation.jobs()), {"ours"})
        self.assertEqual(evaluation.lines[-1], {"type": "done", "jobs": 1, "errors": 6})
        errors = {name: error["message"] for name, error in evaluation.errors().items()}
        for name in ("absent", "elsewhere", "below"):
            self.assertIn("no such derivation in the store", errors[name])
        self.assertIn("no number of seconds", errors["wrong"])
        self.assertIn("this is no job", errors["(our ci)"])

    def test_unknown_system(self):
        evaluation = self.evaluate({"channels": ["example"]}, system="z80-linux")
        self.assertEqual(evaluation.let_go(), 0)
        self.assertEqual(evaluation.lines[-1], {"type": "done", "jobs": 0, "errors": 1})
        message = evaluation.errors()["z80-linux"]["message"]
        self.assertIn("z80-linux: this Guix knows no such system", message)
        self.assertIn("aarch64-linux", message)

    def test_channel_file_that_is_none(self):
        """One line says which file, and what is wrong with it."""
        for text, words in (("(channel (version 7))", "unsupported '.guix-channel' version: 7"),
                            ("(channel", "unexpected end of input"),
                            ("(shell (version 0))", "invalid '.guix-channel' file"),
                            ("(channel (version 0) (directory 5))", "invalid")):
            with self.subTest(text):
                self.repository.write(".guix-channel", text)
                evaluation = self.evaluate({"channels": ["example"]})
                self.assertEqual(evaluation.let_go(), 1)
                self.assertEqual(evaluation.lines, [])
                self.assertRegex(evaluation.log.splitlines()[-1],
                                 "^guix repl: error: channel example: .guix-channel: .*" + words)
                self.assertNotIn("Backtrace", evaluation.log)

    def test_channel_with_its_modules_in_a_folder(self):
        self.repository.git("mv", "example", "guix-modules")
        (self.repository.folder / "modules").mkdir()
        self.repository.git("mv", "guix-modules", "modules/example")
        self.repository.git("mv", "--force", "tools", "modules/tools")
        self.repository.write(".guix-channel",
                              '(channel (version 0) (directory "modules"))\n')
        self.assertEqual(len(self.evaluate({"channels": ["example"]}).jobs()), 11)

    def time_machine(self, commit: str) -> Evaluation:
        folder = self.guix.outside("/time-machine")
        folder.mkdir(exist_ok=True)
        (folder / "channels.scm").write_text(f"""\
(list (channel (name (string->symbol "guix"))
               (url "https://guix.invalid/guix.git")
               (branch "master")
               (commit "{commit}")
               (introduction
                 (make-channel-introduction
                   "9edb3f66fd807b096b48283debdcddccfea34bad"
                   (openpgp-fingerprint "BBB02DDF2CEAF6A80D1DE643A2A06DF2A33A54FA")))))
""")
        evaluation = Evaluation(
            self.guix, "/time-machine",
            before=("time-machine", "-C", "/time-machine/channels.scm", "--"),
            mode="time-machine", build={"packages": ["hello"]}, system="x86_64-linux",
            channels=[{"name": "guix", "url": "https://guix.invalid/guix.git",
                       "branch": "master", "commit": commit, "checkout": "/time-machine"}])
        self.addCleanup(evaluation.let_go)
        return evaluation

    def test_time_machine(self):
        """Without a network no Guix can be fetched, but one that lies in Guix's cache of them
        can be run: here it is the installed one."""
        commit = "1" * 40
        key = base64.b32encode(hashlib.sha256(commit.encode()).digest())
        cached = self.guix.outside("/var/guix/profiles/per-user/root/inferiors/" +
                                   key.decode().lower().rstrip("="))
        cached.parent.mkdir(parents=True)
        cached.symlink_to("/usr")
        evaluation = self.time_machine(commit)
        self.assertEqual(set(evaluation.jobs()), self.names({"hello"}))
        self.assertEqual(evaluation.let_go(), 0)

    def test_time_machine_that_cannot_fetch_says_so(self):
        evaluation = self.time_machine("2" * 40)
        self.assertNotEqual(evaluation.let_go(), 0)
        self.assertEqual(evaluation.lines, [])
        self.assertIn("Updating channel 'guix' from Git repository at "
                      "'https://guix.invalid/guix.git'", evaluation.log)

    def test_what_cannot_be_built_fails(self):
        evaluation = self.evaluate({"colours": ["red"]})
        self.assertEqual(evaluation.let_go(), 1)
        self.assertIn("cannot build", evaluation.log)
