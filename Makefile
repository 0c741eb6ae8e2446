# SPDX-License-Identifier: GPL-3.0-or-later
# The front door. Meson and Ninja do the work; `make help` lists what there is.

BUILD ?= build
PREFIX ?= /usr/local
DESTDIR ?=
JOBS ?= $(shell nproc)
ONESHOT ?=

.DEFAULT_GOAL := all
.PHONY: all help deps demo check check-fast check-all-of-guix bench screenshots lint format install uninstall clean

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 20

# The prefix is compiled in: after another one is set, some files are built anew. Meson notes what
# it was set to; where it has not, setting it costs little.
set_prefix = @grep -qxF 'prefix = $(PREFIX)' $(BUILD)/meson-private/cmd_line.txt || \
  meson configure $(BUILD) -Dprefix=$(PREFIX)

all: $(BUILD)/build.ninja ## build everything
ifneq ($(origin PREFIX),file)
	$(set_prefix)
endif
	@ninja -C $(BUILD) -j $(JOBS)

deps: ## install what is missing, from Debian and npm (needs root)
	@tools/deps

# Building needs the dependencies; a present build folder proves that they are there.
$(BUILD)/build.ninja:
	@tools/deps build
	@meson setup $(BUILD) --prefix $(PREFIX)

demo: all ## a whole farm on this machine (needs root): ONESHOT=1 ends by itself
	@ONESHOT=$(ONESHOT) BUILD=$(BUILD) tools/demo

check: all ## every test (needs root): units, generators, whole programs on real Guix, sanitizers, lint
	@tools/deps
	@BUILD=$(BUILD) tools/check

check-fast: all ## unit tests only
	@tools/deps
	@BUILD=$(BUILD) tools/check --fast

check-all-of-guix: all ## all 31,000 jobs of Guix against Guix itself: half an hour
	@tools/deps
	@BUILD=$(BUILD) tests/all_of_guix.py

bench: all ## one measurement (needs root): NAME=evaluation-page
	@tools/deps
	@BUILD=$(BUILD) bench/$(NAME)

screenshots: all ## the pictures of README.md anew (needs root)
	@tools/deps
	@BUILD=$(BUILD) SCREENSHOTS=doc/screenshots tests/run --slow pictures

lint: all ## figures of the tree, arrows between rooms, format, clang-tidy
	@tools/deps
	@BUILD=$(BUILD) tools/lint

format: ## clang-format over the tree
	@git ls-files 'src/*.[ch]' 'tests/*.[ch]' | xargs clang-format -i

install: $(BUILD)/build.ninja ## install into DESTDIR/PREFIX, with units for systemd
	$(set_prefix)
	@ninja -C $(BUILD) -j $(JOBS)
	@DESTDIR=$(DESTDIR) meson install -C $(BUILD) --no-rebuild

uninstall: ## remove what the last `make install` of this build folder installed
	@BUILD=$(BUILD) tools/uninstall

clean: ## remove the build folder
	@rm -rf $(BUILD)
