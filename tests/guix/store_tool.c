/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Lets a test drive libguixstore: one connection to the guix-daemon whose
   socket is the argument. Each line of input is a verb and its arguments, with
   tabs between; each answer is JSON, a line for every event and then one for
   the result: {"result": N, "values": [...]} or {"error": "EREMOTEIO",
   "status": 100, "message": "..."}. SIGUSR1 cancels what is going on. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/file.h"
#include "base/json.h"
#include "base/mem.h"
#include "guix/archive.h"
#include "guix/daemon.h"

#define ARGUMENTS_MAX 64

struct tool
{
  struct guix_daemon *daemon;
  struct arena arena; /* of one request */
  struct str arguments[ARGUMENTS_MAX];
  size_t count;
  struct json out; /* inside "values" */
  struct error err;
};

/* ---- output ---- */

static void
print_line(struct buf *line)
{
  buf_append_char(line, '\n');
  fwrite(line->data, 1, line->size, stdout);
  fflush(stdout);
}

static void
print_event(void *context, const struct guix_event *event)
{
  static const char *const kinds[] = {
    [GUIX_EVENT_LOG] = "log",
    [GUIX_EVENT_MESSAGE] = "message",
    [GUIX_EVENT_BUILD_STARTED] = "build-started",
    [GUIX_EVENT_BUILD_SUCCEEDED] = "build-succeeded",
    [GUIX_EVENT_BUILD_FAILED] = "build-failed",
    [GUIX_EVENT_HOOK_FAILED] = "hook-failed",
    [GUIX_EVENT_HASH_MISMATCH] = "hash-mismatch",
    [GUIX_EVENT_SUBSTITUTER] = "substituter",
    [GUIX_EVENT_DOWNLOAD] = "download",
  };
  (void) context;
  CLEANUP_BUF struct buf line = { 0 };
  struct json json = json_begin(&line);
  json_object_open(&json);
  json_put_cstr(&json, "event", kinds[event->kind]);
  json_put_text(&json, "drv", event->drv);
  json_put_text(&json, "system", event->system);
  json_put_text(&json, "log_file", event->log_file);
  json_put_text(&json, "reason", event->reason);
  json_put_text(&json, "item", event->item);
  json_put_text(&json, "algorithm", event->algorithm);
  json_put_text(&json, "expected", event->expected);
  json_put_text(&json, "actual", event->actual);
  json_put_text(&json, "text", event->text);
  json_put_i64(&json, "pid", event->pid);
  json_object_close(&json);
  print_line(&line);
}

static void
put_all(struct tool *tool, const struct str *texts, size_t count)
{
  for (size_t i = 0; i < count; i++)
    json_text(&tool->out, texts[i]);
}

/* ---- verbs ---- */

static struct str
argument(const struct tool *tool, size_t index)
{
  return index < tool->count ? tool->arguments[index] : STR("");
}

static int64_t
number(const struct tool *tool, size_t index)
{
  int64_t value;
  return str_to_i64(argument(tool, index), &value) == 0 ? value : 0;
}

/* NUL-terminated, as all arguments are. */
static const char *
text(const struct tool *tool, size_t index)
{
  return argument(tool, index).data;
}

static const struct str *
rest(const struct tool *tool, size_t index, size_t *ret_count)
{
  *ret_count = index < tool->count ? tool->count - index : 0;
  return tool->arguments + index;
}

static int
run_version(struct tool *tool)
{
  return (int) guix_daemon_version(tool->daemon);
}

static int
run_usable(struct tool *tool)
{
  return guix_daemon_is_usable(tool->daemon);
}

static int
run_timeout(struct tool *tool)
{
  guix_daemon_set_timeout(tool->daemon, (int) number(tool, 0));
  return 0;
}

static int
run_valid(struct tool *tool)
{
  return guix_daemon_is_valid(tool->daemon, argument(tool, 0), &tool->err);
}

