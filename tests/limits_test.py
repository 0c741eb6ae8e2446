# SPDX-License-Identifier: GPL-3.0-or-later
"""Limits that hold, and an operator who stops, pauses and tries again."""

import json
import os
import pathlib

from support.case import Case
from support.farm import ENDED, Farm
from support.programs import BUILD
from support.waiting import wait_until

# How long builders sleep, so long and odd that no other process on this host does the same.
ENDLESS, OTHER, MUTE, SILENT = (str(number) + str(os.getpid())
                                for number in (123, 456, 789, 321))
TARDY = "sleep 6\nmkdir $out\n"
FOR_EVER = "while true; do echo tick; sleep 1; done\n"
DESCENT = "for i in $(seq 600); do mkdir d; cd d; done\n"


class OfBuilds(Case):
    timeout = 120

    @classmethod
    def setUpClass(cls) -> None:
        cls.farm = Farm(jobs=5)
        cls.addClassCleanup(cls.farm.delete)
        add = cls.farm.channel.add_package
        add("restless", FOR_EVER, properties="(timeout . 4) (max-silent-time . 60)")
        add("mute", f"echo hush\nsleep {MUTE}\n", properties="(timeout . 60) (max-silent-time . 3)")
        add("endless", f"sleep {ENDLESS}\n")
        add("enduring", "mkdir $out\n", inputs="endless", modules="(example packages endless)")
        add("other", f"sleep {OTHER}\n")
        add("silent", f"sleep {SILENT}\n")
        add("tardy", TARDY, properties="(timeout . 3)")
        add("patient", "mkdir $out\n", inputs="tardy", modules="(example packages tardy)")
        add("conduit", "mkfifo $out\n")
        add("abyss", f"mkdir $out\ncd $out\n{DESCENT}echo bottom > stone\n")
        cls.farm.channel.commit("Packages that do not end, or end oddly")
        cls.evaluation = cls.farm.evaluate()
        cls.builds = cls.farm.builds(cls.evaluation)

    def setUp(self) -> None:
        super().setUp()
        self.farm.watch(self)

    def builder_runs(self, words: str) -> bool:
        """Does the build machine run a process with WORDS on its command line?"""
        def is_it(process: pathlib.Path) -> bool:
            try:
                return words in (process / "cmdline").read_text().replace("\0", " ")
            except OSError:
                return False  # it has ended
        return any(map(is_it, pathlib.Path("/proc").glob("[0-9]*")))

    def command(self, *words: object) -> str:
        return self.farm.server.command_line(*words).stdout

    def pause(self) -> None:
        """Until the end of the test, or before."""
        self.command("agents", "pause", "builder-1")
        self.addCleanup(self.command, "agents", "resume", "builder-1")
        self.farm.server.wait_for("/agents/builder-1", lambda it: it["paused"])

    def assert_failed(self, package: str, cause: str, message: str, **limits: int) -> None:
        build = self.farm.wait_for_build(self.builds[package]["id"], "failed")
        self.assertEqual({name: build[name] for name in limits}, limits)
        attempt, = build["attempts"]
        self.assertEqual((attempt["state"], attempt["cause"]), ("failed", cause))
        self.assertEqual(attempt["message"], message)

    def test_time(self):
        self.assert_failed("restless", "timeout", "it took longer than its limit of 4 seconds",
                           timeout_s=4, max_silent_s=60)
        log = self.farm.log(self.builds["restless"]["id"])
        self.assertIn("tick", log)

    def test_silence(self):
        self.assert_failed("mute", "silence", "it printed nothing for 3 seconds, its limit",
                           timeout_s=60, max_silent_s=3)
        self.assertIn("hush", self.farm.log(self.builds["mute"]["id"]))
        self.assertFalse(self.builder_runs(f"sleep {MUTE}"))

    def test_log_of_a_build_that_says_nothing(self):
        """Whoever follows it from the beginning waits."""
        build = self.builds["silent"]["id"]
        self.farm.wait_for_build(build, "running")
        status, lines, connection = self.farm.client.stream(
            "GET", f"/api/panoply/v1/builds/{build}/log?follow=yes")
        self.addCleanup(connection.close)
        self.assertEqual(status, 200)
        self.assertEqual(self.farm.log(build), "")
        self.command("build", "cancel", build)
        self.assertEqual(list(lines), [])

    def test_larger_limit(self):
        """What failed by a limit is tried again when an evaluation wishes for a larger one."""
        tardy, patient = (self.builds[name]["id"] for name in ("tardy", "patient"))
        self.farm.wait_for_build(tardy, "failed")
        self.farm.channel.add_package("tardy", TARDY, properties="(timeout . 2)")
        self.farm.push("tardy: Hurry")  # another reason to fail, no reason to try
        self.assertEqual(self.farm.build(tardy)["state"], "failed")
        self.assertEqual(self.farm.build(patient)["state"], "waiting")
        self.farm.channel.add_package("tardy", TARDY, properties="(timeout . 60)")
        builds = self.farm.builds(self.farm.push("tardy: Give it time"))
        self.assertEqual(builds["tardy"]["id"], tardy)
        build = self.farm.wait_for_build(tardy, "succeeded")
        self.assertEqual(build["timeout_s"], 60)
        self.assertEqual([it["cause"] for it in build["attempts"]][1:], ["timeout"])
        self.farm.wait_for_build(patient, "succeeded")

    def test_output_that_no_store_holds(self):
        """It is the builder's fault, and trying again would not help."""
        build = self.farm.wait_for_build(self.builds["conduit"]["id"], "failed")
        attempt, = build["attempts"]
        self.assertEqual(attempt["cause"], "build")
        self.assertIn("unsupported type", attempt["message"])

    def test_output_that_is_deep(self):
        build = self.farm.wait_for_build(self.builds["abyss"]["id"], "succeeded")
        self.assertEqual(len(build["attempts"]), 1)

    def test_cancel_and_restart(self):
        """Cancelling ends the builder and takes along what needs it; both can be restarted."""
        endless, enduring = (self.builds[name]["id"] for name in ("endless", "enduring"))
        wait_until(lambda: self.builder_runs(f"sleep {ENDLESS}"), 30, "the builder sleeps")
        self.command("build", "cancel", endless)
        self.farm.wait_for_build(endless, "cancelled")
        wait_until(lambda: not self.builder_runs(f"sleep {ENDLESS}"), 20, "the builder is ended")
        after = self.farm.wait_for_build(enduring, lambda it: it["state"] in ENDED)
        self.assertEqual((after["state"], after["attempts"]), ("cancelled", []))
        self.command("build", "restart", endless, "--dependents")
        self.farm.wait_for_build(enduring, "waiting")
        wait_until(lambda: self.builder_runs(f"sleep {ENDLESS}"), 30, "the builder sleeps again")
        self.command("build", "cancel", endless)
        build = self.farm.wait_for_build(endless, "cancelled")
        self.assertEqual(len(build["attempts"]), 2)
        self.assertEqual({it["cause"] for it in build["attempts"]}, {"cancelled"})

    def test_cancelled_before_it_began(self):
        self.pause()
        build = self.builds["other"]["id"]
        if self.farm.build(build)["state"] == "running":
            self.command("build", "cancel", build)
            self.farm.wait_for_build(build, "cancelled")
            self.command("build", "restart", build)
        self.farm.wait_for_build(build, "waiting")
        before = len(self.farm.build(build)["attempts"])
        self.command("build", "cancel", build)
        after = self.farm.wait_for_build(build, "cancelled")
        self.assertEqual(len(after["attempts"]), before)

    def test_restart_of_what_failed(self):
        """What fails by itself fails again, once more, and so does what needs it."""
        sextant, navigator = (self.builds[name]["id"] for name in ("sextant", "navigator"))
        before = self.farm.wait_for_build(sextant, "failed")
        self.farm.wait_for_build(navigator, "dependency-failed")
        done = self.farm.server.command_line("build", "restart", self.builds["almanac"]["id"],
                                             check=False)
        self.assertEqual(done.returncode, 1)  # it has not failed
        self.command("build", "restart", sextant, "--dependents")
        again = self.farm.wait_for_build(
            sextant, lambda it: it["state"] == "failed"
            and len(it["attempts"]) > len(before["attempts"]))
        self.assertEqual({it["cause"] for it in again["attempts"]}, {"build"})
        self.farm.wait_for_build(navigator, "dependency-failed")

    def test_mended_channel(self):
        """A commit that mends what failed builds it and what needs it, and nothing else."""
        self.farm.channel.repair_sextant()
        evaluation = self.farm.push("sextant: Mend the mirror.")
        builds = self.farm.builds(evaluation)
        self.assertEqual({name for name, build in builds.items()
                          if build["id"] != self.builds[name]["id"]}, {"sextant", "navigator"})
        for name in ("sextant", "navigator"):
            self.farm.wait_for_build(builds[name]["id"], "succeeded")
            self.assertNotEqual(self.farm.build(self.builds[name]["id"])["state"], "succeeded")

    def test_paused_agent(self):
        self.pause()
        self.farm.channel.set_version("sea-floor-survey", "8.0")
        build = self.farm.builds(self.farm.push("Survey anew"))["sea-floor-survey"]
        self.farm.server.wait_for(
            f"/builds/{build['id']}/explain",
            lambda it: (it["state"], it["reason"]) == ("waiting", "agents-paused"))
        self.assertEqual(self.farm.build(build["id"])["attempts"], [])
        self.command("agents", "resume", "builder-1")
        self.farm.wait_for_build(build["id"], "succeeded")


