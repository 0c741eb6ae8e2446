/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <stdio.h>
#include <string.h>

#include "cli/cli.h"

static const struct
{
  const char *name;
  int (*run)(int argc, char **argv);
  const char *help;
} commands[] = {
  { "serve", cli_serve, "run the server" },
  { "agent", cli_agent, "run the agent of a build machine" },
  { "spec", cli_spec, "specifications: what to evaluate and build" },
  { "evaluation", cli_evaluation, "evaluations of specifications" },
  { "build", cli_build, "builds, their logs, why they wait" },
  { "agents", cli_agents, "build machines, and tokens for new ones" },
  { "key", cli_key, "the key that signs substitutes" },
  { "cache", cli_cache, "whether all that is offered is there" },
  { "doctor", cli_doctor, "look for what is wrong with a server" },
};

static void
print_help(FILE *out)
{
  fputs("Usage: panoply COMMAND [ARGUMENT]...\n"
        "Carries a GNU Guix change from commit to signed substitutes.\n\n",
        out);
  for (size_t i = 0; i < ARRAY_SIZE(commands); i++)
    fprintf(out, "  %-12s %s\n", commands[i].name, commands[i].help);
  fputs("\n'panoply COMMAND --help' tells more. Client commands ask the server at --url or\n"
        "PANOPLY_URL (http://127.0.0.1:8080); what changes something needs the administrator\n"
        "token, in PANOPLY_TOKEN or in the file that --token-file names.\n"
        "Exit status: 0 done, 1 what was asked for failed, 2 it was asked for wrongly.\n",
        out);
}

/* What could not be written (a full disk) was not done. */
static int
end(int status)
{
  if (fflush(stdout) == 0 && !ferror(stdout))
    return status;
  perror("panoply: cannot write to standard output");
  return status == CLI_DONE ? CLI_FAILED : status;
}

int
main(int argc, char **argv)
{
  const char *name = argc > 1 ? argv[1] : "";
  for (size_t i = 0; i < ARRAY_SIZE(commands); i++)
    if (strcmp(commands[i].name, name) == 0)
      return end(commands[i].run(argc - 1, argv + 1));
  if (strcmp(name, "--version") == 0) {
    puts("panoply " PANOPLY_VERSION);
    return end(CLI_DONE);
  }
  if (strcmp(name, "--help") == 0 || strcmp(name, "help") == 0) {
    print_help(stdout);
    return end(CLI_DONE);
  }
  if (name[0] == '\0')
    print_help(stderr);
  else
    fprintf(stderr, "panoply: there is no command \"%s\"; see 'panoply --help'\n", name);
  return CLI_USAGE;
}
