/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The client: one libcurl transfer at a time, driven here so that another
   thread can end it at once and silence is measured exactly. */
#include <curl/curl.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/clock.h"
#include "base/mem.h"
#include "http/http.h"
#include "http/request.h"

#define REPLY_LIMIT ((size_t) 64 * 1024 * 1024)
#define ERROR_BODY_LIMIT ((size_t) 256 * 1024)
#define REDIRECTS_MAX 5

struct http_client
{
  CURL *easy;
  CURLM *multi;
  char *base;        /* URL without a trailing slash */
  char *socket_path; /* "unix:" base */
  char *token;
  char *user_agent;
  int connect_timeout_s;
  int silence_timeout_s;
  atomic_bool cancelled;
};

/* One call, as the callbacks see it. */
struct transfer
{
  struct http_client *client;
  const struct http_call *call;
  struct http_answer *answer;
  int64_t moved_at; /* monotonic ms: when something last moved */
  int failed;       /* negative: why a callback ended the call */
  char reason[CURL_ERROR_SIZE];
};

/* ---- life ---- */

static void
curl_start(void)
{
  curl_global_init(CURL_GLOBAL_DEFAULT);
}

struct http_client *
http_client_new(const struct http_client_options *options)
{
  static pthread_once_t once = PTHREAD_ONCE_INIT;
  pthread_once(&once, curl_start);
  struct http_client *client = mem_alloc(sizeof *client);
  client->easy = curl_easy_init();
  client->multi = curl_multi_init();
  if (strncmp(options->base_url, "unix:", 5) == 0) {
    client->socket_path = mem_strdup(options->base_url + 5);
    client->base = mem_strdup("http://localhost");
  } else {
    size_t size = strlen(options->base_url);
    while (size > 0 && options->base_url[size - 1] == '/')
      size--;
    client->base = mem_strndup(options->base_url, size);
  }
  client->token = mem_strdup(options->token);
  client->user_agent =
      mem_strdup(options->user_agent == NULL ? "panoply/" PANOPLY_VERSION : options->user_agent);
  client->connect_timeout_s = options->connect_timeout_s > 0 ? options->connect_timeout_s : 15;
  client->silence_timeout_s = options->silence_timeout_s > 0 ? options->silence_timeout_s : 60;
  return client;
}

void
http_client_free(struct http_client *client)
{
  if (client == NULL)
    return;
  curl_easy_cleanup(client->easy);
  curl_multi_cleanup(client->multi);
  free(client->base);
  free(client->socket_path);
  free(client->token);
  free(client->user_agent);
  free(client);
}

void
http_client_cancel(struct http_client *client)
{
  atomic_store(&client->cancelled, true);
  curl_multi_wakeup(client->multi);
}

void
http_answer_free(struct http_answer *answer)
{
  buf_free(&answer->body);
  *answer = (struct http_answer) { 0 };
}

/* ---- callbacks: however long ours take, that is not the other side's silence ---- */

static size_t
send_piece(char *room, size_t size, size_t count, void *context)
{
  struct transfer *transfer = context;
  int64_t got = transfer->call->body_read(transfer->call->body_state, room, size * count);
  transfer->moved_at = clock_monotonic_ms();
  if (got >= 0 && (uint64_t) got <= size * count)
    return (size_t) got;
  transfer->failed = -ECANCELED;
  return CURL_READFUNC_ABORT;
}

/* Parameters behind the media type ("; charset=utf-8") say nothing against it. */
static bool
is_of_type(CURL *easy, const char *wanted)
{
  const char *type = NULL;
  size_t size = strlen(wanted);
  curl_easy_getinfo(easy, CURLINFO_CONTENT_TYPE, &type);
  return type != NULL && strncasecmp(type, wanted, size) == 0
         && (type[size] == '\0' || strchr("; \t", type[size]) != NULL);
}

/* A 2xx reply that is not what the caller can read. */
static bool
is_foreign(const struct transfer *transfer)
{
  long status = 0;
  curl_easy_getinfo(transfer->client->easy, CURLINFO_RESPONSE_CODE, &status);
  return status >= 200 && status < 300 && status != 204 && transfer->call->reply_type != NULL
         && !is_of_type(transfer->client->easy, transfer->call->reply_type);
}

