/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Who this agent is: name, systems, facts about the machine, token. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/statvfs.h>
#include <sys/sysinfo.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "agent/agent_private.h"
#include "base/file.h"
#include "base/json.h"
#include "base/mem.h"

#define TOKEN_FILE_MAX 4096
#define PROC_FILE_MAX 65536

/* What a machine's kernel can run natively, by uname's machine name. */
static const struct
{
  const char *machine;
  const char *const *systems;
} native[] = {
  { "x86_64", (const char *const[]) { "x86_64-linux", "i686-linux", NULL } },
  { "i686", (const char *const[]) { "i686-linux", NULL } },
  { "aarch64", (const char *const[]) { "aarch64-linux", NULL } },
  { "armv7l", (const char *const[]) { "armhf-linux", NULL } },
  { "ppc64le", (const char *const[]) { "powerpc64le-linux", NULL } },
  { "riscv64", (const char *const[]) { "riscv64-linux", NULL } },
};

static const char *const *
native_systems(void)
{
  struct utsname kernel;
  uname(&kernel);
  for (size_t i = 0; i < ARRAY_SIZE(native); i++)
    if (strcmp(native[i].machine, kernel.machine) == 0)
      return native[i].systems;
  return native[0].systems;
}

static const char *
host_name(struct arena *arena)
{
  char name[256] = "";
  if (gethostname(name, sizeof name - 1) != 0 || name[0] == '\0')
    return "agent";
  name[strcspn(name, ".")] = '\0';
  return arena_printf(arena, "%s", name);
}

static void
settle_options(struct agent *agent)
{
  const struct agent_options *options = agent->options;
  struct arena *arena = &agent->arena;
  agent->state = options->state != NULL ? options->state : "/var/lib/panoply-agent";
  agent->token_file = options->token_file != NULL ? options->token_file
                                                  : arena_printf(arena, "%s/token", agent->state);
  agent->store_root = options->store_root != NULL ? options->store_root : "";
  agent->socket = options->daemon_socket != NULL
                      ? options->daemon_socket
                      : arena_printf(arena, "%s/var/guix/daemon-socket/socket", agent->store_root);
  agent->name = options->name != NULL ? options->name : host_name(arena);
  agent->systems = options->systems != NULL ? options->systems : native_systems();
  agent->jobs = options->jobs > 0 ? (int) options->jobs : 1;
  agent->uploads = options->uploads > 0 ? (int) options->uploads : 4;
  if (agent->uploads > AGENT_UPLOADS_MAX)
    agent->uploads = AGENT_UPLOADS_MAX;
}

static int
lock_state(struct agent *agent, struct error *err)
{
  int r = file_make_dirs(agent->state, 0700, err);
  if (r < 0)
    return r;
  const char *path = arena_printf(&agent->arena, "%s/lock", agent->state);
  agent->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (agent->lock_fd < 0)
    return error_set_errno(err, "cannot open %s", path);
  if (flock(agent->lock_fd, LOCK_EX | LOCK_NB) == 0)
    return 0;
  error_set(err, -EBUSY, "another agent works in %s", agent->state);
  return error_hint(err, "Stop it, or give this one a folder of its own with --state.");
}

/* The first line of a token file. */
static int
read_token(const char *path, struct arena *arena, const char **ret, struct error *err)
{
  CLEANUP_BUF struct buf text = { 0 };
  int r = file_read_all(path, TOKEN_FILE_MAX, &text, err);
  if (r < 0)
    return r;
  struct str rest = buf_str(&text);
  struct str line;
  if (!str_split(&rest, '\n', &line) || str_trim(line).size == 0)
    return error_set(err, -EINVAL, "%s holds no token", path);
  line = str_trim(line);
  *ret = arena_str(arena, line).data;
  return 0;
}

static void
describe_machine(struct json *json)
{
  struct utsname kernel;
  struct sysinfo info = { 0 };
  uname(&kernel);
  sysinfo(&info);
  json_key(json, "facts");
  json_object_open(json);
  json_put_cstr(json, "host", kernel.nodename);
  json_put_cstr(json, "kernel", kernel.release);
  json_put_cstr(json, "machine", kernel.machine);
  json_put_cstr(json, "version", PANOPLY_VERSION);
  json_put_i64(json, "cores", sysconf(_SC_NPROCESSORS_ONLN));
  json_put_i64(json, "memory", (int64_t) info.totalram * info.mem_unit);
  json_object_close(json);
}

void
agent_describe(const struct agent *agent, struct json *json)
{
  json_key(json, "systems");
  json_array_open(json);
  for (size_t i = 0; agent->systems[i] != NULL; i++)
    json_cstr(json, agent->systems[i]);
  json_array_close(json);
  json_put_i64(json, "jobs", agent->jobs);
  describe_machine(json);
}

