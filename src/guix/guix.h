/* SPDX-License-Identifier: GPL-3.0-or-later */
/* libguixstore: what guix-daemon and `guix publish` speak, for any program.
   Knows nothing of Panoply. */
#pragma once

#include "guix/address.h"
#include "guix/archive.h"
#include "guix/compression.h"
#include "guix/daemon.h"
#include "guix/derivation.h"
#include "guix/hash.h"
#include "guix/keys.h"
#include "guix/nar.h"
#include "guix/narinfo.h"
#include "guix/store_path.h"
