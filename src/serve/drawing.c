/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "serve/drawing.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/child.h"
#include "base/file.h"
#include "base/mem.h"
#include "guix/hash.h"

#define RUNNING_MAX 2
#define CPU_S 2
#define WALL_MS 5000
#define MEMORY (UINT64_C(512) << 20)
#define ANSWER_MAX (2 << 20)
#define CURVE_POINTS_MAX 400

/* Pixels. Names are in the monospaced font of 12 px, none of whose common kinds is wider. */
#define LETTER_WIDTH 7.3
#define MARK_WIDTH 34
#define NODE_HEIGHT 24
#define MARGIN 8
#define PER_INCH 72.0

struct drawing_kept
{
  struct guix_hash question;
  bool is_there;
  struct str answer; /* "" = dot could not */
};

static bool
can_run(const char *program)
{
  const char *path = getenv("PATH");
  struct str folder, rest = str_of(path);
  while (str_split(&rest, ':', &folder)) {
    CLEANUP_FREE char *file = mem_printf("%.*s/%s", STR_FMT(folder), program);
    if (access(file, X_OK) == 0)
      return true;
  }
  return false;
}

void
drawings_init(struct drawings *drawings)
{
  *drawings = (struct drawings) { .items = mem_array(DRAWINGS_KEPT, sizeof *drawings->items) };
  pthread_mutex_init(&drawings->lock, NULL);
  drawings->is_possible = can_run("dot");
}

void
drawings_free(struct drawings *drawings)
{
  for (size_t i = 0; drawings->items != NULL && i < DRAWINGS_KEPT; i++)
    free((char *) drawings->items[i].answer.data);
  free(drawings->items);
  pthread_mutex_destroy(&drawings->lock);
}

/* ---- what dot is told ---- */

static int
width_of(const struct drawing_node *node)
{
  size_t shown = node->name.size < DRAWING_NAME_MAX ? node->name.size : DRAWING_NAME_MAX + 1;
  return (int) ((double) shown * LETTER_WIDTH) + MARK_WIDTH;
}

void
drawing_describe(const struct drawing *drawing, struct buf *out)
{
  buf_printf(out,
             "digraph{rankdir=LR;ranksep=.6;nodesep=.12;node[shape=box,fixedsize=true,"
             "label=\"\",height=%.3f];edge[arrowhead=none];\n",
             NODE_HEIGHT / PER_INCH);
  for (size_t i = 0; i < drawing->nodes.count; i++)
    buf_printf(out, "n%zu[width=%.3f];\n", i, width_of(&drawing->nodes.items[i]) / PER_INCH);
  for (size_t i = 0; i < drawing->edges.count; i++)
    buf_printf(out, "n%zu->n%zu;\n", drawing->edges.items[i].from, drawing->edges.items[i].to);
  buf_append_text(out, "}\n");
}

/* ---- what it answers: lines of "-Tplain" ---- */

static bool
next_number(struct str *rest, double *ret)
{
  char text[32];
  struct str word;
  if (!str_split(rest, ' ', &word) || word.size == 0 || word.size >= sizeof text)
    return false;
  memcpy(text, word.data, word.size);
  text[word.size] = '\0';
  char *end;
  *ret = strtod(text, &end);
  return *end == '\0' && isfinite(*ret) && fabs(*ret) < 100000;
}

static bool
next_count(struct str *rest, size_t limit, size_t *ret)
{
  struct str word;
  int64_t number;
  if (!str_split(rest, ' ', &word) || str_to_i64(word, &number) < 0 || number < 0
      || number >= (int64_t) limit)
    return false;
  *ret = (size_t) number;
  return true;
}

/* "n12" */
static bool
next_node(struct str *rest, const struct drawing *drawing, size_t *ret)
{
  if (rest->size == 0 || rest->data[0] != 'n')
    return false;
  *rest = str_from(*rest, 1);
  return next_count(rest, drawing->nodes.count, ret);
}

/* Inches from below become pixels from above. */
static int
across(double inches)
{
  return (int) lround(inches * PER_INCH) + MARGIN;
}

static int
down(const struct drawing *drawing, double inches)
{
  return drawing->height - MARGIN - (int) lround(inches * PER_INCH);
}

/* "graph SCALE WIDTH HEIGHT" */
static bool
read_size(struct str rest, struct drawing *drawing)
{
  double scale, width, height;
  if (!next_number(&rest, &scale) || !next_number(&rest, &width) || !next_number(&rest, &height))
    return false;
  drawing->width = across(width) + MARGIN;
  drawing->height = across(height) + MARGIN;
  return true;
}

/* "node nI X Y ...": its middle */
static bool
read_node(struct str rest, struct drawing *drawing)
{
  size_t index;
  double x, y;
  if (!next_node(&rest, drawing, &index) || !next_number(&rest, &x) || !next_number(&rest, &y))
    return false;
  struct drawing_node *node = &drawing->nodes.items[index];
  node->width = width_of(node);
  node->left = across(x) - node->width / 2;
  node->top = down(drawing, y) - NODE_HEIGHT / 2;
  return true;
}

