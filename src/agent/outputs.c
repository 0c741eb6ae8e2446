/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Outputs on their way to the server: what it lacks of their closure becomes
   compressed nars, several at once. Nothing is kept on disk: a store item never
   changes and zstd makes the same bytes of it again, so a broken upload goes on
   by making the stream anew and skipping what the server has. */
#include <errno.h>
#include <stdlib.h>

#include "agent/agent_private.h"
#include "base/json.h"
#include "base/map.h"
#include "base/mem.h"

#define ZSTD_LEVEL 3
#define UPLOAD_TRIES 8
#define CLOSURE_MAX 200000 /* paths */
#define CANCEL_LOOK_MS 500

struct item
{
  struct str path; /* full */
  struct guix_path_info info;
  bool wanted;     /* to be uploaded */
  bool from_start; /* what the server has of it is damaged */
};

struct delivery
{
  struct attempt *attempt;
  struct arena arena;
  struct item *items;
  size_t count;
  size_t capacity;
  struct str_map index; /* full path to place in items */

  pthread_mutex_t lock; /* guards the two below while uploads run */
  size_t next;
  int result;
  struct error err;
};

/* ---- the closure of the outputs ---- */

static void
add_path(struct delivery *delivery, struct str path)
{
  int64_t place;
  if (str_map_get(&delivery->index, path, &place))
    return;
  mem_grow(&delivery->items, &delivery->capacity, delivery->count + 1, sizeof *delivery->items);
  delivery->items[delivery->count] = (struct item) { .path = arena_str(&delivery->arena, path) };
  (void) str_map_put(&delivery->index, path, (int64_t) delivery->count);
  delivery->count++;
}

/* Breadth-first: the list is its own queue. */
static int
collect_closure(struct delivery *delivery, struct guix_daemon *daemon, struct error *err)
{
  const struct attempt *attempt = delivery->attempt;
  for (size_t i = 0; i < attempt->outputs_count; i++)
    add_path(delivery, attempt->outputs[i].path);
  for (size_t i = 0; i < delivery->count; i++) {
    if (delivery->count > CLOSURE_MAX)
      return error_set(err, -E2BIG, "the outputs refer to more than %d items", CLOSURE_MAX);
    struct guix_path_info info;
    int r =
        guix_daemon_query_path_info(daemon, delivery->items[i].path, &delivery->arena, &info, err);
    if (r < 0)
      return r;
    delivery->items[i].info = info;
    for (size_t k = 0; k < info.references_count; k++)
      add_path(delivery, info.references[k]);
  }
  return 0;
}

/* ---- what the server lacks ---- */

static int
mark_list(struct delivery *delivery, const json_t *list, bool from_start, struct error *err)
{
  for (size_t i = 0; i < json_array_size(list); i++) {
    const char *basename = json_string_value(json_array_get(list, i));
    CLEANUP_FREE char *path = mem_printf(GUIX_STORE_PREFIX "%s", basename != NULL ? basename : "");
    int64_t place;
    if (!str_map_get(&delivery->index, str_of(path), &place))
      return error_set(err, -EPROTO, "the server wants %s, which is not ours to give", path);
    delivery->items[place].wanted = true;
    delivery->items[place].from_start = from_start;
  }
  return 0;
}

static int
ask_missing(struct delivery *delivery, struct http_client *client, struct error *err)
{
  CLEANUP_BUF struct buf body = { 0 };
  struct json json = json_begin(&body);
  json_object_open(&json);
  json_key(&json, "paths");
  json_array_open(&json);
  for (size_t i = 0; i < delivery->count; i++)
    json_text(&json, guix_path_basename(delivery->items[i].path));
  json_array_close(&json);
  json_object_close(&json);
  json_t *reply = NULL;
  int r = attempt_post(delivery->attempt, client, "missing", buf_str(&body), &reply, err);
  if (r >= 0)
    r = r == 200 ? mark_list(delivery, json_object_get(reply, "missing"), false, err) : -EPROTO;
  json_decref(reply);
  return r;
}

/* ---- one nar ---- */

/* Makes the compressed nar and drops its first SKIP bytes. */
struct nar_stream
{
  const struct attempt *attempt;
  const char *path; /* with the store root */
  int64_t skip;
  guix_sink *sink;
  void *sink_context;
  struct guix_compressor *compressor;
};

static int
to_compressor(void *context, struct str piece)
{
  struct nar_stream *stream = context;
  return guix_compressor_feed(stream->compressor, piece, NULL);
}