static size_t
receive_piece(char *data, size_t size, size_t count, void *context)
{
  struct transfer *transfer = context;
  const struct http_call *call = transfer->call;
  struct buf *body = &transfer->answer->body;
  size_t bytes = size * count;
  long status = 0;
  curl_easy_getinfo(transfer->client->easy, CURLINFO_RESPONSE_CODE, &status);
  bool good = status >= 200 && status < 300;
  if (is_foreign(transfer)) {
    transfer->failed = -EPROTO;
    return 0;
  }
  if (good && call->reply_piece != NULL) {
    int r = call->reply_piece(call->reply_state, str_make(data, bytes));
    transfer->moved_at = clock_monotonic_ms();
    if (r == 0)
      return bytes;
    transfer->failed = -ECANCELED;
    return 0;
  }
  size_t limit = call->reply_limit > 0 ? call->reply_limit : REPLY_LIMIT;
  if (!good && limit < ERROR_BODY_LIMIT)
    limit = ERROR_BODY_LIMIT;
  if (bytes > limit - body->size) {
    transfer->failed = -EFBIG;
    return 0;
  }
  buf_append(body, data, bytes);
  transfer->moved_at = clock_monotonic_ms();
  return bytes;
}

/* The value of header NAME in LINE; data NULL when it is another. */
static struct str
header_value(struct str line, const char *name)
{
  size_t size = strlen(name);
  if (line.size <= size || line.data[size] != ':' || strncasecmp(line.data, name, size) != 0)
    return str_make(NULL, 0);
  return str_trim(str_from(line, size + 1));
}

static size_t
receive_header(char *data, size_t size, size_t count, void *context)
{
  struct transfer *transfer = context;
  struct http_answer *answer = transfer->answer;
  struct str line = str_make(data, size * count);
  transfer->moved_at = clock_monotonic_ms();
  if (str_starts(line, STR("HTTP/"))) { /* forget those of a redirect or of "100 Continue" */
    answer->etag[0] = '\0';
    answer->upload_offset = -1;
  }
  struct str etag = header_value(line, "ETag");
  if (etag.data != NULL && etag.size < sizeof answer->etag) {
    memcpy(answer->etag, etag.data, etag.size);
    answer->etag[etag.size] = '\0';
  }
  struct str offset = header_value(line, "Upload-Offset");
  if (offset.data != NULL && str_to_i64(offset, &answer->upload_offset) < 0)
    answer->upload_offset = -1;
  return line.size;
}

/* ---- setting a call up ---- */

static void
set_connection(struct transfer *transfer, const char *url)
{
  struct http_client *client = transfer->client;
  CURL *easy = client->easy;
  bool secure = strncasecmp(client->base, "https:", 6) == 0;
  curl_easy_reset(easy); /* keeps live connections */
  curl_easy_setopt(easy, CURLOPT_URL, url);
  curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
  curl_easy_setopt(easy, CURLOPT_REDIR_PROTOCOLS_STR, secure ? "https" : "http,https");
  curl_easy_setopt(easy, CURLOPT_MAXREDIRS, (long) REDIRECTS_MAX);
  curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(easy, CURLOPT_TCP_KEEPALIVE, 1L);
  curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT, (long) client->connect_timeout_s);
  curl_easy_setopt(easy, CURLOPT_USERAGENT, client->user_agent);
  curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, transfer->reason);
  if (client->socket_path != NULL) {
    curl_easy_setopt(easy, CURLOPT_UNIX_SOCKET_PATH, client->socket_path);
    curl_easy_setopt(easy, CURLOPT_NOPROXY, "*");
  }
  if (client->token != NULL) { /* libcurl sends it to the first host only */
    curl_easy_setopt(easy, CURLOPT_HTTPAUTH, (long) CURLAUTH_BEARER);
    curl_easy_setopt(easy, CURLOPT_XOAUTH2_BEARER, client->token);
  }
  curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, receive_header);
  curl_easy_setopt(easy, CURLOPT_HEADERDATA, transfer);
  curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, receive_piece);
  curl_easy_setopt(easy, CURLOPT_WRITEDATA, transfer);
}