/* Bytes that programs could get without swapping: what Linux reckons. */
static int64_t
available_memory(void)
{
  CLEANUP_BUF struct buf text = { 0 };
  struct str line;
  int64_t kib = 0;
  if (file_read_all("/proc/meminfo", PROC_FILE_MAX, &text, NULL) < 0)
    return 0;
  for (struct str rest = buf_str(&text); str_split(&rest, '\n', &line);) {
    static const struct str key = { "MemAvailable:", 13 };
    if (!str_starts(line, key))
      continue;
    struct str value = str_trim(str_from(line, key.size));
    struct str number;
    if (str_split(&value, ' ', &number) && str_to_i64(number, &kib) < 0)
      return 0;
  }
  return kib * 1024;
}

void
agent_describe_condition(const struct agent *agent, struct buf *out)
{
  struct statvfs disk = { 0 };
  double load = 0;
  CLEANUP_FREE char *store = mem_printf("%s/gnu/store", agent->store_root);
  struct json json = json_begin(out);
  json_object_open(&json);
  if (getloadavg(&load, 1) == 1 && statvfs(store, &disk) == 0) {
    CLEANUP_FREE char *number = mem_printf("%.2f", load);
    json_key(&json, "load");
    json_raw(&json, str_of(number));
    json_put_i64(&json, "memory_free", available_memory());
    json_put_i64(&json, "disk_free", (int64_t) (disk.f_bavail * disk.f_frsize));
    json_put_i64(&json, "disk_size", (int64_t) (disk.f_blocks * disk.f_frsize));
  }
  json_object_close(&json);
}

struct http_client *
agent_client_new(const struct agent *agent, int silence_timeout_s)
{
  return http_client_new(&(struct http_client_options) {
      .base_url = agent->options->server,
      .token = agent->token,
      .silence_timeout_s = silence_timeout_s,
  });
}

static int
ask_for_token(struct agent *agent, const char *join_token, json_t **ret, struct error *err)
{
  CLEANUP_BUF struct buf body = { 0 };
  struct json json = json_begin(&body);
  json_object_open(&json);
  json_put_cstr(&json, "name", agent->name);
  if (agent->token != NULL)
    json_put_cstr(&json, "token", agent->token);
  agent_describe(agent, &json);
  json_object_close(&json);
  struct http_client *client = http_client_new(
      &(struct http_client_options) { .base_url = agent->options->server, .token = join_token });
  struct http_answer answer = { 0 };
  int r = http_client_expect(client,
                             &(struct http_call) { .method = "POST",
                                                   .path = "/agent/v1/enrol",
                                                   .type = "application/json",
                                                   .body = buf_str(&body) },
                             &answer, err);
  if (r == 0) {
    *ret = json_loadb(answer.body.data, answer.body.size, JSON_REJECT_DUPLICATES, NULL);
    if (*ret == NULL)
      r = error_set(err, -EPROTO, "the server's answer is not JSON");
  }
  http_answer_free(&answer);
  http_client_free(client);
  return r;
}

int
agent_earn_token(struct agent *agent, struct error *err)
{
  const char *join_token;
  int r = read_token(agent->options->join_token_file, &agent->arena, &join_token, err);
  if (r < 0)
    return r;
  json_t *reply = NULL;
  r = ask_for_token(agent, join_token, &reply, err);
  if (r < 0)
    return error_prefix(err, "cannot enrol at %s", agent->options->server);
  const char *token = json_string_value(json_object_get(reply, "token"));
  if (token == NULL)
    r = error_set(err, -EPROTO, "the server's answer holds no token");
  else
    r = file_write_atomic(agent->token_file, str_of(token), 0600, err);
  if (r == 0)
    agent->token = arena_str(&agent->arena, str_of(token)).data;
  json_decref(reply);
  return r;
}

static int
check_daemon(const struct agent *agent, struct error *err)
{
  struct guix_daemon *daemon = NULL;
  int r = guix_daemon_open(agent->socket, &daemon, err);
  guix_daemon_close(daemon);
  if (r < 0)
    return error_hint(err, "Start guix-daemon, or name its socket with --daemon-socket.");
  return 0;
}

static int
take_token(struct agent *agent, struct error *err)
{
  if (file_exists(agent->token_file)) {
    const char *token = NULL;
    int r = read_token(agent->token_file, &agent->arena, &token, err);
    agent->token = token;
    return r;
  }
  if (agent->options->join_token_file == NULL) {
    error_set(err, -ENOENT, "there is no token in %s", agent->token_file);
    return error_hint(err, "Give --join-token-file: the server has one in its state folder.");
  }
  return agent_earn_token(agent, err);
}

int
agent_prepare(struct agent *agent, struct error *err)
{
  settle_options(agent);
  int r = lock_state(agent, err);
  if (r == 0)
    r = check_daemon(agent, err);
  return r < 0 ? r : take_token(agent, err);
}
