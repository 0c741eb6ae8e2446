/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The commands that run for long: serve and agent. */
#include <errno.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "agent/agent.h"
#include "base/options.h"
#include "cli/cli.h"
#include "db/db.h"
#include "serve/serve.h"

#define SYSTEMS_MAX 16

/* What cannot work because of how it was asked for, as against what broke. */
static int
program_status(int code)
{
  switch (-code) {
  case EINVAL:
  case ENOENT:
  case ENOTDIR:
  case EADDRINUSE:
  case EADDRNOTAVAIL:
  case EBUSY:
  case ENAMETOOLONG:
  case EACCES:
  case EPERM:
  case ENOTSUP:
  case ECONNREFUSED:
  case EHOSTUNREACH:
  case DB_ERROR_LOST:
  case DB_ERROR_FAILED:
    return CLI_USAGE;
  default:
    return CLI_FAILED;
  }
}

static int
fail_to_parse(const char *command, struct error *err)
{
  if (err->hint[0] == '\0')
    error_hint(err, "See 'panoply %s --help'.", command);
  return cli_fail(CLI_USAGE, err);
}

int
cli_serve(int argc, char **argv)
{
  struct error err = { 0 };
  struct arena arena = { 0 };
  struct serve_options options;
  int r = serve_options_parse(argc, argv, &arena, &options, &err);
  int status = CLI_DONE;
  if (r < 0)
    status = fail_to_parse("serve", &err);
  else if (r == 0) {
    r = serve_run(&options, &err);
    status = r < 0 ? cli_fail(program_status(r), &err) : CLI_DONE;
  }
  arena_free(&arena);
  return status;
}

/* ---- agent ---- */

static volatile int stop_asked;
static int stop_event = -1;

static void
on_signal(int signal)
{
  (void) signal;
  stop_asked = 1;
  uint64_t one = 1;
  (void) !write(stop_event, &one, sizeof one);
}

/* What the table fills: systems are then split. */
struct agent_command
{
  struct agent_options options;
  const char *systems;
};

#define MEMBER(member) offsetof(struct agent_command, member)

const struct option cli_agent_options[] = {
  { "server", OPTION_TEXT, MEMBER(options.server), 0, 0, NULL, "URL", "the server" },
  { "token-file", OPTION_TEXT, MEMBER(options.token_file), 0, 0, NULL, "FILE",
    "this agent's own token [STATE/token]" },
  { "join-token-file", OPTION_TEXT, MEMBER(options.join_token_file), 0, 0, NULL, "FILE",
    "earns one, at first start" },
  { "name", OPTION_TEXT, MEMBER(options.name), 0, 0, NULL, "NAME",
    "how the server calls this machine [host name]" },
  { "state", OPTION_TEXT, MEMBER(options.state), 0, 0, "/var/lib/panoply-agent", "DIR",
    "token and spooled logs" },
  { "store-root", OPTION_TEXT, MEMBER(options.store_root), 0, 0, "", "DIR",
    "prefix in front of /gnu/store, /var/guix and /etc/guix" },
  { "daemon-socket", OPTION_TEXT, MEMBER(options.daemon_socket), 0, 0, NULL, "FILE",
    "guix-daemon's socket [/var/guix/daemon-socket/socket]" },
  { "systems", OPTION_TEXT, MEMBER(systems), 0, 0, NULL, "A,B",
    "what it builds for [what this machine's processor runs]" },
  { "jobs", OPTION_NUMBER, MEMBER(options.jobs), 1, 1024, "1", "N", "builds at once" },
  { "cores", OPTION_NUMBER, MEMBER(options.cores), 0, 1024, "0", "N", "for each build; 0 = all" },
  { "uploads", OPTION_NUMBER, MEMBER(options.uploads), 1, 8, "4", "N", "of one build, at once" },
  { 0 },
};

static void
print_agent_help(void)
{
  fputs("Usage: panoply agent --server URL [OPTION]...\n"
        "Builds for a server on this machine, through its guix-daemon.\n\n",
        stdout);
  options_print(cli_agent_options, stdout);
}

static int
split_systems(const char *value, struct arena *arena, struct agent_options *options,
              struct error *err)
{
  const char **systems = arena_array(arena, SYSTEMS_MAX + 1, sizeof *systems);
  struct str rest = str_of(value);
  struct str system;
  size_t count = 0;
  while (str_split(&rest, ',', &system)) {
    if (count == SYSTEMS_MAX || system.size == 0)
      return error_set(err, -EINVAL, "--systems takes 1 to %d names with commas between them",
                       SYSTEMS_MAX);
    systems[count++] = arena_printf(arena, "%.*s", STR_FMT(system));
  }
  options->systems = systems;
  return 0;
}

/* 1 = help was asked for. */
static int
parse_agent(int argc, char **argv, struct arena *arena, struct agent_options *ret,
            struct error *err)
{
  struct agent_command command = { 0 };
  options_set_defaults(cli_agent_options, &command);
  for (int i = 1; i < argc; i++) {
    const struct option *option;
    if (strcmp(argv[i], "--help") == 0)
      return 1;
    int r = options_take(cli_agent_options, argc, argv, &i, &command, &option, err);
    if (r == 0)
      return error_set(err, -EINVAL, "unexpected argument \"%s\"", argv[i]);
    if (r < 0)
      return r;
  }
  if (command.options.server == NULL)
    return error_set(err, -EINVAL, "--server URL is missing");
  *ret = command.options;
  return command.systems == NULL ? 0 : split_systems(command.systems, arena, ret, err);
}

static int
run_agent(const struct agent_options *options, struct error *err)
{
  stop_event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (stop_event < 0)
    return error_set_errno(err, "cannot make an eventfd");
  const struct sigaction action = { .sa_handler = on_signal };
  sigaction(SIGTERM, &action, NULL);
  sigaction(SIGINT, &action, NULL);
  return agent_run(options, &stop_asked, stop_event, err);
}

int
cli_agent(int argc, char **argv)
{
  struct error err = { 0 };
  struct arena arena = { 0 };
  struct agent_options options;
  int r = parse_agent(argc, argv, &arena, &options, &err);
  int status = CLI_DONE;
  if (r == 1)
    print_agent_help();
  else if (r < 0)
    status = fail_to_parse("agent", &err);
  else if ((r = run_agent(&options, &err)) < 0)
    status = cli_fail(program_status(r), &err);
  arena_free(&arena);
  return status;
}
