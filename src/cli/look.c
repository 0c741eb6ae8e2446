/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Waiting for the look at a specification's channels that a command has asked for: whoever
   misspelt a URL is to learn it now. */
#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "base/clock.h"
#include "cli/cli.h"
#include "cli/view.h"

#define WAIT_MS 15000 /* a big repository takes longer; that is no failure */
#define PAUSE_MS 100

void
cli_show_progress(const char *line)
{
  if (!isatty(STDERR_FILENO))
    return;
  fprintf(stderr, "\r\x1b[K%s", line);
  (void) fflush(stderr);
}

void
cli_say_away(bool *said, const char *what)
{
  char line[128];
  snprintf(line, sizeof line, "panoply: %s ...", what);
  cli_show_progress(line);
  if (!*said && !isatty(STDERR_FILENO))
    fprintf(stderr, "panoply: %s\n", what);
  *said = true;
}

void
cli_say_back(bool *said)
{
  if (*said && !isatty(STDERR_FILENO))
    fputs("panoply: it answers again\n", stderr);
  else if (*said)
    cli_show_progress("");
  *said = false;
}

static bool
is_pending(const json_t *specification)
{
  return json_is_string(json_object_get(specification, "requested_at"));
}

static int
fail_look(const char *name, const char *failure)
{
  struct error err = { 0 };
  error_set(&err, -EIO, "the channels of %s cannot be looked at: %s", name, failure);
  error_hint(&err,
             "The specification is kept: change it with 'panoply spec edit %s FILE', look again "
             "with 'panoply spec evaluate %s', or take it away with 'panoply spec delete %s'.",
             name, name, name);
  return cli_fail(CLI_FAILED, &err);
}

int
cli_await_look(struct cli *cli, const char *name, json_t **ret)
{
  const char *path = arena_printf(&cli->arena, "/specifications/%s", cli_encode(cli, name));
  int64_t deadline = clock_monotonic_ms() + WAIT_MS;
  json_t *specification = NULL;
  int status = cli_get(cli, path, "name:text definition:object", &specification);
  while (status == CLI_DONE && is_pending(specification) && clock_monotonic_ms() < deadline) {
    cli_show_progress("Looking at its channels ...");
    clock_sleep_ms(PAUSE_MS);
    json_decref(specification);
    specification = NULL;
    status = cli_get(cli, path, "name:text definition:object", &specification);
  }
  cli_show_progress("");
  *ret = specification;
  return status;
}

int
cli_end_look(struct cli *cli, const char *name, json_t *specification, const char *change,
             const char *news)
{
  const char *failure = json_string_value(json_object_get(specification, "failure"));
  bool pending = is_pending(specification);
  bool failed = !pending && failure != NULL;
  if (cli->json)
    cli_print_json(cli, specification);
  else if (change != NULL)
    puts(change);
  if (!cli->json && pending)
    printf("its channels are still being looked at: see 'panoply spec show %s'\n", name);
  else if (!cli->json && !failed && news != NULL)
    puts(news);
  int status = failed ? fail_look(name, failure) : CLI_DONE;
  json_decref(specification);
  return status;
}