/* "edge nI nJ COUNT X Y X Y ...": a start and three points for each piece of the curve. */
static bool
read_edge(struct str rest, size_t at, struct drawing *drawing, struct arena *arena)
{
  CLEANUP_BUF struct buf curve = { 0 };
  struct drawing_edge *edge = &drawing->edges.items[at];
  size_t points;
  if (!next_node(&rest, drawing, &edge->from) || !next_node(&rest, drawing, &edge->to)
      || !next_count(&rest, CURVE_POINTS_MAX, &points))
    return false;
  for (size_t i = 0; i < points; i++) {
    double x, y;
    if (!next_number(&rest, &x) || !next_number(&rest, &y))
      return false;
    buf_printf(&curve, "%s%d,%d", i == 0 ? "M" : i == 1 ? "C" : " ", across(x), down(drawing, y));
  }
  edge->curve = arena_str(arena, buf_str(&curve));
  return true;
}

int
drawing_read(struct str answer, struct drawing *drawing, struct arena *arena)
{
  struct str line, kind;
  size_t nodes = 0, edges = 0;
  bool is_good = true;
  while (is_good && str_split(&answer, '\n', &line)) {
    (void) str_split(&line, ' ', &kind);
    if (str_equal(kind, STR("graph")))
      is_good = read_size(line, drawing);
    else if (str_equal(kind, STR("node")))
      is_good = nodes++ < drawing->nodes.count && read_node(line, drawing);
    else if (str_equal(kind, STR("edge"))) {
      is_good = edges < drawing->edges.count && read_edge(line, edges, drawing, arena);
      edges++;
    } else if (str_equal(kind, STR("stop")))
      break;
  }
  bool is_whole = nodes == drawing->nodes.count && edges == drawing->edges.count;
  return is_good && is_whole && drawing->width > 0 ? 0 : -EBADMSG;
}

/* ---- running it ---- */

static int
open_question(struct str question, struct error *err)
{
  int fd = memfd_create("graph", MFD_CLOEXEC);
  if (fd < 0)
    return error_set_errno(err, "cannot keep a graph in memory");
  int r = file_write_full(fd, question.data, question.size);
  if (r == 0 && lseek(fd, 0, SEEK_SET) == 0)
    return fd;
  close(fd);
  return error_set(err, r < 0 ? r : -EIO, "cannot keep a graph in memory");
}

static int
run_dot(struct str question, struct buf *ret, struct error *err)
{
  static const char *const argv[] = { "dot", "-Tplain", NULL };
  CLEANUP_FD int input = open_question(question, err);
  if (input < 0)
    return input;
  struct child_options options = CHILD_OPTIONS_INIT;
  options.argv = argv;
  options.input = input;
  options.limit_cpu = CPU_S;
  options.limit_memory = MEMORY;
  options.niceness = 5;
  options.die_with_parent = true;
  int r = child_run(&options, WALL_MS, ANSWER_MAX, ret, err);
  if (r < 0 && r != -ENOENT)
    return error_set(err, -ETIMEDOUT, "this graph is too large to be drawn");
  return r;
}

/* ---- keeping what it said ---- */

/* Under the lock. */
static const struct drawing_kept *
find_kept(const struct drawings *drawings, const struct guix_hash *question)
{
  for (size_t i = 0; i < DRAWINGS_KEPT; i++) {
    const struct drawing_kept *kept = &drawings->items[i];
    if (kept->is_there && memcmp(&kept->question, question, sizeof *question) == 0)
      return kept;
  }
  return NULL;
}

static void
keep(struct drawings *drawings, const struct guix_hash *question, struct str answer)
{
  struct drawing_kept *kept = &drawings->items[drawings->next++ % DRAWINGS_KEPT];
  free((char *) kept->answer.data);
  char *copy = mem_strndup(answer.size > 0 ? answer.data : "", answer.size);
  *kept = (struct drawing_kept) { *question, true, str_make(copy, answer.size) };
}

/* 1 with the answer of before in ARENA; 0: the caller is to run dot. */
static int
begin(struct drawings *drawings, const struct guix_hash *question, struct arena *arena,
      struct str *ret, struct error *err)
{
  pthread_mutex_lock(&drawings->lock);
  const struct drawing_kept *kept = find_kept(drawings, question);
  int r = kept != NULL ? 1 : 0;
  if (kept != NULL)
    *ret = arena_str(arena, kept->answer);
  else if (drawings->running == RUNNING_MAX)
    r = error_set(err, -EBUSY, "other graphs are being drawn");
  else
    drawings->running++;
  pthread_mutex_unlock(&drawings->lock);
  return r;
}

/* That it was too much is kept too: another try would cost as long. */
static void
end(struct drawings *drawings, const struct guix_hash *question, int result, struct str answer)
{
  pthread_mutex_lock(&drawings->lock);
  drawings->running--;
  if (result == 0 || result == -ETIMEDOUT)
    keep(drawings, question, result == 0 ? answer : STR(""));
  pthread_mutex_unlock(&drawings->lock);
}

int
drawing_lay_out(struct drawings *drawings, struct drawing *drawing, struct arena *arena,
                struct error *err)
{
  CLEANUP_BUF struct buf question = { 0 }, said = { 0 };
  struct str answer = { 0 };
  drawing_describe(drawing, &question);
  const struct guix_hash hash = guix_hash_of(buf_str(&question));
  int r = begin(drawings, &hash, arena, &answer, err);
  if (r == 0) {
    r = run_dot(buf_str(&question), &said, err);
    end(drawings, &hash, r, buf_str(&said));
    answer = buf_str(&said);
  }
  if (r < 0)
    return r;
  if (drawing_read(answer, drawing, arena) < 0)
    return error_set(err, -ETIMEDOUT, "this graph is too large to be drawn");
  return 0;
}
