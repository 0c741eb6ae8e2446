/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Pages of the manual, in mdoc(7), from the same table as everything else. The build
   calls this for each of them. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "cli/cli.h"

#define DATE "November 23, 2026"
#define WIDTH 76 /* of a line of source */

/* ---- text ---- */

/* A word at the beginning of a line that mdoc would take for an order, and backslashes. */
static size_t
put_word(struct str word, bool first)
{
  if (first && word.size > 0 && (word.data[0] == '.' || word.data[0] == '\''))
    fputs("\\&", stdout);
  for (size_t i = 0; i < word.size; i++)
    if (word.data[i] == '\\')
      fputs("\\e", stdout);
    else
      putchar(word.data[i]);
  return word.size;
}

/* Lines of at most WIDTH, and of one sentence. */
static void
put_text(struct str text)
{
  size_t column = 0;
  struct str word;
  while (str_split(&text, ' ', &word)) {
    bool begins = column == 0 || column + 1 + word.size > WIDTH;
    if (column > 0)
      putchar(begins ? '\n' : ' ');
    column = (begins ? 0 : column + 1) + put_word(word, begins);
    if (str_ends(word, STR(".")) && text.data != NULL && text.data[0] >= 'A'
        && text.data[0] <= 'Z') {
      putchar('\n');
      column = 0;
    }
  }
  putchar('\n');
}

/* A line of help as a sentence. */
static void
put_sentence(const char *help)
{
  char text[256];
  size_t size = strlen(help);
  bool ends = size > 0 && help[size - 1] == '.';
  snprintf(text, sizeof text, "%s%s", help, ends ? "" : ".");
  if (text[0] >= 'a' && text[0] <= 'z' && strncmp(text, "guix", 4) != 0)
    text[0] = (char) (text[0] - 32);
  put_text(str_of(text));
}

/* Paragraphs with an empty line between them. */
static void
put_paragraphs(const char *text)
{
  struct str rest = str_of(text);
  struct str line;
  while (str_split(&rest, '\n', &line))
    if (line.size == 0)
      puts(".Pp");
    else
      put_text(line);
}

/* ---- pieces of pages ---- */

static void
put_head(const char *suffix, const char *help)
{
  char title[64] = "PANOPLY";
  size_t size = strlen(title);
  for (size_t i = 0; suffix[i] != '\0' && size + 1 < sizeof title; i++)
    title[size++] = suffix[i] >= 'a' && suffix[i] <= 'z' ? (char) (suffix[i] - 32) : suffix[i];
  title[size] = '\0';
  printf(".\\\" SPDX-License-Identifier: GPL-3.0-or-later\n.\\\" Made by 'panoply manual'.\n"
         ".Dd " DATE "\n.Dt %s 1\n.Os\n.Sh NAME\n.Nm panoply%s\n.Nd %s\n",
         title, suffix, help);
}

/* " Op Fl -json" or " Op Fl -limit Ar N", as a line of a synopsis. */
static void
put_optional(const struct option *option)
{
  printf(".Op Fl -%s", option->name);
  if (option->placeholder != NULL)
    printf(" Ar %s", option->placeholder);
  putchar('\n');
}

/* Words in capitals stand for others: ".Cm token create", ".Op Ar NAME", ".Ar DRV ...". */
static void
put_words(const char *words)
{
  struct str rest = str_of(words);
  struct str word;
  while (str_split(&rest, ' ', &word)) {
    bool optional = str_starts(word, STR("["));
    if (optional)
      word = str_make(word.data + 1, word.size - 2);
    bool many = str_ends(word, STR("..."));
    word.size -= many ? 3 : 0;
    bool is_name = word.size > 0 && word.data[0] >= 'A' && word.data[0] <= 'Z';
    if (word.size > 0)
      printf(".%s%s %.*s%s\n", optional ? "Op " : "", is_name ? "Ar" : "Cm", STR_FMT(word),
             many ? " ..." : "");
  }
}

static bool
takes(const struct verb *verb, size_t index)
{
  return (verb->options & 1u << index) != 0;
}

/* Options that every client command has are told once, below. */
static void
put_verb_synopsis(const struct command *command, const struct verb *verb)
{
  printf(".Nm panoply %s\n", command->name);
  put_words(verb->name);
  put_words(verb->arguments);
  for (size_t i = 0; cli_options[i].name != NULL; i++)
    if (takes(verb, i) && (CLI_TEXT & 1u << i) == 0)
      put_optional(&cli_options[i]);
}

static void
put_synopsis(const struct command *command)
{
  puts(".Sh SYNOPSIS");
  for (const struct verb *verb = command->verbs; verb != NULL && verb->name != NULL; verb++)
    put_verb_synopsis(command, verb);
  if (command->verbs != NULL)
    return;
  printf(".Nm panoply %s\n", command->name);
  if (command->run == cli_completion)
    puts(".Cm bash | zsh | fish");
  for (const struct option *option = command->options; option != NULL && option->name != NULL;
       option++)
    put_optional(option);
}

static void
put_verbs(const struct command *command)
{
  if (command->verbs == NULL || command->verbs->name[0] == '\0')
    return;
  puts(".Pp\nThe verbs are:\n.Bl -tag -width Ds");
  for (const struct verb *verb = command->verbs; verb->name != NULL; verb++) {
    printf(".It Cm %s", verb->name);
    if (verb->arguments[0] != '\0')
      printf(" Ar %s", verb->arguments);
    putchar('\n');
    put_sentence(verb->help);
  }
  puts(".El");
}

