/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The folder in which one evaluation happens. With a store root, Guix runs
   inside that root, so all it reads lies below it. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/json.h"
#include "base/mem.h"
#include "evaluation/evaluation_private.h"

#define INSIDE_ROOT "/var/lib/panoply"
#define SCRIPT_MAX (1 << 20) /* bytes of evaluate.scm */

char *
workspace_log_path(const struct evaluations *evaluations, int64_t evaluation_id)
{
  return mem_printf("%s/%lld/log", evaluations->options.folder, (long long) evaluation_id);
}

static void
settle_paths(const struct evaluations *evaluations, int64_t evaluation_id,
             const struct specification *specification, struct workspace *workspace)
{
  const struct evaluation_options *options = &evaluations->options;
  bool rooted = options->store_root[0] != '\0';
  const char *base = rooted ? INSIDE_ROOT : options->folder;
  workspace->log = workspace_log_path(evaluations, evaluation_id);
  workspace->inside =
      mem_printf("%s/evaluation-%lld-%d", base, (long long) evaluation_id, (int) getpid());
  workspace->outside = mem_printf("%s%s", options->store_root, workspace->inside);
  /* One each: Guix keeps there which channels it has authenticated. */
  workspace->home = mem_printf("%s/home/%.*s", base, STR_FMT(specification->name));
}

static bool
is_left_behind(struct str name, struct str start)
{
  int64_t pid;
  return str_starts(name, start) && str_to_i64(str_from(name, start.size), &pid) == 0 && pid > 0
         && pid <= INT32_MAX && kill((pid_t) pid, 0) != 0 && errno == ESRCH;
}

/* What servers that were killed in the middle of this evaluation left. Not by the
   number alone: another database may have an evaluation of that number here. */
static void
remove_left_behind(int64_t evaluation_id, const struct workspace *workspace)
{
  CLEANUP_FREE char *base = mem_strdup(workspace->outside);
  *strrchr(base, '/') = '\0';
  CLEANUP_FREE char *start = mem_printf("evaluation-%lld-", (long long) evaluation_id);
  DIR *folder = opendir(base);
  if (folder == NULL)
    return;
  const struct dirent *entry;
  while ((entry = readdir(folder)) != NULL)
    if (is_left_behind(str_of(entry->d_name), str_of(start))) {
      CLEANUP_FREE char *path = mem_printf("%s/%s", base, entry->d_name);
      (void) file_remove_tree(path, NULL);
    }
  closedir(folder);
}

static int
make_folders(const struct evaluations *evaluations, int64_t evaluation_id,
             const struct workspace *workspace, struct error *err)
{
  CLEANUP_FREE char *own =
      mem_printf("%s/%lld", evaluations->options.folder, (long long) evaluation_id);
  CLEANUP_FREE char *checkouts = mem_printf("%s/channels", workspace->outside);
  CLEANUP_FREE char *home = mem_printf("%s%s", evaluations->options.store_root, workspace->home);
  remove_left_behind(evaluation_id, workspace);
  int r = file_make_dirs(own, 0755, err);
  if (r == 0)
    r = file_remove_tree(workspace->outside, err);
  if (r == 0)
    r = file_make_dirs(checkouts, 0755, err);
  if (r == 0)
    r = file_make_dirs(home, 0755, err);
  return r;
}

static int
check_out(struct evaluations *evaluations, const struct workspace *workspace,
          const struct specification *specification, const struct str *commits, struct error *err)
{
  for (size_t i = 0; i < specification->channels_count; i++) {
    const struct specification_channel *channel = &specification->channels[i];
    CLEANUP_FREE char *folder =
        mem_printf("%s/channels/%.*s", workspace->outside, STR_FMT(channel->name));
    /* Slices of a specification are NUL-terminated: they live in an arena. */
    int r = channels_checkout(evaluations->options.channels, channel->url.data,
                              channel->branch.data, commits[i].data, folder, err);
    if (r < 0)
      return r;
  }
  return 0;
}

static int
copy_script(const struct evaluations *evaluations, const struct workspace *workspace,
            struct error *err)
{
  CLEANUP_BUF struct buf script = { 0 };
  CLEANUP_FREE char *source = mem_printf("%s/evaluate.scm", evaluations->options.scheme_folder);
  CLEANUP_FREE char *target = mem_printf("%s/evaluate.scm", workspace->outside);
  int r = file_read_all(source, SCRIPT_MAX, &script, err);
  if (r < 0)
    return error_hint(err, "Is Panoply installed whole? The script belongs to it.");
  return file_write_atomic(target, buf_str(&script), 0644, err);
}

/* ---- channels.scm ---- */

static void
append_scheme_text(struct buf *out, struct str text)
{
  buf_append_char(out, '"');
  for (size_t i = 0; i < text.size; i++) {
    if (text.data[i] == '"' || text.data[i] == '\\')
      buf_append_char(out, '\\');
    buf_append_char(out, text.data[i]);
  }
  buf_append_char(out, '"');
}