static int
run_path_info(struct tool *tool)
{
  struct guix_path_info info;
  char hex[GUIX_HASH_HEX_SIZE];
  int r =
      guix_daemon_query_path_info(tool->daemon, argument(tool, 0), &tool->arena, &info, &tool->err);
  if (r < 0)
    return r;
  str_to_hex(info.hash.bytes, sizeof info.hash.bytes, hex);
  json_text(&tool->out, info.deriver);
  json_text(&tool->out, str_make(hex, sizeof hex));
  json_i64(&tool->out, info.registered_at);
  json_i64(&tool->out, info.nar_size);
  put_all(tool, info.references, info.references_count);
  return 0;
}

typedef int query(struct guix_daemon *daemon, struct str path, struct arena *arena,
                  struct str **ret, size_t *ret_count, struct error *err);

static int
run_query(struct tool *tool, query *ask)
{
  struct str *paths;
  size_t count;
  int r = ask(tool->daemon, argument(tool, 0), &tool->arena, &paths, &count, &tool->err);
  if (r == 0)
    put_all(tool, paths, count);
  return r;
}

static int
run_references(struct tool *tool)
{
  return run_query(tool, guix_daemon_query_references);
}

static int
run_referrers(struct tool *tool)
{
  return run_query(tool, guix_daemon_query_referrers);
}

static int
run_derivers(struct tool *tool)
{
  return run_query(tool, guix_daemon_query_derivers);
}

static int
run_valid_paths(struct tool *tool)
{
  struct str *paths;
  size_t count;
  int r = guix_daemon_query_valid_paths(tool->daemon, tool->arguments, tool->count, &tool->arena,
                                        &paths, &count, &tool->err);
  if (r == 0)
    put_all(tool, paths, count);
  return r;
}

static int
run_hash_part(struct tool *tool)
{
  struct str path;
  int r =
      guix_daemon_query_hash_part(tool->daemon, argument(tool, 0), &tool->arena, &path, &tool->err);
  if (r == 0)
    json_text(&tool->out, path);
  return r;
}

static int
run_substitute_urls(struct tool *tool)
{
  struct str *urls;
  size_t count;
  int r = guix_daemon_substitute_urls(tool->daemon, &tool->arena, &urls, &count, &tool->err);
  if (r == 0)
    put_all(tool, urls, count);
  return r;
}

/* KEEP-GOING JOBS TIMEOUT SILENCE */
static int
run_options(struct tool *tool)
{
  struct guix_build_options options = GUIX_BUILD_OPTIONS_INIT;
  options.keep_going = number(tool, 0) != 0;
  options.max_jobs = (int) number(tool, 1);
  options.timeout_s = number(tool, 2);
  options.max_silent_s = number(tool, 3);
  return guix_daemon_set_options(tool->daemon, &options, &tool->err);
}

static int
run_build(struct tool *tool)
{
  return guix_daemon_build(tool->daemon, tool->arguments, tool->count, &tool->err);
}

/* NAME FILE REFERENCE... */
static int
run_add_text(struct tool *tool)
{
  CLEANUP_BUF struct buf contents = { 0 };
  struct str path;
  size_t count;
  const struct str *references = rest(tool, 2, &count);
  int r = file_read_all(text(tool, 1), 1u << 30, &contents, &tool->err);
  if (r == 0)
    r = guix_daemon_add_text(tool->daemon, argument(tool, 0), buf_str(&contents), references, count,
                             &tool->arena, &path, &tool->err);
  if (r == 0)
    json_text(&tool->out, path);
  return r;
}

static int64_t
read_fd(void *state, char *room, size_t size)
{
  ssize_t n = read(*(int *) state, room, size);
  return n < 0 ? -errno : n;
}

/* NAME RECURSIVE ALGORITHM FILE */
static int
run_add_nar(struct tool *tool)
{
  struct str path;
  CLEANUP_FD int fd = open(text(tool, 3), O_RDONLY | O_CLOEXEC);
  int r = guix_daemon_add_nar(tool->daemon, argument(tool, 0), number(tool, 1) != 0,
                              argument(tool, 2), read_fd, &fd, &tool->arena, &path, &tool->err);
  if (r == 0)
    json_text(&tool->out, path);
  return r;
}

static int
run_import(struct tool *tool)
{
  struct str *paths;
  size_t count;
  CLEANUP_FD int fd = open(text(tool, 0), O_RDONLY | O_CLOEXEC);
  int r = guix_daemon_import(tool->daemon, read_fd, &fd, &tool->arena, &paths, &count, &tool->err);
  if (r == 0)
    put_all(tool, paths, count);
  return r;
}