static int
past_skip(void *context, struct str piece)
{
  struct nar_stream *stream = context;
  size_t drop = stream->skip < (int64_t) piece.size ? (size_t) stream->skip : piece.size;
  stream->skip -= (int64_t) drop;
  if (stream->attempt->cancelled) /* nobody may be reading yet */
    return -ECANCELED;
  piece = str_from(piece, drop);
  return piece.size == 0 ? 0 : stream->sink(stream->sink_context, piece);
}

static int
produce_nar(void *state, guix_sink *sink, void *sink_context, struct error *err)
{
  struct nar_stream *stream = state;
  stream->sink = sink;
  stream->sink_context = sink_context;
  stream->compressor = guix_compressor_new(GUIX_COMPRESSION_ZSTD, ZSTD_LEVEL, past_skip, stream);
  int r = guix_nar_write(stream->path, to_compressor, stream, err);
  if (r == 0)
    r = guix_compressor_end(stream->compressor, err);
  guix_compressor_free(stream->compressor);
  return r;
}

static int
send_nar(struct delivery *delivery, struct http_client *client, const struct item *item,
         int64_t offset, struct error *err)
{
  struct attempt *attempt = delivery->attempt;
  struct str basename = guix_path_basename(item->path);
  CLEANUP_FREE char *file = mem_printf("%s%.*s", attempt->agent->store_root, STR_FMT(item->path));
  CLEANUP_FREE char *path =
      mem_printf("/agent/v1/attempts/%lld/uploads/%.*s?offset=%lld", (long long) attempt->id,
                 STR_FMT(basename), (long long) offset);
  struct nar_stream stream = { .attempt = attempt, .path = file, .skip = offset };
  struct pump *pump = pump_start(produce_nar, &stream);
  if (pump == NULL)
    return error_set(err, -EAGAIN, "cannot start a thread");
  /* Making again what the server has may take many minutes, in which neither it nor a
     proxy would bear a silent request. */
  while (!pump_is_ready(pump, CANCEL_LOOK_MS) && !attempt->cancelled)
    continue;
  struct http_answer answer = { 0 };
  int status = attempt_call(attempt, client,
                            &(struct http_call) { .method = "PUT",
                                                  .path = path,
                                                  .type = "application/zstd",
                                                  .body_read = pump_read,
                                                  .body_size = -1,
                                                  .body_state = pump },
                            &answer, err);
  if (status >= 300) {
    CLEANUP_FREE char *what = mem_printf("the server refused %.*s", STR_FMT(basename));
    attempt_refused(&answer, what, err);
  }
  /* Why there was nothing to send explains more than that the call was given up. */
  struct error cause = { 0 };
  int made = status < 0 ? pump_finish(pump, &cause) : 0;
  if (made < 0 && made != -EPIPE)
    *err = cause;
  http_answer_free(&answer);
  pump_free(pump);
  return status;
}

static int
ask_offset(struct delivery *delivery, struct http_client *client, const struct item *item,
           int64_t *ret_offset, struct error *err)
{
  struct str basename = guix_path_basename(item->path);
  CLEANUP_FREE char *path = mem_printf("/agent/v1/attempts/%lld/uploads/%.*s",
                                       (long long) delivery->attempt->id, STR_FMT(basename));
  struct http_answer answer = { 0 };
  int status = attempt_call(delivery->attempt, client,
                            &(struct http_call) { .method = "GET", .path = path }, &answer, err);
  if (status < 0)
    return status;
  json_t *reply = json_loadb(answer.body.data, answer.body.size, 0, NULL);
  const json_t *offset = json_object_get(reply, "offset");
  int r = 0;
  if (status == 200 && json_is_integer(offset) && json_integer_value(offset) >= 0)
    *ret_offset = json_integer_value(offset);
  else
    r = error_set(err, -EPROTO, "the server does not tell an upload's offset (%d)", status);
  json_decref(reply);
  http_answer_free(&answer);
  return r;
}

/* A refused offset is asked for anew; a broken connection too. What the server cannot
   take now is repeated as long as it takes; what breaks off, while it gets on. */
static int
upload_item(struct delivery *delivery, struct http_client *client, const struct item *item,
            struct error *err)
{
  struct outage outage = { 0 };
  bool from_start = item->from_start;
  int64_t reached = 0;
  for (int idle = 0; idle < UPLOAD_TRIES;) {
    int64_t offset = 0;
    int r = from_start ? 0 : ask_offset(delivery, client, item, &offset, err);
    if (r < 0)
      return r;
    if (offset > reached) {
      reached = offset;
      idle = 0;
      outage.pause_ms = 0;
    }
    int status = send_nar(delivery, client, item, offset, err);
    if (status / 100 == 2) {
      attempt_outlasted(delivery->attempt, &outage);
      return 0;
    }
    if (status / 100 == 4 && status != 409)
      return err->code; /* the same again would be refused again */
    if (delivery->attempt->cancelled || !attempt_outlast(delivery->attempt, &outage, err))
      return error_set(err, -ECANCELED, "the attempt was cancelled");
    idle += status < 500;
    from_start = from_start && status >= 500; /* else what was damaged has been dropped */
  }
  return error_prefix(err, "cannot upload %.*s", STR_FMT(item->path));
}