static void
set_method(struct transfer *transfer)
{
  const struct http_call *call = transfer->call;
  CURL *easy = transfer->client->easy;
  if (call->body_read != NULL) {
    curl_easy_setopt(easy, CURLOPT_UPLOAD, 1L);
    curl_easy_setopt(easy, CURLOPT_READFUNCTION, send_piece);
    curl_easy_setopt(easy, CURLOPT_READDATA, transfer);
    curl_easy_setopt(easy, CURLOPT_INFILESIZE_LARGE, (curl_off_t) call->body_size);
    curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, call->method);
  } else if (strcmp(call->method, "GET") == 0) {
    curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 1L);
  } else if (strcmp(call->method, "HEAD") == 0) {
    curl_easy_setopt(easy, CURLOPT_NOBODY, 1L);
    curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 1L);
  } else {
    curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t) call->body.size);
    curl_easy_setopt(easy, CURLOPT_POSTFIELDS, call->body.size == 0 ? "" : call->body.data);
    curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, call->method);
  }
}

static struct curl_slist *
set_headers(struct transfer *transfer)
{
  const struct http_call *call = transfer->call;
  struct curl_slist *list = NULL;
  bool has_body = call->body_read != NULL || call->body.size > 0;
  if (has_body || call->type != NULL) {
    CLEANUP_FREE char *line = mem_printf(
        "Content-Type: %s", call->type == NULL ? "application/octet-stream" : call->type);
    list = curl_slist_append(list, line);
  } else {
    list = curl_slist_append(list, "Content-Type:"); /* none */
  }
  for (const char *const *line = call->headers; line != NULL && *line != NULL; line++)
    list = curl_slist_append(list, *line);
  curl_easy_setopt(transfer->client->easy, CURLOPT_HTTPHEADER, list);
  return list;
}

/* ---- running it ---- */

/* Until the transfer ends; CURLE_OPERATION_TIMEDOUT on silence. */
static CURLcode
drive(struct transfer *transfer)
{
  struct http_client *client = transfer->client;
  int64_t patience = (int64_t) client->silence_timeout_s * 1000;
  transfer->moved_at = clock_monotonic_ms();
  for (;;) {
    if (atomic_exchange(&client->cancelled, false)) {
      transfer->failed = -ECANCELED;
      return CURLE_ABORTED_BY_CALLBACK;
    }
    int running, left;
    if (curl_multi_perform(client->multi, &running) != CURLM_OK)
      return CURLE_FAILED_INIT;
    CURLMsg *message = curl_multi_info_read(client->multi, &left);
    if (message != NULL && message->msg == CURLMSG_DONE)
      return message->data.result;
    int64_t rest = transfer->moved_at + patience - clock_monotonic_ms();
    if (rest <= 0) {
      transfer->failed = -ETIMEDOUT;
      return CURLE_OPERATION_TIMEDOUT;
    }
    curl_multi_poll(client->multi, NULL, 0, rest < 1000 ? (int) rest + 1 : 1000, NULL);
  }
}

static const struct
{
  CURLcode curl;
  int error;
} reasons[] = {
  { CURLE_COULDNT_RESOLVE_HOST, -EHOSTUNREACH },
  { CURLE_COULDNT_RESOLVE_PROXY, -EHOSTUNREACH },
  { CURLE_COULDNT_CONNECT, -ECONNREFUSED },
  { CURLE_OPERATION_TIMEDOUT, -ETIMEDOUT },
  { CURLE_ABORTED_BY_CALLBACK, -ECANCELED },
  { CURLE_WRITE_ERROR, -ECANCELED },
  { CURLE_SEND_ERROR, -ECONNRESET },
  { CURLE_RECV_ERROR, -ECONNRESET },
  { CURLE_GOT_NOTHING, -ECONNRESET },
  { CURLE_PARTIAL_FILE, -ECONNRESET },
  { CURLE_URL_MALFORMAT, -EINVAL },
  { CURLE_UNSUPPORTED_PROTOCOL, -EINVAL },
  { CURLE_PEER_FAILED_VERIFICATION, -EPROTO },
  { CURLE_SSL_CONNECT_ERROR, -EPROTO },
};

