/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The table of all commands: what is dispatched, told by --help, completed by shells and
   printed as manual. */
#include <string.h>

#include "cli/cli.h"
#include "evaluation/evaluation.h"
#include "serve/serve.h"

static const struct example serve_examples[] = {
  { "panoply serve --state /var/lib/panoply --listen 127.0.0.1:8080",
    "A whole server with a PostgreSQL of its own, for this machine only." },
  { "panoply serve --config /etc/panoply/serve.conf", "The same, as a file tells it." },
  { "panoply serve --database postgresql://panoply@db.example.org/panoply --roles web",
    "One more process that answers requests, over a database that others share." },
  { 0 },
};

static const struct example agent_examples[] = {
  { "panoply agent --server https://ci.example.org --join-token-file join-token --jobs 4",
    "The first start of an agent: it enrols under its host name and earns a token of its own." },
  { "panoply agent --server https://ci.example.org --systems x86_64-linux,i686-linux",
    "A later start; it builds for two systems." },
  { 0 },
};

static const struct example spec_examples[] = {
  { "panoply spec add my-channel.json", "Evaluate and build what the file says, from now on." },
  { "panoply spec evaluate my-channel --force", "Evaluate now, even if nothing has changed." },
  { "panoply spec show my-channel --json", "All that is known of it, for a program." },
  { 0 },
};

static const struct example evaluation_examples[] = {
  { "panoply evaluation list my-channel --state failed", "Those that could not be computed." },
  { "panoply evaluation list --state some-failed", "Those of which not all was built." },
  { "panoply evaluation jobs 12 --state failed", "What was asked for and could not be built." },
  { "panoply evaluation changes 12", "What it broke and mended." },
  { "panoply evaluation commits 12", "By which commits." },
  { "panoply evaluation errors 12 --show new", "What could be evaluated before." },
  { "panoply evaluation log 12 --follow", "What Guix says, until it is done." },
  { "panoply evaluation show 12 --follow", "How its builds stand, until the last has ended." },
  { 0 },
};

static const struct example build_examples[] = {
  { "panoply build list --state failed --system x86_64-linux", "The newest failures." },
  { "panoply build log 88 --follow", "What the builder prints, from its first line on." },
  { "panoply build history 88", "How the same job went before." },
  { "panoply build reproduce 88", "Commands that make the same at home." },
  { "panoply build log 88 --attempt 131", "What an older attempt printed." },
  { "panoply build list --state running --follow", "What is being built, as it changes." },
  { "panoply build explain 88", "Why it waits, or how it ended." },
  { "panoply build restart 88 --dependents", "Try again, and then what needs it." },
  { "panoply build cancel 88 89 90", "Build none of these." },
  { 0 },
};

static const struct example agents_examples[] = {
  { "panoply agents list", "Who is there, and for which systems." },
  { "panoply agents token create 'the cellar' > join-token", "A token for new machines." },
  { "panoply agents token create visitors --days 7", "One that ends by itself." },
  { "panoply agents pause builder-3", "Let it finish what it builds, and give it nothing new." },
  { 0 },
};

static const struct example key_examples[] = {
  { "panoply key show | sudo guix archive --authorize", "Trust the substitutes of this server." },
  { 0 },
};

static const struct example cache_examples[] = {
  { "panoply cache check", "Is every file of the cache there, and whole?" },
  { "panoply cache check --withdraw", "Have what is lost made again." },
  { 0 },
};

static const struct example queue_examples[] = {
  { "panoply queue", "How much waits, and since when." },
  { 0 },
};

static const struct example overview_examples[] = {
  { "panoply overview", "What fails, and since when." },
  { "panoply overview --follow", "The same, on a screen that stays." },
  { 0 },
};

static const struct example search_examples[] = {
  { "panoply search emacs", "Jobs whose name contains that." },
  { "panoply search /gnu/store/p1yq8hl3l8rh6gadfpg4cj1lfcyxnryd-hello-2.12",
    "Is it offered, and which build made it?" },
  { 0 },
};

static const struct example events_examples[] = {
  { "panoply events", "All that happens, until Ctrl-C." },
  { "panoply events --kind build. --json", "What happens to builds, a JSON object a line." },
  { "panoply events --since 0-0 --limit 100", "The first hundred events that are kept." },
  { 0 },
};

static const struct example doctor_examples[] = {
  { "panoply doctor", "Ask the server of PANOPLY_URL how it is." },
  { 0 },
};

static const struct example completion_examples[] = {
  { "source <(panoply completion bash)", "Complete in this bash." },
  { "panoply completion fish > ~/.config/fish/completions/panoply.fish", "In every new fish." },
  { 0 },
};

#define FOLLOWING                                                                                  \
  "With --follow it is shown again whenever something happens: on a terminal in place, elsewhere " \
  "below, and of a list then only the rows that are new or have changed; with --json each of "     \
  "them is a line."

