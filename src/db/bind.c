/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "db/bind.h"

#include <assert.h>
#include <errno.h>

#include "db/value.h"

void
binding_free(struct binding *binding)
{
  buf_free(&binding->bytes);
}

/* These go as they are; everything else is encoded first. */
static bool
is_plain_text(const struct db_value *value)
{
  return value->type == DB_TYPE_TEXT || value->type == DB_TYPE_BYTES || value->type == DB_TYPE_JSON;
}

int
binding_fill(struct binding *binding, const struct db_statement *statement,
             const struct db_value *values, struct error *err)
{
  size_t offsets[DB_PARAMETERS_MAX];
  assert(statement->parameters_count <= DB_PARAMETERS_MAX);
  for (int i = 0; i < statement->parameters_count; i++) {
    offsets[i] = binding->bytes.size;
    bool in_place = values[i].is_null || is_plain_text(&values[i]);
    if ((is_plain_text(&values[i]) && values[i].text.size > DB_VALUE_SIZE_MAX)
        || (!in_place && db_value_encode(&values[i], &binding->bytes) < 0))
      return error_set(err, -EFBIG, "%s: parameter %d is larger than a gigabyte", statement->name,
                       i + 1);
    binding->lengths[i] = (int) (binding->bytes.size - offsets[i]);
    binding->formats[i] = 1;
  }
  /* Only now does the buffer stay where it is. */
  for (int i = 0; i < statement->parameters_count; i++) {
    if (values[i].is_null)
      continue;
    binding->values[i] = binding->bytes.data + offsets[i];
    if (!is_plain_text(&values[i]))
      continue;
    binding->values[i] = values[i].text.size == 0 ? "" : values[i].text.data;
    binding->lengths[i] = (int) values[i].text.size;
  }
  return 0;
}