static int
call_failed(const struct transfer *transfer, CURLcode code, const char *url, struct error *err)
{
  const struct http_client *client = transfer->client;
  const char *place = client->socket_path != NULL ? client->socket_path : url;
  if (transfer->failed == -ECANCELED)
    return error_set(err, -ECANCELED, "the call of %s was cancelled", place);
  if (transfer->failed == -EPROTO)
    return error_set(err, -EPROTO, "%s answered with something else than %s", place,
                     transfer->call->reply_type);
  if (transfer->failed == -EFBIG)
    return error_set(err, -EFBIG, "the reply of %s is too large", place);
  if (transfer->failed == -ETIMEDOUT)
    return error_set(err, -ETIMEDOUT, "cannot reach %s: nothing moved for %d s", place,
                     client->silence_timeout_s);
  int error = -EIO;
  for (size_t i = 0; i < ARRAY_SIZE(reasons); i++)
    if (reasons[i].curl == code)
      error = reasons[i].error;
  return error_set(err, error, "cannot reach %s: %s", place,
                   transfer->reason[0] != '\0' ? transfer->reason : curl_easy_strerror(code));
}

int
http_client_call(struct http_client *client, const struct http_call *call, struct http_answer *ret,
                 struct error *err)
{
  CLEANUP_FREE char *url = mem_printf("%s%s", client->base, call->path);
  *ret = (struct http_answer) { .upload_offset = -1 };
  struct transfer transfer = { .client = client, .call = call, .answer = ret };
  set_connection(&transfer, url);
  set_method(&transfer);
  struct curl_slist *headers = set_headers(&transfer);
  curl_multi_add_handle(client->multi, client->easy);
  CURLcode code = drive(&transfer);
  if (code == CURLE_OK && is_foreign(&transfer)) { /* with an empty body */
    transfer.failed = -EPROTO;
    code = CURLE_WRITE_ERROR;
  }
  long status = 0;
  curl_easy_getinfo(client->easy, CURLINFO_RESPONSE_CODE, &status);
  curl_multi_remove_handle(client->multi, client->easy);
  curl_easy_setopt(client->easy, CURLOPT_ERRORBUFFER, NULL);
  curl_slist_free_all(headers);
  if (code != CURLE_OK)
    http_answer_free(ret);
  ret->status = (int) status;
  if (code == CURLE_OK)
    return 0;
  return call_failed(&transfer, code, url, err);
}

/* ---- expecting success ---- */

/* Takes detail (or title) and hint out of problem details; what is not such a
   document says nothing. */
static void
read_problem(struct str body, struct error *err)
{
  json_t *problem =
      body.size == 0 ? NULL : json_loadb(body.data, body.size, JSON_REJECT_DUPLICATES, NULL);
  const char *detail = json_string_value(json_object_get(problem, "detail"));
  const char *title = json_string_value(json_object_get(problem, "title"));
  const char *hint = json_string_value(json_object_get(problem, "hint"));
  if (detail != NULL || title != NULL)
    error_set(err, err->code, "%s", detail != NULL ? detail : title);
  if (hint != NULL)
    error_hint(err, "%s", hint);
  json_decref(problem);
}

int
http_client_expect(struct http_client *client, const struct http_call *call,
                   struct http_answer *ret, struct error *err)
{
  int r = http_client_call(client, call, ret, err);
  if (r < 0 || (ret->status >= 200 && ret->status < 300))
    return r;
  r = error_of_status(ret->status);
  if (err == NULL)
    return r;
  error_set(err, r, "%s answered %s %s with %d %s",
            client->socket_path != NULL ? client->socket_path : client->base, call->method,
            call->path, ret->status, MHD_get_reason_phrase_for((unsigned) ret->status));
  read_problem(buf_str(&ret->body), err);
  return r;
}
