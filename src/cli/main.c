/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/near.h"
#include "evaluation/evaluation.h"

/* Not for people: what installed files and scripts ask for. */
static const struct
{
  const char *name;
  int (*run)(int count, char **words);
} hidden[] = {
  { "complete", cli_complete },
  { "manual", cli_manual },
};

static void
print_help(FILE *out)
{
  fputs("Usage: panoply COMMAND [ARGUMENT]...\n"
        "Carries a GNU Guix change from commit to signed substitutes.\n\n",
        out);
  for (const struct command *command = cli_commands; command->name != NULL; command++)
    fprintf(out, "  %-12s %s\n", command->name, command->help);
  fputs("\n'panoply COMMAND --help' tells more. Client commands ask the server at --url or\n"
        "PANOPLY_URL (http://127.0.0.1:8080); what changes something needs the administrator\n"
        "token, in PANOPLY_TOKEN or in the file that --token-file names.\n"
        "Exit status: 0 done, 1 what was asked for failed, 2 a wrong command line, no token,\n"
        "or a server that does not answer.\n",
        out);
}

static void
refuse_command(const char *name)
{
  struct error err = { 0 };
  const char *nearest = NULL;
  size_t distance = NEAR_MOST + 1;
  for (const struct command *command = cli_commands; command->name != NULL; command++) {
    size_t its = near_distance(str_of(name), str_of(command->name));
    nearest = its < distance ? command->name : nearest;
    distance = its < distance ? its : distance;
  }
  error_set(&err, -EINVAL, "there is no command \"%s\"", name);
  if (nearest != NULL)
    error_hint(&err, "Did you mean 'panoply %s'? See 'panoply --help'.", nearest);
  else
    error_hint(&err, "See 'panoply --help'.");
  (void) cli_fail(CLI_USAGE, &err);
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
  const struct command *command = cli_find_command(name);
  if (command != NULL && command->verbs != NULL)
    return end(cli_dispatch(command, argc - 1, argv + 1));
  if (command != NULL)
    return end(command->run(argc - 1, argv + 1));
  for (size_t i = 0; i < ARRAY_SIZE(hidden); i++)
    if (strcmp(hidden[i].name, name) == 0)
      return end(hidden[i].run(argc - 2, argv + 2));
  if (strcmp(name, KEEPER_COMMAND) == 0)
    return evaluation_keep(argv + 2);
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
    refuse_command(name);
  return CLI_USAGE;
}
