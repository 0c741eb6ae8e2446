/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
/* cmocka needs the three above first. */
#include <cmocka.h>

#include <errno.h>

#include "base/buf.h"
#include "serve/drawing.h"

#define HOSTILE "\"];n0[URL=\"javascript:x\"];<b>"

static struct drawing_node nodes[3];
static struct drawing_edge edges[2];

static struct drawing
sample(void)
{
  nodes[0] = (struct drawing_node) { .build = 1, .name = STR("a") };
  nodes[1] = (struct drawing_node) { .build = 2, .name = STR(HOSTILE), .is_centre = true };
  nodes[2] = (struct drawing_node) { .name = STR("and 12 more") };
  edges[0] = (struct drawing_edge) { .from = 0, .to = 1 };
  edges[1] = (struct drawing_edge) { .from = 2, .to = 1 };
  return (struct drawing) { .nodes = { nodes, 3 }, .edges = { edges, 2 } };
}

/* Nothing of a name reaches dot. */
static void
test_description_has_no_names(void **state)
{
  (void) state;
  CLEANUP_BUF struct buf out = { 0 };
  struct drawing drawing = sample();
  drawing_describe(&drawing, &out);
  const char *text = buf_text(&out);
  assert_non_null(strstr(text, "n0->n1;\nn2->n1;\n}"));
  assert_null(strstr(text, "URL"));
  assert_null(strstr(text, "<b>"));
  assert_null(strstr(text, "12 more"));
}

static void
test_answer(void **state)
{
  (void) state;
  CLEANUP_ARENA struct arena arena = { 0 };
  struct drawing drawing = sample();
  assert_int_equal(drawing_read(STR("graph 1 4 2\n"
                                    "node n0 0.5 1.5 1 0.333 \"\" solid box black lightgrey\n"
                                    "node n1 3 1 1 0.333 \"\" solid box black lightgrey\n"
                                    "node n2 0.5 0.5 1 0.333 \"\" solid box black lightgrey\n"
                                    "edge n0 n1 4 1 1.5 1.5 1.5 2 1 2.5 1 solid black\n"
                                    "edge n2 n1 4 1 0.5 1.5 0.5 2 1 2.5 1 solid black\n"
                                    "stop\n"),
                                &drawing, &arena),
                   0);
  assert_int_equal(drawing.width, 4 * 72 + 16);
  assert_int_equal(drawing.height, 2 * 72 + 16);
  assert_int_equal(nodes[0].top, 36 + 8 - 12); /* half an inch from above */
  assert_true(nodes[0].left < nodes[1].left);
  assert_true(str_equal(edges[0].curve, STR("M80,44C116,44 152,80 188,80")));
}

static void
test_what_is_no_answer(void **state)
{
  (void) state;
  static const char *const answers[] = {
    "",
    "graph 1 4 2\nstop\n",
    "graph 1 nan 2\n",
    "graph 1 1e300 2\n",
    "graph 1 4 2\nnode n3 0 0\n",
    "graph 1 4 2\nnode n-1 0 0\n",
    "graph 1 4 2\nnode x 0 0\n",
    "graph 1 4 2\nnode n0 0 0\nnode n0 0 0\nnode n0 0 0\nnode n0 0 0\n",
    "graph 1 4 2\nnode n0 0 0\nnode n1 0 0\nnode n2 0 0\nedge n0 n1 999999 1 1\n",
    "graph 1 4 2\nnode n0 0 0\nnode n1 0 0\nnode n2 0 0\nedge n0 n1 4 1 1\n",
  };
  CLEANUP_ARENA struct arena arena = { 0 };
  for (size_t i = 0; i < ARRAY_SIZE(answers); i++) {
    struct drawing drawing = sample();
    assert_int_equal(drawing_read(str_of(answers[i]), &drawing, &arena), -EBADMSG);
  }
}

/* By dot itself; what it said is kept. */
static void
test_layout(void **state)
{
  (void) state;
  CLEANUP_ARENA struct arena arena = { 0 };
  PN_CLEANUP(drawings_free) struct drawings drawings;
  drawings_init(&drawings);
  for (int i = 0; i < 2; i++) {
    struct error err = { 0 };
    struct drawing drawing = sample();
    int r = drawing_lay_out(&drawings, &drawing, &arena, &err);
    if (r < 0)
      fail_msg("%s", err.message);
    assert_true(nodes[0].left + nodes[0].width < nodes[1].left);
    assert_true(nodes[2].left >= 0 && nodes[2].top >= 0);
    assert_true(nodes[1].left + nodes[1].width <= drawing.width);
    assert_int_equal(drawings.next, 1);
    assert_int_equal(drawings.running, 0);
  }
}

int
main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_description_has_no_names),
    cmocka_unit_test(test_answer),
    cmocka_unit_test(test_what_is_no_answer),
    cmocka_unit_test(test_layout),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
