/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Private: the integers of an export stream (reference 3.2). */
#pragma once

enum
{
  ARCHIVE_END = 0, /* in front of an item */
  ARCHIVE_ITEM = 1,
  ARCHIVE_UNSIGNED = 0, /* in front of a signature */
  ARCHIVE_SIGNED = 1,
  ARCHIVE_MAGIC = 0x4558494e, /* behind the nar */
};
