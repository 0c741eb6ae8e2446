/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Bringing a derivation's closure into the daemon's store: one list, one
   bundle. */
#include <errno.h>
#include <stdlib.h>

#include "agent/agent_private.h"
#include "base/json.h"
#include "base/mem.h"

#define CLOSURE_MAX 1000000 /* paths */
#define FETCH_TRIES 5

/* Full paths from a JSON list of basenames, in ARENA. */
static int
read_paths(const json_t *reply, const char *member, struct arena *arena, struct str **ret,
           size_t *ret_count, struct error *err)
{
  const json_t *list = json_object_get(reply, member);
  size_t count = json_array_size(list);
  if (!json_is_array(list) || count > CLOSURE_MAX)
    return error_set(err, -EPROTO, "the server's answer holds no list of %s", member);
  struct str *paths = arena_array(arena, count + 1, sizeof *paths);
  for (size_t i = 0; i < count; i++) {
    const char *basename = json_string_value(json_array_get(list, i));
    if (basename == NULL || !guix_basename_is_valid(str_of(basename)))
      return error_set(err, -EPROTO, "the server's answer holds a bad store path");
    paths[i] = str_of(arena_printf(arena, GUIX_STORE_PREFIX "%s", basename));
  }
  *ret = paths;
  *ret_count = count;
  return 0;
}

static int
ask_closure(struct attempt *attempt, struct http_client *client, struct arena *arena,
            struct str **ret, size_t *ret_count, struct error *err)
{
  CLEANUP_FREE char *path = mem_printf("/agent/v1/attempts/%lld/closure", (long long) attempt->id);
  struct http_answer answer = { 0 };
  int status = attempt_call(attempt, client, &(struct http_call) { .method = "GET", .path = path },
                            &answer, err);
  if (status < 0)
    return status;
  int r;
  if (status != 200)
    r = error_set(err, status == 409 ? -ENOENT : -EPROTO,
                  "the server cannot supply the inputs (%d): %.*s", status,
                  (int) (answer.body.size < 400 ? answer.body.size : 400), answer.body.data);
  else {
    json_t *reply = json_loadb(answer.body.data, answer.body.size, 0, NULL);
    r = read_paths(reply, "paths", arena, ret, ret_count, err);
    json_decref(reply);
  }
  http_answer_free(&answer);
  return r;
}

/* ---- the bundle: HTTP pushes, import-paths pulls ---- */

struct bundle
{
  struct attempt *attempt;
  struct buf request; /* JSON */
  int status;         /* of the reply; 0 = none came */
  guix_sink *sink;
  void *sink_context;
};

static int
on_piece(void *state, struct str piece)
{
  struct bundle *bundle = state;
  return bundle->sink(bundle->sink_context, piece);
}

/* Runs on the pump's thread, with a client of its own. */
static int
produce_bundle(void *state, guix_sink *sink, void *sink_context, struct error *err)
{
  struct bundle *bundle = state;
  bundle->sink = sink;
  bundle->sink_context = sink_context;
  struct http_client *client = agent_client_new(bundle->attempt->agent, 0);
  struct http_answer answer = { 0 };
  CLEANUP_FREE char *fence = mem_printf("Panoply-Fence: %s", bundle->attempt->fence);
  const char *headers[] = { fence, NULL };
  int r = -ECANCELED;
  if (attempt_hold_client(bundle->attempt, client))
    r = http_client_expect(client,
                           &(struct http_call) { .method = "POST",
                                                 .headers = headers,
                                                 .path = "/agent/v1/bundle",
                                                 .type = "application/json",
                                                 .body = buf_str(&bundle->request),
                                                 .reply_piece = on_piece,
                                                 .reply_state = bundle },
                           &answer, err);
  attempt_drop_client(bundle->attempt, client);
  bundle->status = answer.status;
  http_answer_free(&answer);
  http_client_free(client);
  return r;
}

static void
write_request(const struct attempt *attempt, const struct str *paths, size_t count, struct buf *out)
{
  struct json json = json_begin(out);
  json_object_open(&json);
  json_put_i64(&json, "attempt", attempt->id);
  json_key(&json, "paths");
  json_array_open(&json);
  for (size_t i = 0; i < count; i++)
    json_text(&json, guix_path_basename(paths[i]));
  json_array_close(&json);
  json_object_close(&json);
}

