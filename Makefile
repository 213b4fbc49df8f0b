# SPDX-License-Identifier: GPL-2.0-or-later
# hvm-dm: `make run` boots a guest from an ISO, `make check` runs the tests, `make help` lists the rest.

SHELL := /bin/bash

config.mk: configure
	./configure $(CONFIGURE_ARGUMENTS)
# These install what is missing first, and only then configure.
ifneq ($(filter-out run iso check check-all check-steady setup-check help clean,$(or $(MAKECMDGOALS),all)),)
-include config.mk
endif

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
# A guest that finds a hole finds it narrow: addresses differ each time, what is called cannot be written, returns and jumps are checked.
HARDEN := -fPIE -fstack-protector-strong -fstack-clash-protection -fcf-protection=full
# crti.o of Debian 12 has no mark of CET: what needs none in it (the shadow stack) is said by hand.
HARDEN_LINK := -pie -Wl,-z,relro,-z,now,-z,noexecstack,-z,shstk
# Without optimisation it cannot be had.
FORTIFY = $(if $(filter -O0,$(CFLAGS)),,-U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=3)
endif

CFLAGS ?= -g
# In a git working tree warnings are errors; `make WERROR=` builds in spite of them.
WERROR ?= $(if $(wildcard .git),1)
WARN := -std=gnu11 -Wall -Wextra -Wmissing-prototypes -Wstrict-prototypes -Wno-unused-parameter
DEFINES = -D_GNU_SOURCE $(if $(XEN),-DHAVE_XEN) $(if $(SDL),-DHAVE_SDL) -I. -I$(GENERATED) $(LIB_CFLAGS)
ALL_CFLAGS = $(WARN) $(if $(WERROR),-Werror) $(SAN) $(HARDEN) -pthread -MMD -MP $(DEFINES) $(CPPFLAGS) $(CFLAGS) $(FORTIFY)
ALL_LDFLAGS = $(SAN) $(HARDEN_LINK) -pthread -Wl,--as-needed $(CFLAGS) $(LDFLAGS)

.PHONY: all help clean
all: $(BUILD)/hvm-dm

help:
	@echo "make run              a guest on the screen (ISO=, DISK=, MEM=, SMP=, VGA=; SCREENSHOT=file.png [AFTER=seconds])"
	@echo "make iso              the demo CD alone, build/demo.iso"
	@echo "make check            the set-up, then every test: half an hour on two processors"
	@echo "make check-all        with the long proofs: ten hours on two processors; RESUME=1 goes on after a run that was broken off"
	@echo "make check-steady     what does not pass every time: N=10 times each (NAMES='vnc_test linux-cirrus': of those alone)"
	@echo "make                  the program, build/hvm-dm"
	@echo "make install          program and man page (PREFIX=/usr, DESTDIR=); ./configure --help: what can be chosen"
	@echo "make check-unit       every device's tests; SANITIZE=1: with sanitizers; MOVE=1: saved and loaded meanwhile"
	@echo "make check-includes   which room includes which, and that no files need one another in a circle"
	@echo "make check-hostile    a hostile guest for HOSTILE_SECONDS, best with SANITIZE=1"
	@echo "make check-fuzz       libFuzzer on every chip for FUZZ_SECONDS each"
	@echo "make bench            beside Debian's QEMU, twenty minutes and more; bench-net: only its last part, ROUNDS= times; bench-xen: in the Xen lab"
	@echo "make format, make clean"

