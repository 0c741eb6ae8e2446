// SPDX-License-Identifier: GPL-3.0-or-later
// All pages that there are, on the farm that browser_test.py makes. Who adds a page, or a state
// of one that looks different, adds it here: every script of this folder then visits it.

import { farm } from "./browser.mjs";

const { agent, boats, builds, evaluation, lost, hostile_agent: hostileAgent } = farm;
const SCRIPT = "<script>alert(1)</script>"; // as in browser_test.py
const build = (name) => `/builds/${builds[name]}`;

// name     of the screenshots, too
// path
// says     what a visitor finds in w3m: its title and its main facts, states as words
// status   200 unless told
// sends    fields of the page's form, which is filled in and sent; `status` is of what comes then
// isLog    may have more than 150 kB
// hostile  what it shows that means harm
// signedIn false: only for who is not signed in; true: only for who is; otherwise both see it
export const pages = [
  { name: "overview", path: "/", says: ["Overview", "failed", "example", "succeeded"] },
  { name: "specifications", path: "/specifications", says: ["Specifications", "example"] },
  { name: "specification", path: "/specifications/example", hostile: SCRIPT,
    says: ["example", "Evaluations", "failed"] },
  { name: "specification-lost", path: `/specifications/${lost}`, says: [lost, "nowhere"] },
  { name: "specification-add", path: "/add-specification", signedIn: true },
  { name: "specification-add-json", path: "/add-specification?as=json", signedIn: true },
  { name: "specification-add-wrong", path: "/add-specification?as=json", signedIn: true,
    sends: { definition: `{"name": "${SCRIPT}"}` }, status: 400, hostile: SCRIPT },
  { name: "specification-edit", path: "/specifications/example/edit", signedIn: true },
  { name: "specification-edit-json", path: "/specifications/example/edit?as=json", signedIn: true },
  { name: "help", path: "/help/using", says: ["Using Panoply", "Trying again"] },
  { name: "help-specification", path: "/help/specification", says: ["time_limit_s"] },
  { name: "help-api", path: "/help/api", says: ["/api/panoply/v1"] },
  { name: "help-operating", path: "/help/operating", says: ["Away again"] },
  { name: "specification-delete", path: "/specifications/example/delete", signedIn: true },
  { name: "evaluation", path: `/evaluations/${evaluation}`, hostile: SCRIPT,
    says: [`Evaluation ${evaluation}`, "succeeded", "lighthouse", "dependency-failed", "almanac"] },
  { name: "evaluation-failed", path: `/evaluations/${evaluation}?show=failed`,
    says: [`Evaluation ${evaluation}`, "sextant"] },
  { name: "evaluation-none", path: `/evaluations/${evaluation}?name=nothing-has-this-name`,
    says: [`Evaluation ${evaluation}`, "No job is like that"] },
  { name: "evaluation-restart", path: `/evaluations/${evaluation}/restart`, signedIn: true },
  { name: "evaluation-waiting", path: `/evaluations/${boats}`,
    says: [`Evaluation ${boats}`, "waiting", "almanac"] },
  { name: "evaluation-restart", path: `/evaluations/${evaluation}/restart`, signedIn: true },
  { name: "evaluation-cancel", path: `/evaluations/${boats}/cancel`, signedIn: true },
  { name: "evaluation-cancel-late", path: `/evaluations/${evaluation}/cancel`, signedIn: true, status: 409, says: [] },
  { name: "builds", path: "/builds", says: ["Builds", "almanac", "succeeded", "failed"] },
  { name: "builds-failed", path: "/builds?state=failed", says: ["Builds", "sextant", "failed"] },
  { name: "builds-none", path: "/builds?name=nothing-has-this-name", says: ["Builds"] },
  { name: "build-waiting", path: `/builds/${farm.waiting_build}`, says: ["tide-calendar", "waiting"] },
  { name: "build-cancel", path: `/builds/${farm.waiting_build}/cancel`, signedIn: true },
  { name: "build-succeeded", path: build("almanac"),
    says: ["almanac", "succeeded", "/gnu/store/", agent] },
  { name: "build-failed", path: build("sextant"),
    says: ["sextant", "failed", "the mirror is broken", "navigator"] },
  { name: "build-dependency-failed", path: build("navigator"),
    says: ["navigator", "dependency-failed", "sextant"] },
  { name: "build-long-log", path: build("sounding-log"), isLog: true, hostile: "<b>&amp; no markup</b>",
    says: ["sounding-log", "succeeded", "end of the log"] },
  { name: "build-hostile", path: build("hostile"), isLog: true, hostile: SCRIPT,
    says: ["hostile", "failed", "<script>"] },
  { name: "builds-hostile-name", path: `/builds?name=${encodeURIComponent(SCRIPT)}`, hostile: SCRIPT,
    says: ["Builds"] },
  { name: "log", path: `${build("sextant")}/log`, isLog: true,
    says: ["Log", "failed", "the mirror is broken", "line 2"] },
  { name: "log-long", path: `${build("sounding-log")}/log?from=19980`, isLog: true,
    says: ["Log", "succeeded", "Earlier", "19,980"] },
  { name: "log-before", path: `/builds/${farm.waiting_build}/log`,
    says: ["Log", "waiting", "waits for an agent for aarch64-linux, and there is none"] },
  { name: "build-needs", path: `${build("navigator")}/needs`,
    says: ["What navigator-4.8 needs", "sextant-1.0", "failed", "directly"] },
  { name: "build-needed-by", path: `${build("libtide")}/needs?part=needed-by&sort=state`,
    says: ["What needs libtide-1.4.2", "almanac"] },
  { name: "build-needs-none", path: `${build("libtide")}/needs`, says: ["It needs no other build"] },
  { name: "build-cancel", path: `${build("almanac")}/cancel`, signedIn: true, status: 409, says: [] },
  { name: "log-hostile", path: `${build("hostile")}/log`, isLog: true, hostile: SCRIPT,
    says: ["Log", "failed", "<script>"] },
  { name: "agents", path: "/agents", says: ["Agents", agent, "connected"] },
  { name: "agents-join", path: "/join-agents", signedIn: true },
  { name: "agents-join-revoke", path: `/join-agents/${farm.join_token}/revoke`, signedIn: true },
  { name: "agent", path: `/agents/${agent}`, says: [agent, "connected", "x86_64-linux"] },
  { name: "agent-hostile", path: `/agents/${hostileAgent}`, hostile: SCRIPT,
    says: [hostileAgent, "<script>"] },
  { name: "agent-release", path: `/agents/${hostileAgent}/release`, signedIn: true },
  { name: "queue", path: "/queue", says: ["Queue", "aarch64-linux", "boats"] },
  { name: "search", path: "/search", says: ["Search"] },
  { name: "search-found", path: "/search?q=almanac", says: ["Search", "almanac", "succeeded"] },
  { name: "search-commit", path: "/search?q=alert", hostile: SCRIPT, says: ["Search", "<script>"] },
  { name: "search-none", path: `/search?q=${encodeURIComponent(SCRIPT)}nothing`, hostile: SCRIPT,
    says: ["Search", "<script>"] },
  { name: "substitutes", path: "/substitutes", says: ["Substitutes", "guix archive --authorize"] },
  { name: "sign-in", path: "/sign-in", says: ["Sign in", "Administrator token"] },
  { name: "sign-in-wrong", path: "/sign-in", sends: { token: "wrong" }, status: 403,
    says: ["Sign in"] },
  { name: "style", path: "/style", says: ["The main action"] },
  { name: "not-found", path: "/nothing", status: 404, says: ["404"] },
  { name: "wrong-filter", path: "/builds?state=odd", status: 400, says: ["400"] },
];

export function pagesFor(signedIn) {
  return pages.filter((page) => (page.signedIn ?? signedIn) === signedIn);
}