/* Why the server's side failed: -EBUSY, it is away or cannot answer now; -EAGAIN, the
   stream broke off; -ENOENT, an item is not there; else there is no use in going on. */
static int
judge_reply(const struct bundle *bundle, struct error *err)
{
  struct attempt *attempt = bundle->attempt;
  if (bundle->status == 410)
    attempt_cancel(attempt);
  if (attempt->cancelled)
    return error_set(err, -ECANCELED, "the attempt was cancelled");
  if (bundle->status == 0 || bundle->status >= 500)
    return -EBUSY;
  if (bundle->status / 100 == 2)
    return -EAGAIN;
  return bundle->status == 404 ? -ENOENT : -EPROTO;
}

static int
import_bundle(struct attempt *attempt, struct guix_daemon *daemon, const struct str *paths,
              size_t count, struct error *err)
{
  struct bundle bundle = { .attempt = attempt };
  CLEANUP_ARENA struct arena arena = { 0 };
  write_request(attempt, paths, count, &bundle.request);
  struct pump *pump = pump_start(produce_bundle, &bundle);
  int r = pump == NULL ? error_set(err, -ENOMEM, "cannot start a thread")
                       : guix_daemon_import(daemon, pump_read, pump, &arena, NULL, NULL, err);
  /* The server's word explains more than the daemon's end of file. */
  struct error reason = { 0 };
  int produced = r < 0 && pump != NULL ? pump_finish(pump, &reason) : 0;
  if (produced < 0 && produced != -EPIPE) {
    *err = reason;
    r = judge_reply(&bundle, err);
  }
  pump_free(pump);
  buf_free(&bundle.request);
  return r;
}

/* ---- what is lacking ---- */

/* PATHS without those in VALID, which is sorted; order kept. */
static size_t
subtract(struct str *paths, size_t count, const struct str *valid, size_t valid_count)
{
  size_t kept = 0;
  for (size_t i = 0; i < count; i++) {
    size_t low = 0;
    size_t high = valid_count;
    while (low < high) {
      size_t middle = (low + high) / 2;
      if (str_compare(valid[middle], paths[i]) < 0)
        low = middle + 1;
      else
        high = middle;
    }
    if (low == valid_count || !str_equal(valid[low], paths[i]))
      paths[kept++] = paths[i];
  }
  return kept;
}

/* Goes on while the server is away; what breaks off is asked for again while each try
   brings something. */
static int
fetch_lacking(struct attempt *attempt, struct guix_daemon *daemon, struct str *paths, size_t count,
              struct error *err)
{
  struct outage outage = { 0 };
  for (int idle = 0; idle < FETCH_TRIES;) {
    CLEANUP_ARENA struct arena arena = { 0 };
    struct str *valid = NULL;
    size_t valid_count = 0;
    int r = guix_daemon_query_valid_paths(daemon, paths, count, &arena, &valid, &valid_count, err);
    if (r < 0)
      return r;
    if (valid_count > 0) {
      idle = 0;
      attempt_outlasted(attempt, &outage);
    }
    count = subtract(paths, count, valid, valid_count);
    r = count == 0 ? 0 : import_bundle(attempt, daemon, paths, count, err);
    if (r != -EAGAIN && r != -EBUSY) {
      attempt_outlasted(attempt, &outage);
      return r;
    }
    idle += r == -EAGAIN;
    if (!attempt_outlast(attempt, &outage, err))
      return error_set(err, -ECANCELED, "the attempt was cancelled");
  }
  error_prefix(err, "the inputs did not arrive");
  return -ENOENT;
}

int
attempt_fetch(struct attempt *attempt, struct http_client *client, struct guix_daemon *daemon,
              struct error *err)
{
  CLEANUP_ARENA struct arena arena = { 0 };
  struct str *paths = NULL;
  size_t count = 0;
  int r = ask_closure(attempt, client, &arena, &paths, &count, err);
  /* Roots first: what is valid now must still be so when the build begins. */
  for (size_t i = 0; r >= 0 && i < count; i++)
    r = guix_daemon_add_temp_root(daemon, paths[i], err);
  if (r < 0)
    return r;
  return fetch_lacking(attempt, daemon, paths, count, err);
}
