/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The commands that run for long: serve and agent. */
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "agent/agent.h"
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

int
cli_serve(int argc, char **argv)
{
  struct error err = { 0 };
  struct arena arena = { 0 };
  struct serve_options options;
  int r = serve_options_parse(argc, argv, &arena, &options, &err);
  int status = CLI_DONE;
  if (r < 0) {
    if (err.hint[0] == '\0')
      error_hint(&err, "See 'panoply serve --help'.");
    status = cli_fail(CLI_USAGE, &err);
  } else if (r == 0) {
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

static const char agent_help[] =
    "Usage: panoply agent --server URL [OPTION]...\n"
    "Builds for a server on this machine, through its guix-daemon.\n\n"
    "  --server URL             the server\n"
    "  --token-file FILE        this agent's own token [STATE/token]\n"
    "  --join-token-file FILE   earns one, at first start\n"
    "  --name NAME              how the server calls this machine [host name]\n"
    "  --state DIR              token and spooled logs [/var/lib/panoply-agent]\n"
    "  --store-root DIR         prefix in front of /gnu/store and /var/guix\n"
    "  --daemon-socket FILE     guix-daemon's socket\n"
    "  --systems A,B            what it builds for [this machine's]\n"
    "  --jobs N                 builds at once [1]\n"
    "  --cores N                for each build; 0 = all [0]\n"
    "  --uploads N              of one build, at once [4]\n";

static const struct option agent_options_table[] = {
  { "server", required_argument, NULL, 's' },
  { "token-file", required_argument, NULL, 't' },
  { "join-token-file", required_argument, NULL, 'j' },
  { "name", required_argument, NULL, 'n' },
  { "state", required_argument, NULL, 'd' },
  { "store-root", required_argument, NULL, 'r' },
  { "daemon-socket", required_argument, NULL, 'k' },
  { "systems", required_argument, NULL, 'y' },
  { "jobs", required_argument, NULL, 'J' },
  { "cores", required_argument, NULL, 'c' },
  { "uploads", required_argument, NULL, 'u' },
  { "help", no_argument, NULL, 'h' },
  { 0 },
};

static int
read_number(const char *name, const char *value, int low, int high, int *ret, struct error *err)
{
  int64_t number;
  if (str_to_i64(str_of(value), &number) < 0 || number < low || number > high)
    return error_set(err, -EINVAL, "--%s takes a number from %d to %d, not \"%s\"", name, low, high,
                     value);
  *ret = (int) number;
  return 0;
}

static int
read_systems(const char *value, struct arena *arena, struct agent_options *options,
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

static int
set_agent_option(int letter, const char *value, struct arena *arena, struct agent_options *options,
                 struct error *err)
{
  const struct
  {
    int letter;
    const char **text;
  } texts[] = {
    { 's', &options->server },          { 't', &options->token_file },
    { 'j', &options->join_token_file }, { 'n', &options->name },
    { 'd', &options->state },           { 'r', &options->store_root },
    { 'k', &options->daemon_socket },
  };
  for (size_t i = 0; i < ARRAY_SIZE(texts); i++)
    if (texts[i].letter == letter) {
      *texts[i].text = value;
      return 0;
    }
  if (letter == 'y')
    return read_systems(value, arena, options, err);
  if (letter == 'J')
    return read_number("jobs", value, 1, 1024, &options->jobs, err);
  if (letter == 'c')
    return read_number("cores", value, 0, 1024, &options->cores, err);
  if (letter == 'u')
    return read_number("uploads", value, 1, 8, &options->uploads, err);
  return -EINVAL;
}

/* getopt_long has said ':' or '?' about the word before `optind`. */
static int
refuse_option(int letter, char **argv, struct error *err)
{
  error_set(err, -EINVAL, letter == ':' ? "%s needs a value" : "there is no option %s",
            argv[optind - 1]);
  return error_hint(err, "See 'panoply agent --help'.");
}

/* 1 = help was asked for. */
static int
parse_agent(int argc, char **argv, struct arena *arena, struct agent_options *options,
            struct error *err)
{
  int letter;
  opterr = 0;
  while ((letter = getopt_long(argc, argv, ":", agent_options_table, NULL)) != -1) {
    if (letter == 'h')
      return 1;
    if (letter == ':' || letter == '?')
      return refuse_option(letter, argv, err);
    int r = set_agent_option(letter, optarg, arena, options, err);
    if (r < 0)
      return r;
  }
  if (optind < argc)
    return error_set(err, -EINVAL, "unexpected argument \"%s\"", argv[optind]);
  if (options->server == NULL)
    return error_set(err, -EINVAL, "--server URL is missing");
  return 0;
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
  struct agent_options options = { .store_root = "" };
  int r = parse_agent(argc, argv, &arena, &options, &err);
  int status = CLI_DONE;
  if (r == 1)
    fputs(agent_help, stdout);
  else if (r < 0)
    status = cli_fail(CLI_USAGE, &err);
  else if ((r = run_agent(&options, &err)) < 0)
    status = cli_fail(program_status(r), &err);
  arena_free(&arena);
  return status;
}