class OfEvaluations(Case):
    timeout = 120

    @classmethod
    def setUpClass(cls) -> None:
        cls.farm = Farm(agents=0)
        cls.addClassCleanup(cls.farm.delete)

    def setUp(self) -> None:
        super().setUp()
        self.farm.watch(self)

    def module(self, code: str) -> None:
        """A module of the channel that runs CODE when it is loaded."""
        self.farm.channel.write("example/packages/trial.scm",
                                f"(define-module (example packages trial))\n{code}\n")
        self.farm.channel.commit("Try")

    def evaluation(self, name: str, **fields) -> tuple[dict, str]:
        """How the first one ends, and its log."""
        evaluation = self.farm.evaluate(name=name, **fields)
        return evaluation, self.farm.client.text(
            f"/api/panoply/v1/evaluations/{evaluation['id']}/log")

    def test_time(self):
        self.module("(display \"dozing off\\n\" (current-error-port)) (sleep 100)")
        evaluation, log = self.evaluation("slow", time_limit_s=10)
        self.assertEqual(evaluation["state"], "failed")
        self.assertIn("time_limit_s", evaluation["message"])
        self.assertIn("dozing off", log)
        self.assertEqual(evaluation["jobs_count"], 0)

    def test_memory(self):
        self.module("(use-modules (rnrs bytevectors))\n"
                    "(define all (make-bytevector 2000000000 1)) (sleep 100)")
        evaluation, _ = self.evaluation("big", memory_limit_mb=1500)
        self.assertEqual(evaluation["state"], "failed")
        self.assertIn("memory_limit_mb", evaluation["message"])

    def test_limits_hold_to_the_end(self):
        """Also when all is said that was to be said."""
        self.module("(let ((port (fdopen (dup 3) \"w0\")))\n"
                    "  (display \"{\\\"type\\\":\\\"done\\\"}\\n\" port) (sleep 100))")
        evaluation, _ = self.evaluation("late", time_limit_s=10)
        self.assertEqual(evaluation["state"], "failed")
        self.assertIn("time_limit_s", evaluation["message"])

    def test_errors_without_end(self):
        """They take time and a bounded place in the server's memory."""
        line = json.dumps(json.dumps({"type": "error", "name": "x", "message": 7900 * "x"}))
        self.module(f"(let ((port (fdopen (dup 3) \"w0\")) (line {line}))\n"
                    "  (let loop () (display line port) (newline port) (loop)))")
        evaluation, _ = self.evaluation("flood", time_limit_s=15)
        self.assertIn("time_limit_s", evaluation["message"])
        self.assertGreater(evaluation["errors_count"], 1000)
        self.assertLess(self.farm.server.resident_mb(), 1500 if "asan" in BUILD.name else 250)

    def test_keeper_out_of_reach(self):
        """What it keeps cannot end it and so escape."""
        number = self.stray(then="(false-if-exception (kill (getppid) SIGKILL)) (sleep 100)")
        evaluation, _ = self.evaluation("patricide", time_limit_s=10)
        self.assertIn("time_limit_s", evaluation["message"])
        self.assert_gone(number)

    def stray(self, code: str = "", then: str = "") -> pathlib.Path:
        """A module that leaves a process behind, in a session of its own, that runs CODE, and
        then runs THEN itself; the file with the number of that process."""
        self.module("(when (zero? (primitive-fork))\n"
                    "  (setsid)\n"
                    "  (when (zero? (primitive-fork))\n"
                    "    (call-with-output-file \"/tmp/stray.new\"\n"
                    "      (lambda (port) (display (readlink \"/proc/self\") port)))\n"
                    "    (rename-file \"/tmp/stray.new\" \"/tmp/stray\")\n"
                    f"    {code} (sleep 300))\n"
                    "  (primitive-_exit 0))\n"
                    "(let loop () (unless (file-exists? \"/tmp/stray\") (usleep 50000) (loop)))\n"
                    f"{then}")
        number = self.farm.evaluator.outside("/tmp/stray")
        self.addCleanup(number.unlink, missing_ok=True)
        return number

    def assert_gone(self, number: pathlib.Path) -> None:
        self.assertFalse(pathlib.Path("/proc", number.read_text()).exists())

    def test_process_that_stays_behind(self):
        """It ends with the evaluation, and does not spoil it."""
        number = self.stray()
        evaluation, _ = self.evaluation("stray")
        self.assertEqual(evaluation["state"], "succeeded", evaluation["message"])
        self.assert_gone(number)

    def test_memory_of_a_process_that_went_away(self):
        number = self.stray("(use-modules (rnrs bytevectors))"
                            "(define all (make-bytevector 2000000000 1))", "(sleep 100)")
        evaluation, _ = self.evaluation("hidden", memory_limit_mb=1500)
        self.assertEqual(evaluation["state"], "failed")
        self.assertIn("memory_limit_mb", evaluation["message"])
        self.assert_gone(number)

    def test_process_that_outlives_the_evaluator(self):
        """It holds the evaluator's results open, and nobody waits for it."""
        number = self.stray(then="(primitive-_exit 3)")
        evaluation, _ = self.evaluation("open", time_limit_s=60)
        self.assertEqual(evaluation["state"], "failed")
        self.assertIn("guix ended without finishing", evaluation["message"])
        self.assert_gone(number)

    def test_server_that_is_killed(self):
        """Its evaluators end with it, and what they left behind."""
        file = self.stray(then="(sleep 100)")
        self.farm.server.add_specification(self.farm.channel.specification("orphan", period=300))
        wait_until(file.exists, 60, "the channel is being loaded")
        process = pathlib.Path("/proc", file.read_text())
        self.assertTrue(process.exists())
        self.farm.server.restart(kill=True)
        wait_until(lambda: not process.exists(), 10, "the process is ended")
        self.farm.server.command_line("spec", "delete", "orphan")

    def test_cancel(self):
        self.module("(sleep 100)")
        self.farm.server.add_specification(self.farm.channel.specification("sleepy", period=300))
        running = self.farm.server.wait_for(
            "/evaluations?specification=sleepy",
            lambda it: it["items"] and it["items"][0]["state"] == "running")["items"][0]
        self.farm.server.command_line("evaluation", "cancel", running["id"])
        ended = self.farm.server.wait_for(f"/evaluations/{running['id']}",
                                          lambda it: it["finished_at"], 20)
        self.assertEqual(ended["state"], "cancelled")
        # The commit counts as looked at: only --force evaluates it again.
        self.farm.server.command_line("spec", "evaluate", "sleepy")
        self.farm.server.wait_for("/specifications/sleepy", lambda it: not it["requested_at"])
        found = self.farm.client.api("GET", "/evaluations?specification=sleepy")["items"]
        self.assertEqual([it["id"] for it in found], [running["id"]])
        self.farm.server.command_line("spec", "delete", "sleepy")

    def test_superseded_before_it_began(self):
        """Of those that wait their turn only the newest of a specification is run."""
        self.module("(sleep 100)")
        command = self.farm.server.command_line
        for name in ("sleepy", "eager"):
            self.farm.server.add_specification(self.farm.channel.specification(name, period=300))
            newest, = self.farm.server.wait_for(f"/evaluations?specification={name}",
                                                lambda it: it["items"])["items"]
            if name == "sleepy":
                sleepy = newest["id"]
                self.farm.server.wait_for(f"/evaluations/{sleepy}",
                                          lambda it: it["state"] == "running")
        self.farm.channel.write("example/packages/trial.scm",
                                "(define-module (example packages trial))\n")
        self.farm.channel.commit("Try no more")
        command("spec", "evaluate", "eager")
        second, first = self.farm.client.api("GET", "/evaluations?specification=eager")["items"]
        self.assertEqual((first["state"], first["message"]),
                         ("cancelled", f"superseded by evaluation {second['id']}"))
        self.assertEqual(self.farm.client.api("GET", f"/evaluations/{sleepy}")["state"], "running")
        command("evaluation", "cancel", sleepy)
        self.farm.server.wait_for(f"/evaluations/{second['id']}",
                                  lambda it: it["state"] == "succeeded")
        for name in ("sleepy", "eager"):
            command("spec", "delete", name)

    def test_what_is_no_text(self):
        """The channel's code can write to the evaluator's pipe: it fails, and once."""
        self.module("(use-modules (rnrs bytevectors) (ice-9 binary-ports))\n"
                    "(let ((port (fdopen 3 \"w\")))\n"
                    "  (put-bytevector port #vu8(255 254 195 10)) (force-output port) (sleep 60))")
        evaluation, _ = self.evaluation("garbage")
        self.assertEqual(evaluation["state"], "failed")
        self.assertIn("what is no message: ???", evaluation["message"])
        found = self.farm.client.api("GET", "/evaluations?specification=garbage")["items"]
        self.assertEqual(len(found), 1)

    def test_guix_ended_from_outside(self):
        """Nothing is said about the evaluation then: it is run again."""
        flag = self.farm.evaluator.outside("/tmp/second-time")
        self.module("(define flag \"/tmp/second-time\")\n"
                    "(unless (file-exists? flag)\n"
                    "  (call-with-output-file flag (const #t))\n"
                    "  (kill (getpid) SIGTERM) (sleep 60))")
        evaluation, _ = self.evaluation("ended")
        self.assertTrue(flag.exists())
        self.assertEqual(evaluation["state"], "succeeded", evaluation["message"])

    def test_guix_daemon_that_goes_away(self):
        """That is not each package's failure, but the end of the evaluation."""
        self.module("(call-with-output-file \"/tmp/ready\" (const #t))\n"
                    "(let loop () (when (file-exists? \"/tmp/ready\") (usleep 50000) (loop)))")
        ready = self.farm.evaluator.outside("/tmp/ready")
        self.addCleanup(ready.unlink, missing_ok=True)
        self.farm.server.add_specification(self.farm.channel.specification("lost", period=300))
        wait_until(ready.exists, 60, "the channel is being loaded")
        self.farm.evaluator.end_connections()
        ready.unlink()
        ended = self.farm.server.wait_for(
            "/evaluations?specification=lost",
            lambda it: it["items"] and it["items"][0]["finished_at"])["items"][0]
        self.assertEqual((ended["state"], ended["jobs_count"]), ("failed", 0))
        self.assertIn("guix-daemon is lost", ended["message"])

    def test_time_machine_without_network(self):
        """Guix's own words, in the log and as the reason."""
        specification = self.farm.channel.specification("machine", mode="time-machine", period=300)
        specification["channels"][0]["name"] = "guix"
        specification["build"] = {"packages": ["hello"]}
        self.farm.server.add_specification(specification)
        evaluation = self.farm.evaluation_of(self.farm.channel.git("rev-parse", "HEAD"), "machine")
        log = self.farm.client.text(f"/api/panoply/v1/evaluations/{evaluation['id']}/log")
        self.assertEqual(evaluation["state"], "failed")
        for words in (log, evaluation["message"]):
            self.assertIn(f"Updating channel 'guix' from Git repository at "
                          f"'{self.farm.channel.url}'", words)
            self.assertIn("guix time-machine: error:", words)
