# SPDX-License-Identifier: GPL-2.0-or-later
# hvm-dm: `make run` boots a guest from an ISO, `make check` runs the tests, `make help` lists the rest.

SHELL := /bin/bash
SANITIZE ?=
FUZZ ?=
ifneq ($(FUZZ),)
BUILD := build/fuzz
CC := clang
SAN := -fsanitize=address,undefined,fuzzer-no-link -fno-sanitize-recover=undefined -fno-omit-frame-pointer -O1
else ifneq ($(SANITIZE),)
BUILD := build/sanitize
SAN := -fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer -O1
else
BUILD := build
SAN := -O2
endif

CFLAGS ?= -g
WARN := -std=gnu11 -Wall -Wextra -Werror -Wmissing-prototypes -Wstrict-prototypes -Wno-unused-parameter
ALL_CFLAGS = $(WARN) $(SAN) $(CFLAGS) -D_GNU_SOURCE -I. -pthread -MMD -MP $(LIB_CFLAGS)
ALL_LDFLAGS = $(SAN) -pthread -Wl,--as-needed $(LDFLAGS)

.PHONY: all help clean
all: $(BUILD)/hvm-dm

config.mk: configure
	./configure
-include config.mk

# The product: every room's files, and main.c in control/.
ROOMS := hw ioreq machine block net console vnc control
SRCS := $(foreach room,$(ROOMS),$(wildcard $(room)/*.c))
OBJS := $(SRCS:%.c=$(BUILD)/obj/%.o)
LIB_OBJS := $(filter-out $(BUILD)/obj/control/main.o,$(OBJS))

$(BUILD)/obj/%.o: %.c | config.mk
	@mkdir -p $(@D)
	$(CC) $(ALL_CFLAGS) -c -o $@ $<

# The link lets programs that take the architecture from the file's name find x86_64.
$(BUILD)/hvm-dm: $(OBJS)
	$(CC) $(ALL_LDFLAGS) -o $@ $^ $(LIB_LIBS)
	@ln -sf hvm-dm $(BUILD)/hvm-dm-system-x86_64

# Tests: a program for each tests/unit/*_test.c, with the test port's client and, for pure logic, the product's objects.
TEST_LIB_OBJS := $(patsubst %.c,$(BUILD)/obj/%.o,$(wildcard tests/lib/*.c))
UNIT_TESTS := $(patsubst tests/unit/%.c,$(BUILD)/tests/%,$(wildcard tests/unit/*_test.c))
TOOLS := $(patsubst tests/tools/%.c,$(BUILD)/tools/%,$(wildcard tests/tools/*.c))

# One archive, so that a test links only what it calls.
$(BUILD)/libhvmdm.a: $(LIB_OBJS)
	@rm -f $@
	ar rcs $@ $^

$(BUILD)/tests/%: $(BUILD)/obj/tests/unit/%.o $(TEST_LIB_OBJS) $(BUILD)/libhvmdm.a
	@mkdir -p $(@D)
	$(CC) $(ALL_LDFLAGS) -o $@ $^ -lcmocka $(LIB_LIBS)

$(BUILD)/tools/%: $(BUILD)/obj/tests/tools/%.o
	@mkdir -p $(@D)
	$(CC) $(ALL_LDFLAGS) -o $@ $^ -lvncclient -lpng -lz

.PRECIOUS: $(BUILD)/obj/%.o
.PHONY: tools tests check-unit
tools: $(TOOLS)
tests: $(UNIT_TESTS)
check-unit: $(BUILD)/hvm-dm $(UNIT_TESTS)
	HVM_DM=$(abspath $(BUILD)/hvm-dm-system-x86_64) tests/run-unit $(UNIT_TESTS)

clean:
	rm -rf build config.mk

-include $(OBJS:.o=.d) $(TEST_LIB_OBJS:.o=.d)