const struct command cli_commands[] = {
  { .name = "serve",
    .help = "run the server",
    .description =
        "Runs a server: pages, the JSON API, substitutes, the scheduler and the evaluator; it ends "
        "at SIGTERM or SIGINT. Several processes may share one database, each with some of these "
        "roles.\n\n"
        "Without --database it makes and runs a private PostgreSQL in the state folder. At its "
        "first start it makes a signing key, an administrator token (admin-token) and a joining "
        "token for agents (join-token) there.\n\n"
        "A file given by --config takes the same options, one NAME = VALUE a line; the command "
        "line wins.",
    .options = serve_options_table,
    .arguments = "",
    .run = cli_serve,
    .examples = serve_examples },
  { .name = "agent",
    .help = "run the agent of a build machine",
    .description =
        "Builds for a server on this machine, through its guix-daemon. It dials in, so it may "
        "stand behind NAT, and nothing connects to it. A joining token is needed once: the agent "
        "then has a token of its own in its state folder.\n\n"
        "guix-daemon imports only what a known key has signed, so the agent puts the server's key "
        "into /etc/guix/acl: it runs as root, or the key must be there already.",
    .options = cli_agent_options,
    .arguments = "--server URL ",
    .run = cli_agent,
    .examples = agent_examples },
  { .name = "spec",
    .help = "specifications: what to evaluate and build",
    .description =
        "A specification names channels, and what of them is to be built, as "
        "JSON: " SPECIFICATION_GUIDE
        " tells how. The server looks at the channels by a period, evaluates "
        "each new state of them, and builds what is new.\n\n"
        "The verbs that change something wait until the channels were looked at, 15 seconds at "
        "most, and fail when that fails; the specification is kept all the same.\n\n" FOLLOWING,
    .verbs = cli_spec_verbs,
    .examples = spec_examples },
  { .name = "evaluation",
    .help = "evaluations of specifications",
    .description = "An evaluation is what Guix computed from one state of a specification's "
                   "channels: jobs, each with a build, and errors.\n\n" FOLLOWING
                   " Following one evaluation ends when it and all its builds have ended.",
    .verbs = cli_evaluation_verbs,
    .examples = evaluation_examples },
  { .name = "build",
    .help = "builds, their logs, why they wait",
    .description = "A build is the wish to have the outputs of a derivation; each try by an agent "
                   "is an attempt, with a log of its own.\n\n" FOLLOWING
                   " Following one build ends with it. A log that is followed goes on where it was "
                   "when a connection is lost.",
    .verbs = cli_build_verbs,
    .examples = build_examples },
  { .name = "agents",
    .help = "build machines, and tokens for new ones",
    .description = "An agent is a build machine that has enrolled with a joining token. One that "
                   "is paused finishes what it builds.\n\n" FOLLOWING,
    .verbs = cli_agents_verbs,
    .examples = agents_examples },
  { .name = "key",
    .help = "the key that signs substitutes",
    .description = "Users trust the substitutes of a server when its public key is in their "
                   "/etc/guix/acl. A new key makes each of them authorize it anew.",
    .verbs = cli_key_verbs,
    .examples = key_examples },
  { .name = "cache",
    .help = "whether all that is offered is there",
    .description = "Files of the cache that a disk has lost stay offered, and fail, until a check "
                   "is told to withdraw them.",
    .verbs = cli_cache_verbs,
    .examples = cache_examples },
  { .name = "overview",
    .help = "what needs attention",
    .description =
        "Specifications whose channels cannot be reached or whose evaluation failed, "
        "jobs that are broken and since which evaluation, evaluations with new errors, "
        "and agents that are away; then how many builds there are in each state.\n\n" FOLLOWING,
    .verbs = cli_overview_verbs,
    .examples = overview_examples },
  { .name = "queue",
    .help = "what waits, by system and by specification",
    .description = "Tells how many builds wait and run, since when the oldest waits, and how many "
                   "agents there are for it.\n\n" FOLLOWING,
    .verbs = cli_queue_verbs,
    .examples = queue_examples },
  { .name = "search",
    .help = "find jobs, store items, commits and names",
    .description = "Looks for jobs by a part of their name, for store items by their path or the "
                   "beginning of its hash, for commits by hash or subject, and for what has that "
                   "name or number. The exit status is 1 when nothing fits.",
    .verbs = cli_search_verbs,
    .examples = search_examples },
  { .name = "events",
    .help = "all that happens, as it happens",
    .description =
        "Follows the server's stream of events, a line each: time, kind, and what is known. A lost "
        "connection is dialled again, and nothing is missed. With --json each line is the event as "
        "the API has it. It ends after --limit events, or when it is stopped.",
    .verbs = cli_events_verbs,
    .examples = events_examples },
  { .name = "doctor",
    .help = "look for what is wrong with a server",
    .description = "Asks a server how it is, and says where to look: a scheduler that is missing, "
                   "agents that are, channels that cannot be reached, evaluations that failed or "
                   "are worse, jobs that are broken, files that are lost. The exit status is 1 "
                   "when something needs attention.",
    .verbs = cli_doctor_verbs,
    .examples = doctor_examples },
  { .name = "completion",
    .help = "completion for bash, zsh or fish",
    .description =
        "Prints a script that has a shell complete commands, verbs, options and what they name: "
        "specifications, evaluations, builds, agents, as the server of PANOPLY_URL has them. A "
        "server that does not answer within a second completes nothing.",
    .arguments = "bash|zsh|fish ",
    .run = cli_completion,
    .examples = completion_examples },
  { 0 },
};

const struct command *
cli_find_command(const char *name)
{
  for (const struct command *command = cli_commands; command->name != NULL; command++)
    if (strcmp(command->name, name) == 0)
      return command;
  return NULL;
}