# The product: every room's files, and main.c in control/.
ROOMS := hw $(wildcard hw/*) ioreq xenpv machine base block net console char vnc $(if $(SDL),sdl) control
SRCS := $(filter-out $(if $(XEN),,ioreq/xen%.c xenpv/%.c),$(foreach room,$(ROOMS),$(wildcard $(room)/*.c)))
OBJS := $(SRCS:%.c=$(BUILD)/obj/%.o)
LIB_OBJS := $(filter-out $(BUILD)/obj/control/main.o,$(OBJS))

# Changes when the compiler or its flags do, and then all is built anew.
.PHONY: FORCE
$(BUILD)/flags: FORCE
	$(shell mkdir -p $(@D))$(file >$@.new,$(CC) $(ALL_CFLAGS) $(ALL_LDFLAGS))@cmp -s $@.new $@ && rm $@.new || mv $@.new $@

$(BUILD)/obj/%.o: %.c $(BUILD)/flags | config.mk
	@mkdir -p $(@D)
	@echo "CC   $@"
	@$(CC) $(ALL_CFLAGS) -c -o $@ $<

# ACPI's description of the board, compiled by iasl (Debian's acpica-tools) for acpi.c to include.
GENERATED := build/generated
$(GENERATED)/hw/pc/dsdt.hex: hw/pc/dsdt.asl
	@mkdir -p $(@D)
	@echo "IASL $@"
	@cpp -P -x assembler-with-cpp -o $(@D)/dsdt.asl $<
	@iasl -vs -vw 3168 -tc -p $(@D)/dsdt $(@D)/dsdt.asl >$(@D)/dsdt.log 2>&1 || { cat $(@D)/dsdt.log; exit 1; }
	@sed -i 's/^unsigned char/static const unsigned char/' $@
$(BUILD)/obj/hw/pc/acpi.o build/clang/hw/pc/acpi.o: $(GENERATED)/hw/pc/dsdt.hex

# The option ROM that starts a kernel, for kernel.c to include.
$(GENERATED)/hw/pc/bootrom.hex: hw/pc/bootrom.S
	@mkdir -p $(@D)
	@echo "ROM  $@"
	@gcc -m32 -nostdlib -Wl,-m,elf_i386 -Wl,--oformat=binary -Wl,-Ttext=0 -Wl,--build-id=none -o $(@D)/bootrom.bin $<
	@{ echo "static const unsigned char bootrom_code[] = {"; od -v -An -tx1 $(@D)/bootrom.bin | sed 's/ \(..\)/0x\1,/g'; echo "};"; } >$@
$(BUILD)/obj/hw/pc/kernel.o build/clang/hw/pc/kernel.o: $(GENERATED)/hw/pc/bootrom.hex

# The link lets programs that take the architecture from the file's name find x86_64.
$(BUILD)/hvm-dm: $(OBJS)
	@echo "LINK $@"
	@$(CC) $(ALL_LDFLAGS) -o $@ $^ $(LIB_LIBS)
	@ln -sf hvm-dm $(BUILD)/hvm-dm-system-x86_64

# What is not there in a build without Xen.
NEED_XEN := tests/unit/xen%.c tests/unit/libxl_options_test.c tests/fakexen/%.c
# And in one without SDL.
NEED_SDL := tests/unit/sdl_test.c tests/lib/xserver.c
NOT_HERE = $(if $(XEN),,$(NEED_XEN)) $(if $(SDL),,$(NEED_SDL))

# Tests: a program for each tests/unit/*_test.c, with the test port's client and, for pure logic, the product's objects.
TEST_LIB_OBJS := $(patsubst %.c,$(BUILD)/obj/%.o,$(filter-out $(NOT_HERE),$(wildcard tests/lib/*.c)))
UNIT_TESTS := $(patsubst tests/unit/%.c,$(BUILD)/tests/%,$(filter-out $(NOT_HERE),$(wildcard tests/unit/*_test.c)))
TOOLS := $(patsubst tests/tools/%.c,$(BUILD)/tools/%,$(wildcard tests/tools/*.c))

# One archive, so that a test links only what it calls.
$(BUILD)/libhvmdm.a: $(LIB_OBJS)
	@rm -f $@
	ar rcs $@ $^

# Likewise: what needs cmocka is for those who have it.
$(BUILD)/libtest.a: $(TEST_LIB_OBJS)
	@rm -f $@
	ar rcs $@ $^

# A real VNC client, and the product's VNC server beside it.
$(BUILD)/tests/vnc_test $(BUILD)/tests/vnc_board_test $(BUILD)/tests/sdl_test: LIB_LIBS += -lvncclient
# What a desktop shows, asked of the X server.
$(BUILD)/tests/sdl_test: LIB_LIBS += -lX11

# A stand-in for Xen's libraries, to be preloaded, and the side of it that plays the hypervisor.
FAKEXEN_OBJS := $(patsubst %,$(BUILD)/obj/tests/fakexen/%.o,host store events)
$(BUILD)/fakexen.so: $(patsubst %,tests/fakexen/%,fakexen.c store.c events.c fakexen.h) | config.mk
	@mkdir -p $(@D)
	@echo "LINK $@"
	@$(CC) $(WARN) $(if $(WERROR),-Werror) -O1 -fPIC -shared $(DEFINES) $(CPPFLAGS) $(CFLAGS) -o $@ $(filter %.c,$^)
$(BUILD)/tests/xen_test $(BUILD)/tests/xen_qdisk_test $(BUILD)/tests/libxl_options_test $(BUILD)/tests/xen_channel_test: $(FAKEXEN_OBJS) | $(BUILD)/fakexen.so

$(BUILD)/tests/%: $(BUILD)/obj/tests/unit/%.o $(BUILD)/libtest.a $(BUILD)/libhvmdm.a
	@mkdir -p $(@D)
	@echo "LINK $@"
	@$(CC) $(ALL_LDFLAGS) -o $@ $(filter %.o,$^) $(filter %.a,$^) -lcmocka $(LIB_LIBS)

$(BUILD)/tools/%: $(BUILD)/obj/tests/tools/%.o $(BUILD)/libtest.a
	@mkdir -p $(@D)
	@echo "LINK $@"
	@$(CC) $(ALL_LDFLAGS) -o $@ $^ -lvncclient -lpng -lz

# Boot sectors of our own, for the tests.
$(BUILD)/guests/%.img: tests/guests/%.S tests/guests/put.inc
	@mkdir -p $(@D)
	gcc -m32 -nostdlib -Wl,-m,elf_i386 -Wl,--oformat=binary -Wl,-Ttext=0x7c00 -Wl,--build-id=none -o $@ $<
	truncate -s 1440K $@

# And a kernel, for -kernel.
$(BUILD)/guests/%.elf: tests/guests/%.S tests/guests/%.lds
	@mkdir -p $(@D)
	gcc -m32 -nostdlib -static -Wl,-m,elf_i386 -Wl,--build-id=none -Wl,--no-warn-rwx-segments -Wl,-T,$(word 2,$^) -o $@ $<

.PRECIOUS: $(BUILD)/obj/%.o
.PHONY: tools tests check-unit
tools: $(TOOLS)
tests: $(UNIT_TESTS)
check-unit: $(BUILD)/hvm-dm $(UNIT_TESTS) $(TOOLS)
	HVM_DM=$(abspath $(BUILD)/hvm-dm-system-x86_64) tests/run-unit $(UNIT_TESTS)

# hvm-dm beside Debian's QEMU, at last the cards with a guest; ROWS='words' keeps the rows whose name contains one of the words.
BENCH_OBJS := $(patsubst %.c,$(BUILD)/obj/%.o,$(wildcard bench/*.c))
$(BUILD)/bench/bench: $(BENCH_OBJS) $(BUILD)/libtest.a $(BUILD)/libhvmdm.a
	@mkdir -p $(@D)
	$(CC) $(ALL_LDFLAGS) -o $@ $^ -lvncclient $(LIB_LIBS)
.PHONY: bench
bench: $(BUILD)/hvm-dm $(BUILD)/bench/bench
	@./install-packages run
	@status=0; \
	HVM_DM=$(abspath $(BUILD)/hvm-dm-system-x86_64) $(BUILD)/bench/bench $(ROWS) || status=1; \
	$(if $(ROWS),,bench/bench-net $(ROUNDS) || status=1;) \
	exit $$status

# hvm-dm beside Debian's stock device model in the Xen lab, ROUNDS times.
.PHONY: bench-xen
bench-xen: $(BUILD)/hvm-dm
	@./install-packages check
	bench/bench-xen $(ROUNDS)

# hvm-dm's network cards beside QEMU's, each driven by Linux in the KVM lab, ROUNDS times.
.PHONY: bench-net
bench-net: $(BUILD)/hvm-dm
	@./install-packages run
	bench/bench-net $(ROUNDS)

# A guest that means harm, for HOSTILE_SECONDS, with HOSTILE_SEED if it is to be the same as before; best with SANITIZE=1.
HOSTILE_SECONDS ?= 20
HOSTILE_OBJS := $(patsubst %.c,$(BUILD)/obj/%.o,tests/fuzz/hostile.c tests/fuzz/holds.c tests/fuzz/moves.c tests/fuzz/watcher.c)
$(BUILD)/hostile: $(HOSTILE_OBJS) $(BUILD)/libtest.a
	$(CC) $(ALL_LDFLAGS) -o $@ $^ $(LIB_LIBS)
.PHONY: check-hostile
check-hostile: $(BUILD)/hvm-dm $(BUILD)/hostile
	HVM_DM=$(abspath $(BUILD)/hvm-dm-system-x86_64) $(BUILD)/hostile --seconds $(HOSTILE_SECONDS) \
	  $(HOSTILE_SEED:%=--seed %) --logs $(BUILD)/hostile-logs

# libFuzzer, a program for each tests/fuzz/CHIP_fuzz.c; `make check-fuzz` runs each for FUZZ_SECONDS.
FUZZ_SECONDS ?= 5
FUZZ_TARGETS := $(patsubst tests/fuzz/%.c,build/fuzz/%,$(wildcard tests/fuzz/*_fuzz.c))
build/fuzz/%_fuzz: build/fuzz/obj/tests/fuzz/%_fuzz.o build/fuzz/obj/tests/fuzz/harness.o build/fuzz/libhvmdm.a
	clang $(ALL_LDFLAGS) -fsanitize=fuzzer -o $@ $(filter %.o,$^) -Wl,--whole-archive build/fuzz/libhvmdm.a -Wl,--no-whole-archive $(LIB_LIBS)
# Not chips: what a viewer sends, what comes over a wire, images.
build/fuzz/vnc_fuzz build/fuzz/wires_fuzz build/fuzz/qcow2_fuzz build/fuzz/vpc_fuzz: build/fuzz/%: build/fuzz/obj/tests/fuzz/%.o build/fuzz/libhvmdm.a
	clang $(ALL_LDFLAGS) -fsanitize=fuzzer -o $@ $^ $(LIB_LIBS)
.PHONY: fuzz fuzz-programs check-fuzz
fuzz-programs: $(FUZZ_TARGETS)
fuzz:
	@$(MAKE) --no-print-directory FUZZ=1 fuzz-programs
check-fuzz: fuzz
	tests/run-fuzz $(FUZZ_SECONDS) $(FUZZ_TARGETS)

# Everything: the set-up, then every test. check-all adds the long proofs (installations, minutes of fuzzing, many processors).
.PHONY: setup-check check check-all check-includes check-format check-clang format install
setup-check:
	@./install-packages check
check check-all: setup-check
	@$(MAKE) --no-print-directory -j2 all tests tools WERROR=1
	@$(MAKE) --no-print-directory -j2 all tests tools SANITIZE=1 WERROR=1
	@tests/run-check $(if $(filter check-all,$@),all)

# Looks for what does not pass every time: N times each test program, N/5 times each case, half of them beside busy loops.
N ?= 10
.PHONY: check-steady
check-steady: setup-check
	@$(MAKE) --no-print-directory -j2 all tests tools WERROR=1
	@tests/check-steady $(N) $(NAMES)

# A guest on the screen, with one command: ISO=, DISK=, MEM=, SMP=, VGA=, SCREENSHOT=file.png AFTER=seconds, DM= (another device
# model). The demo CD alone: make iso.
.PHONY: run iso setup-run
setup-run:
	@./install-packages run
run: setup-run
	@$(MAKE) --no-print-directory -j2 $(if $(DM),,all) tools
	@ISO="$(ISO)" DISK="$(DISK)" MEM="$(MEM)" SMP="$(SMP)" VGA="$(VGA)" SCREENSHOT="$(SCREENSHOT)" AFTER="$(AFTER)" DM="$(DM)" \
	  tests/lab/run-demo
iso: setup-run
	@tests/lab/mkiso --output build/demo.iso

FORMATTED = $(shell git ls-files '*.c' '*.h')
check-includes: $(OBJS)
	@tests/check-includes $(BUILD)/obj

check-format:
	clang-format --dry-run -Werror $(FORMATTED)
format:
	clang-format -i $(FORMATTED)

# The whole tree through clang's warnings, without making programs.
CLANG_OBJS := $(patsubst %.c,build/clang/%.o,$(SRCS) $(filter-out $(NOT_HERE),$(wildcard tests/*/*.c bench/*.c)))
build/clang/%.o: %.c | config.mk
	@mkdir -p $(@D)
	@clang $(WARN) -Werror -O1 -MMD -MP $(DEFINES) -c -o $@ $<
check-clang: $(CLANG_OBJS)

# The man page: the options come from the program itself, so that they are the ones it takes.
$(BUILD)/hvm-dm.1: docs/hvm-dm.1.in $(BUILD)/hvm-dm
	$(BUILD)/hvm-dm -help-troff >$@.options
	sed -e "s/@VERSION@/$$($(BUILD)/hvm-dm -version | sed "s/.* //")/" -e "/@OPTIONS@/{r $@.options" -e "d}" $< >$@
	@rm -f $@.options

# Installing: PREFIX, DESTDIR as usual.
PREFIX ?= /usr
install: $(BUILD)/hvm-dm $(BUILD)/hvm-dm.1
	install -D -m 755 $(BUILD)/hvm-dm $(DESTDIR)$(PREFIX)/lib/hvm-dm/hvm-dm
	install -d $(DESTDIR)$(PREFIX)/bin
	ln -sf ../lib/hvm-dm/hvm-dm $(DESTDIR)$(PREFIX)/bin/hvm-dm
	install -D -m 644 $(BUILD)/hvm-dm.1 $(DESTDIR)$(PREFIX)/share/man/man1/hvm-dm.1

clean:
	rm -rf build config.mk

-include $(CLANG_OBJS:.o=.d) $(OBJS:.o=.d) $(TEST_LIB_OBJS:.o=.d) $(BENCH_OBJS:.o=.d) \
  $(HOSTILE_OBJS:.o=.d) $(wildcard $(BUILD)/obj/tests/*/*.d)