static void
put_option(const struct option *option)
{
  printf(".It Fl -%s", option->name);
  if (option->placeholder != NULL)
    printf(" Ar %s", option->placeholder);
  putchar('\n');
  put_sentence(option->help);
  if (option->type != OPTION_FLAG && option->value != NULL && option->value[0] != '\0')
    printf("The default is\n.Ql %s .\n", option->value);
}

static void
put_options(const struct command *command)
{
  const struct option *table = command->verbs != NULL ? cli_options : command->options;
  unsigned taken = 0;
  for (const struct verb *verb = command->verbs; verb != NULL && verb->name != NULL; verb++)
    taken |= verb->options;
  if (table == NULL)
    return;
  puts(".Sh OPTIONS\n.Bl -tag -width Ds");
  for (size_t i = 0; table[i].name != NULL; i++)
    if (command->verbs == NULL || (taken & 1u << i) != 0)
      put_option(&table[i]);
  puts(".It Fl -help\nTell what there is, and end.\n.El");
}

static void
put_environment(bool of_client)
{
  puts(".Sh ENVIRONMENT\n.Bl -tag -width Ds");
  if (of_client)
    puts(".It Ev PANOPLY_URL\nThe server;\n.Ql http://127.0.0.1:8080\nunless set.\n"
         ".It Ev PANOPLY_TOKEN\nThe administrator token, which whatever changes something needs.\n"
         ".It Ev NO_COLOR\nIf set and not empty, states have no colours on a terminal.\n"
         ".It Ev COLUMNS\nHow wide tables may be on a terminal that does not tell.");
  else
    puts(".It Ev PATH\nWhere programs that are not named by a full path are looked for.");
  puts(".El");
}

static void
put_exit_status(void)
{
  puts(
      ".Sh EXIT STATUS\n.Bl -tag -width Ds\n.It 0\nIt is done.\n.It 1\nWhat was asked for failed.\n"
      ".It 2\nThe command line is wrong, the token is missing, or the server does not "
      "answer.\n.El");
}

static void
put_examples(const struct command *command)
{
  puts(".Sh EXAMPLES\n.Bl -tag -width Ds");
  for (const struct example *example = command->examples; example->command != NULL; example++) {
    printf(".It Li \"%s\"\n", example->command);
    put_text(str_of(example->effect));
  }
  puts(".El");
}

/* ---- pages ---- */

static void
put_command_page(const struct command *command)
{
  char suffix[32];
  snprintf(suffix, sizeof suffix, "-%s", command->name);
  put_head(suffix, command->help);
  put_synopsis(command);
  puts(".Sh DESCRIPTION");
  put_paragraphs(command->description);
  put_verbs(command);
  put_options(command);
  put_environment(command->verbs != NULL || command->run == cli_completion);
  put_exit_status();
  put_examples(command);
  puts(".Sh SEE ALSO\n.Xr panoply 1");
}

/* In the order of the alphabet. */
static void
put_references(void)
{
  const struct command *last = NULL;
  for (;;) {
    const struct command *next = NULL;
    for (const struct command *command = cli_commands; command->name != NULL; command++)
      if ((last == NULL || strcmp(command->name, last->name) > 0)
          && (next == NULL || strcmp(command->name, next->name) < 0))
        next = command;
    if (next == NULL)
      break;
    printf("%s.Xr panoply-%s 1", last == NULL ? "" : " ,\n", next->name);
    last = next;
  }
  putchar('\n');
}

static void
put_main_page(void)
{
  put_head("", "carry a GNU Guix change from commit to signed substitutes");
  puts(".Sh SYNOPSIS\n.Nm\n.Ar command\n.Op Ar argument ...\n.Nm\n.Fl -help | -version\n"
       ".Sh DESCRIPTION\nOne program is server, agent of a build machine, and client.\n"
       "The client commands ask a server through its JSON API.\nThe commands are:\n"
       ".Bl -tag -width Ds");
  for (const struct command *command = cli_commands; command->name != NULL; command++) {
    printf(".It Xr panoply-%s 1\n", command->name);
    put_sentence(command->help);
  }
  puts(".El\n.Pp\nTables fit the terminal: where one is too wide, columns that tell less are left "
       "out.\n"
       "Where standard output is no terminal all are there, nothing is cut, and times, sizes and\n"
       "durations are exact: in UTC, bytes and seconds.\n"
       "With\n.Fl -json\nstandard output is the server's JSON and nothing else.");
  put_environment(true);
  put_exit_status();
  puts(".Sh EXAMPLES\n.Bl -tag -width Ds");
  puts(".It Li \"panoply doctor\"\nIs the server well?\n"
       ".It Li \"panoply build list --state failed\"\nWhat has failed?\n.El\n.Sh SEE ALSO");
  put_references();
}

int
cli_manual(int count, char **words)
{
  struct error err = { 0 };
  const struct command *command = count == 1 ? cli_find_command(words[0]) : NULL;
  if (count == 1 && strcmp(words[0], "panoply") == 0) {
    put_main_page();
    return CLI_DONE;
  }
  if (command == NULL) {
    error_set(&err, -EINVAL, "usage: panoply manual panoply|COMMAND");
    return cli_fail(CLI_USAGE, &err);
  }
  put_command_page(command);
  return CLI_DONE;
}