static int
write_fd(void *state, struct str piece)
{
  return file_write_full(*(int *) state, piece.data, piece.size);
}

/* PATH SIGN FILE */
static int
run_export(struct tool *tool)
{
  CLEANUP_FD int fd = open(text(tool, 2), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  return guix_daemon_export(tool->daemon, argument(tool, 0), number(tool, 1) != 0, write_fd, &fd,
                            &tool->err);
}

static int
append(void *state, struct str piece)
{
  buf_append_str(state, piece);
  return 0;
}

static int
read_key(const char *folder, struct guix_key **ret, struct error *err)
{
  CLEANUP_BUF struct buf public_text = { 0 }, private_text = { 0 };
  CLEANUP_FREE char *public_name = mem_printf("%s/signing-key.pub", folder);
  CLEANUP_FREE char *private_name = mem_printf("%s/signing-key.sec", folder);
  int r = file_read_all(public_name, 65536, &public_text, err);
  if (r == 0)
    r = file_read_all(private_name, 65536, &private_text, err);
  return r < 0 ? r : guix_key_parse(buf_str(&public_text), buf_str(&private_text), ret, err);
}

/* KEY-FOLDER FILE PATH NAR-FILE REFERENCE...: writes an export stream of one
   item without guix-daemon. */
static int
run_archive(struct tool *tool)
{
  CLEANUP_BUF struct buf nar = { 0 }, stream = { 0 };
  struct guix_key *key = NULL;
  size_t count;
  const struct str *references = rest(tool, 4, &count);
  int r = read_key(text(tool, 0), &key, &tool->err);
  if (r < 0)
    return r;
  struct guix_archive_writer *writer = guix_archive_writer_new(key, append, &stream);
  r = file_read_all(text(tool, 3), 1u << 30, &nar, &tool->err);
  if (r == 0)
    r = guix_archive_item_begin(writer, &tool->err);
  if (r == 0)
    r = guix_archive_item_data(writer, buf_str(&nar), &tool->err);
  if (r == 0)
    r = guix_archive_item_end(writer, argument(tool, 2), references, count, STR(""), &tool->err);
  if (r == 0)
    r = guix_archive_end(writer, &tool->err);
  if (r == 0)
    r = file_write_atomic(text(tool, 1), buf_str(&stream), 0600, &tool->err);
  guix_archive_writer_free(writer);
  guix_key_free(key);
  return r;
}

static int
list_item(void *context, const struct guix_archive_item *item)
{
  struct tool *tool = context;
  json_text(&tool->out, item->path);
  return 0;
}

/* ACL-FILE FILE: checks an export stream's signatures and lists its items. */
static int
run_read_archive(struct tool *tool)
{
  static const struct guix_archive_visitor visitor = { .item = list_item };
  CLEANUP_BUF struct buf acl_text = { 0 }, stream = { 0 };
  struct guix_acl *acl = NULL;
  int r = file_read_all(text(tool, 0), 1u << 20, &acl_text, &tool->err);
  if (r == 0)
    r = guix_acl_parse(buf_str(&acl_text), &acl, &tool->err);
  if (r < 0)
    return r;
  struct guix_archive_reader *reader = guix_archive_reader_new(acl, &visitor, tool);
  r = file_read_all(text(tool, 1), 1u << 30, &stream, &tool->err);
  if (r == 0)
    r = guix_archive_reader_feed(reader, buf_str(&stream), &tool->err);
  if (r == 0)
    r = guix_archive_reader_end(reader, &tool->err);
  guix_archive_reader_free(reader);
  guix_acl_free(acl);
  return r;
}

static int
run_temp_root(struct tool *tool)
{
  return guix_daemon_add_temp_root(tool->daemon, argument(tool, 0), &tool->err);
}

static int
run_indirect_root(struct tool *tool)
{
  return guix_daemon_add_indirect_root(tool->daemon, text(tool, 0), &tool->err);
}

/* ACTION MAX-FREED PATH...; the first value is how much was freed */
static int
run_gc(struct tool *tool)
{
  struct str *collected;
  size_t count, collected_count;
  uint64_t freed, max_freed = UINT64_MAX;
  const struct str *paths = rest(tool, 2, &count);
  if (number(tool, 1) >= 0)
    max_freed = (uint64_t) number(tool, 1);
  int r = guix_daemon_collect_garbage(tool->daemon, (enum guix_gc_action) number(tool, 0), paths,
                                      count, max_freed, &tool->arena, &collected, &collected_count,
                                      &freed, &tool->err);
  if (r < 0)
    return r;
  json_i64(&tool->out, (int64_t) freed);
  put_all(tool, collected, collected_count);
  return 0;
}

static const struct
{
  const char *name;
  int (*run)(struct tool *tool);
} verbs[] = {
  { "version", run_version },
  { "usable", run_usable },
  { "timeout", run_timeout },
  { "valid", run_valid },
  { "path-info", run_path_info },
  { "valid-paths", run_valid_paths },
  { "references", run_references },
  { "referrers", run_referrers },
  { "derivers", run_derivers },
  { "hash-part", run_hash_part },
  { "substitute-urls", run_substitute_urls },
  { "options", run_options },
  { "build", run_build },
  { "add-text", run_add_text },
  { "add-nar", run_add_nar },
  { "import", run_import },
  { "export", run_export },
  { "archive", run_archive },
  { "read-archive", run_read_archive },
  { "temp-root", run_temp_root },
  { "indirect-root", run_indirect_root },
  { "gc", run_gc },
};

static int
run_verb(struct tool *tool, struct str verb)
{
  for (size_t i = 0; i < ARRAY_SIZE(verbs); i++)
    if (str_equal(verb, str_of(verbs[i].name)))
      return verbs[i].run(tool);
  return error_set(&tool->err, -ENOSYS, "no such verb");
}

/* Takes LINE apart in place. */
static struct str
split_line(struct tool *tool, char *line)
{
  struct str verb = STR(""), part, whole = str_trim(str_of(line));
  tool->count = 0;
  str_split(&whole, '\t', &verb);
  while (tool->count < ARGUMENTS_MAX && str_split(&whole, '\t', &part))
    tool->arguments[tool->count++] = arena_str(&tool->arena, part);
  return verb;
}

static void
serve(struct tool *tool, char *line)
{
  CLEANUP_BUF struct buf values = { 0 }, answer = { 0 };
  struct str verb = split_line(tool, line);
  tool->err = (struct error) { 0 };
  tool->out = json_begin(&values);
  json_array_open(&tool->out);
  int r = run_verb(tool, verb);
  json_array_close(&tool->out);
  struct json json = json_begin(&answer);
  json_object_open(&json);
  if (r < 0) {
    json_put_cstr(&json, "error", strerrorname_np(-r));
    json_put_i64(&json, "status", guix_daemon_status(tool->daemon));
    json_put_cstr(&json, "message", tool->err.message);
  } else {
    json_put_i64(&json, "result", r);
    json_key(&json, "values");
    json_raw(&json, buf_str(&values));
  }
  json_object_close(&json);
  print_line(&answer);
  arena_free(&tool->arena);
}

static void *
cancel_on_signal(void *daemon)
{
  int number;
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGUSR1);
  while (sigwait(&set, &number) == 0)
    guix_daemon_cancel(daemon);
  return NULL;
}

int
main(int count, char **arguments)
{
  struct tool tool = { 0 };
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGUSR1);
  pthread_sigmask(SIG_BLOCK, &set, NULL);
  if (count != 2 || guix_daemon_open(arguments[1], &tool.daemon, &tool.err) < 0) {
    fprintf(stderr, "%s\n", tool.err.message);
    return EXIT_FAILURE;
  }
  guix_daemon_on_event(tool.daemon, print_event, NULL);
  pthread_t thread;
  if (pthread_create(&thread, NULL, cancel_on_signal, tool.daemon) != 0)
    return EXIT_FAILURE;
  char *line = NULL;
  size_t capacity = 0;
  while (getline(&line, &capacity, stdin) > 0)
    serve(&tool, line);
  free(line);
  pthread_cancel(thread);
  pthread_join(thread, NULL);
  guix_daemon_close(tool.daemon);
  return EXIT_SUCCESS;
}