static void
append_field(struct buf *out, const char *before, struct str text, const char *after)
{
  buf_append_text(out, before);
  append_scheme_text(out, text);
  buf_append_text(out, after);
}

static void
append_channel(struct buf *out, const struct specification_channel *channel, struct str commit)
{
  append_field(out, "\n (channel (name (string->symbol ", channel->name, "))");
  append_field(out, "\n  (url ", channel->url, ")");
  if (channel->branch.size > 0)
    append_field(out, "\n  (branch ", channel->branch, ")");
  append_field(out, "\n  (commit ", commit, ")");
  if (channel->introduction_commit.size > 0) {
    append_field(out, "\n  (introduction (make-channel-introduction ", channel->introduction_commit,
                 "");
    append_field(out, " (openpgp-fingerprint ", channel->introduction_signer, ")))");
  }
  buf_append_text(out, ")");
}

static int
write_channels(const struct workspace *workspace, const struct specification *specification,
               const struct str *commits, struct error *err)
{
  CLEANUP_BUF struct buf text = { 0 };
  CLEANUP_FREE char *path = mem_printf("%s/channels.scm", workspace->outside);
  buf_append_text(&text, "(list");
  for (size_t i = 0; i < specification->channels_count; i++)
    append_channel(&text, &specification->channels[i], commits[i]);
  buf_append_text(&text, ")\n");
  return file_write_atomic(path, buf_str(&text), 0644, err);
}

int
workspace_make(struct evaluations *evaluations, int64_t evaluation_id,
               const struct specification *specification, const struct str *commits,
               struct workspace *ret, struct error *err)
{
  settle_paths(evaluations, evaluation_id, specification, ret);
  int r = make_folders(evaluations, evaluation_id, ret, err);
  if (r == 0)
    r = check_out(evaluations, ret, specification, commits, err);
  if (r == 0)
    r = copy_script(evaluations, ret, err);
  if (r == 0 && specification->mode == SPECIFICATION_TIME_MACHINE)
    r = write_channels(ret, specification, commits, err);
  return r;
}

/* ---- the request ---- */

static void
write_build(struct json *json, const struct specification *specification)
{
  static const char *const fields[] = {
    [SPECIFICATION_CHANNELS] = "channels",
    [SPECIFICATION_PACKAGES] = "packages",
    [SPECIFICATION_MANIFESTS] = "manifests",
    [SPECIFICATION_CUSTOM] = "custom",
  };
  json_key(json, "build");
  if (specification->subset == SPECIFICATION_ALL) {
    json_cstr(json, "all");
    return;
  }
  json_object_open(json);
  json_key(json, fields[specification->subset]);
  json_array_open(json);
  for (size_t i = 0; i < specification->subset_names_count; i++)
    json_text(json, specification->subset_names[i]);
  json_array_close(json);
  json_object_close(json);
}

static void
write_channel(struct json *json, const struct workspace *workspace,
              const struct specification_channel *channel, struct str commit)
{
  CLEANUP_FREE char *checkout =
      mem_printf("%s/channels/%.*s", workspace->inside, STR_FMT(channel->name));
  json_object_open(json);
  json_put_text(json, "name", channel->name);
  json_put_text(json, "url", channel->url);
  json_put_text(json, "branch", channel->branch.size > 0 ? channel->branch : STR("HEAD"));
  json_put_text(json, "commit", commit);
  json_put_cstr(json, "checkout", checkout);
  json_object_close(json);
}

int
workspace_write_request(const struct workspace *workspace,
                        const struct specification *specification, const struct str *commits,
                        struct str system, char **ret, struct error *err)
{
  CLEANUP_BUF struct buf text = { 0 };
  CLEANUP_FREE char *path = mem_printf("%s/request-%.*s.json", workspace->outside, STR_FMT(system));
  struct json json = json_begin(&text);
  json_object_open(&json);
  json_put_cstr(&json, "mode",
                specification->mode == SPECIFICATION_OVERLAY ? "overlay" : "time-machine");
  write_build(&json, specification);
  json_put_text(&json, "system", system);
  json_key(&json, "channels");
  json_array_open(&json);
  for (size_t i = 0; i < specification->channels_count; i++)
    write_channel(&json, workspace, &specification->channels[i], commits[i]);
  json_array_close(&json);
  json_object_close(&json);
  *ret = mem_printf("%s/request-%.*s.json", workspace->inside, STR_FMT(system));
  return file_write_atomic(path, buf_str(&text), 0644, err);
}

void
workspace_clear(struct workspace *workspace)
{
  if (workspace->outside != NULL)
    (void) file_remove_tree(workspace->outside, NULL);
  free(workspace->log);
  free(workspace->outside);
  free(workspace->inside);
  free(workspace->home);
  *workspace = (struct workspace) { 0 };
}