/* ---- several at once ---- */

static const struct item *
next_item(struct delivery *delivery)
{
  const struct item *item = NULL;
  pthread_mutex_lock(&delivery->lock);
  while (delivery->result == 0 && item == NULL && delivery->next < delivery->count) {
    const struct item *candidate = &delivery->items[delivery->next++];
    item = candidate->wanted ? candidate : NULL;
  }
  pthread_mutex_unlock(&delivery->lock);
  return item;
}

static void *
uploader_main(void *context)
{
  struct delivery *delivery = context;
  struct error err = { 0 };
  struct http_client *client = agent_client_new(delivery->attempt->agent, 0);
  const struct item *item;
  int r = attempt_hold_client(delivery->attempt, client) ? 0 : -ECANCELED;
  while (r == 0 && (item = next_item(delivery)) != NULL)
    r = upload_item(delivery, client, item, &err);
  attempt_drop_client(delivery->attempt, client);
  http_client_free(client);
  pthread_mutex_lock(&delivery->lock);
  if (r < 0 && delivery->result == 0) {
    delivery->result = r;
    delivery->err = err;
  }
  pthread_mutex_unlock(&delivery->lock);
  return NULL;
}

static int
upload_all(struct delivery *delivery, struct error *err)
{
  pthread_t threads[AGENT_UPLOADS_MAX];
  size_t wanted = 0;
  size_t started = 0;
  for (size_t i = 0; i < delivery->count; i++)
    wanted += delivery->items[i].wanted;
  while (started < wanted && started < (size_t) delivery->attempt->agent->uploads
         && pthread_create(&threads[started], NULL, uploader_main, delivery) == 0)
    started++;
  for (size_t i = 0; i < started; i++)
    pthread_join(threads[i], NULL);
  if (wanted > 0 && started == 0)
    return error_set(err, -EAGAIN, "cannot start a thread");
  if (delivery->result < 0)
    *err = delivery->err;
  return delivery->result;
}

/* ---- what was uploaded, in words ---- */

static void
write_item(struct json *json, const struct item *item)
{
  char digits[GUIX_HASH_BASE32_SIZE + 8] = "sha256:";
  guix_base32_encode(item->info.hash.bytes, GUIX_HASH_SIZE, digits + 7);
  json_object_open(json);
  json_put_text(json, "path", guix_path_basename(item->path));
  json_put_cstr(json, "nar_hash", digits);
  json_put_i64(json, "nar_size", item->info.nar_size);
  json_key(json, "references");
  json_array_open(json);
  for (size_t i = 0; i < item->info.references_count; i++)
    json_text(json, guix_path_basename(item->info.references[i]));
  json_array_close(json);
  json_put_text(json, "deriver",
                item->info.deriver.size > 0 ? guix_path_basename(item->info.deriver) : STR(""));
  json_object_close(json);
}

static void
write_items(const struct delivery *delivery, struct buf *out)
{
  struct json json = json_begin(out);
  json_array_open(&json);
  for (size_t i = 0; i < delivery->count; i++)
    if (delivery->items[i].wanted)
      write_item(&json, &delivery->items[i]);
  json_array_close(&json);
}

int
attempt_upload(struct attempt *attempt, struct http_client *client, struct guix_daemon *daemon,
               const json_t *again, struct buf *items, struct error *err)
{
  struct delivery delivery = { .attempt = attempt };
  pthread_mutex_init(&delivery.lock, NULL);
  int r = collect_closure(&delivery, daemon, err);
  if (r == 0)
    r = ask_missing(&delivery, client, err);
  if (r == 0 && again != NULL)
    r = mark_list(&delivery, json_object_get(again, "missing"), false, err);
  if (r == 0 && again != NULL)
    r = mark_list(&delivery, json_object_get(again, "damaged"), true, err);
  if (r == 0)
    r = upload_all(&delivery, err);
  if (r == 0)
    write_items(&delivery, items);
  pthread_mutex_destroy(&delivery.lock);
  str_map_free(&delivery.index);
  arena_free(&delivery.arena);
  free(delivery.items);
  return r;
}
