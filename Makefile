# SPDX-License-Identifier: MIT
#
# Faultline's one Makefile. `make help` lists the verbs. Everything that is built lands under build/:
#
#   build/faultline.elf           debug kernel (all assertions, lock ranks): what the tests run
#   build/faultline-release.elf   release kernel: what `make bench` measures
#   build/faultline-eventless.elf the same with no fault events recorded: what `make bench` compares it with
#   build/faultline.iso           GRUB image of the debug kernel, boots under BIOS and UEFI
#   build/user/NAME               NAME.c of a folder below user/ as a static program; NAME-pie is the same as static PIE
#   build/host/{asan,tsan}/tests  mm/ against the simulated machine, under the sanitizers
#   build/host/reach/tests        the same, telling which code each test reaches
#
# Variables: CROSS_COMPILE=prefix, CC=clang, CI=true (warnings are errors), DEPS=skip (install nothing),
# TESTS="names…" (only these scenarios), V=1 (show commands).

BUILD := build
MAKEFLAGS += --no-builtin-rules
.DEFAULT_GOAL := all
.DELETE_ON_ERROR:
.SUFFIXES:
.SECONDARY:

# A verb or a variable that is unknown is said to be, instead of changing nothing, or five minutes later.
VERBS := all iso user host host-programs deps run demo test soak soak-all matrix dist bench gdb format clean help
VARIABLES := CROSS_COMPILE CC CI DEPS TESTS PART V BUILD LD NM NASM HOSTCC MUSL_CC MUSL_LIB
unknown-verbs := $(filter-out $(VERBS) build/% $(BUILD)/%,$(MAKECMDGOALS))
unknown-variables := $(filter-out $(VARIABLES),$(foreach v,$(.VARIABLES),$(if $(findstring command,$(origin $(v))),$(v))))
$(if $(unknown-verbs),$(error there is no verb $(firstword $(unknown-verbs)): `make help` lists them))
$(if $(unknown-variables),$(error no variable is called $(firstword $(unknown-variables)): `make help` lists them; \
	the machine's options are those of tools/faultline shell))

Q := $(if $(V),,@)
say = $(if $(V),@:,@printf '  %-7s %s\n' $(1) $(2))

# --- Toolchain -------------------------------------------------------------------------------------------------------

in-path = $(shell command -v $(1) 2>/dev/null)
native-is-x86 = $(filter x86_64-%,$(shell gcc -dumpmachine 2>/dev/null))

ifeq ($(origin CROSS_COMPILE),undefined)
CROSS_COMPILE := $(firstword $(foreach p,x86_64-elf- x86_64-linux-gnu-,$(if $(call in-path,$(p)gcc),$(p))))
endif
ifeq ($(origin CC),default)
CC := $(CROSS_COMPILE)gcc
endif
LD := $(CROSS_COMPILE)ld
NM := $(CROSS_COMPILE)nm
NASM ?= nasm
HOSTCC ?= gcc
MUSL_CC ?= musl-gcc

is-clang := $(findstring clang,$(notdir $(CC)))
warnings := -Wall -Wextra $(if $(filter true,$(CI)),-Werror)

# Who builds on a bare machine is told what is missing, and the command for it, instead of meeting it one by one. The verbs that
# run something install it (deps), and call us again.
checked-goals := $(filter all user iso host,$(or $(MAKECMDGOALS),all))
ifneq ($(and $(checked-goals),$(filter 0,$(MAKELEVEL)),$(filter-out xskip,x$(DEPS))),)
lacking := $(shell CC='$(CC)' NASM='$(NASM)' HOSTCC='$(HOSTCC)' MUSL_CC='$(MUSL_CC)' tools/deps check $(checked-goals) 2>&1)
$(if $(lacking),$(error $(lacking)))
endif

# --- Kernel ----------------------------------------------------------------------------------------------------------

KERNEL_C := $(sort $(wildcard kernel/*.c kernel/*/*.c kernel/fs/*/*.c kernel/linux/*/*.c mm/*/*.c drivers/*.c))
KERNEL_ASM := $(sort $(wildcard boot/*.asm kernel/*.asm kernel/*/*.asm))
KERNEL_OBJS := $(KERNEL_C:.c=.o) $(KERNEL_ASM:.asm=.asm.o)

KERNEL_CFLAGS := -std=gnu17 -O2 -g $(warnings) -ffreestanding \
	-nostdinc -isystem $(shell $(CC) -print-file-name=include 2>/dev/null) \
	-mcmodel=kernel -mno-red-zone -mgeneral-regs-only -fno-pic -fno-pie -fno-stack-protector \
	-fno-strict-aliasing -fno-omit-frame-pointer -fno-asynchronous-unwind-tables -fcf-protection=none \
	-I. -Ikernel/x86 $(if $(is-clang),--target=x86_64-elf)
KERNEL_LDFLAGS := -nostdlib -static -z max-page-size=0x1000 -z noexecstack --build-id=none -T linker.ld

DEBUG_OBJS := $(addprefix $(BUILD)/debug/,$(KERNEL_OBJS))
RELEASE_OBJS := $(addprefix $(BUILD)/release/,$(KERNEL_OBJS))
EVENTLESS_OBJS := $(addprefix $(BUILD)/eventless/,$(KERNEL_OBJS))
EVENTLESS := $(BUILD)/faultline-eventless.elf

all: $(BUILD)/faultline.elf $(BUILD)/faultline-release.elf ## Build the debug and the release kernel (the default)

# Linked twice: the functions of the first link become the table (kernel/debug/symbols.h) in the second.
$(BUILD)/debug/nameless.elf: $(DEBUG_OBJS)
$(BUILD)/release/nameless.elf: $(RELEASE_OBJS)
$(BUILD)/eventless/nameless.elf: $(EVENTLESS_OBJS)
$(BUILD)/faultline.elf: $(BUILD)/debug/symbols.asm.o $(DEBUG_OBJS)
$(BUILD)/faultline-release.elf: $(BUILD)/release/symbols.asm.o $(RELEASE_OBJS)
$(EVENTLESS): $(BUILD)/eventless/symbols.asm.o $(EVENTLESS_OBJS)

# Under another name first: whoever boots the kernel meanwhile sees the old one or the new one.
link-kernel = $(Q)$(LD) $(KERNEL_LDFLAGS) -o $@.$$$$ $(filter %.o,$^) && mv $@.$$$$ $@

$(BUILD)/faultline.elf $(BUILD)/faultline-release.elf $(EVENTLESS): linker.ld Makefile
	$(call say,LD,$@)
	$(link-kernel)

$(BUILD)/%/nameless.elf: $(BUILD)/no-symbols.asm.o linker.ld Makefile
	$(link-kernel)

$(BUILD)/%/symbols.asm: $(BUILD)/%/nameless.elf
	$(Q)$(NM) -n $< | tools/symbol-table > $@

$(BUILD)/no-symbols.asm: tools/symbol-table
	$(Q)mkdir -p $(@D)
	$(Q)tools/symbol-table < /dev/null > $@

%.asm.o: %.asm
	$(Q)$(NASM) -f elf64 -o $@ $<

# One rule for each variant: a pattern rule with two targets would mean that one run makes both.
define variant-rules
$(KERNEL_C:%.c=$(BUILD)/$(1)/%.o): $(BUILD)/$(1)/%.o: %.c $(BUILD)/flags-kernel
	$$(call say,CC,$$@)
	$$(Q)mkdir -p $$(@D)
	$$(Q)$$(CC) $$(KERNEL_CFLAGS) $(2) -MMD -MP -c -o $$@ $$<

$(KERNEL_ASM:%.asm=$(BUILD)/$(1)/%.asm.o): $(BUILD)/$(1)/%.asm.o: %.asm $(BUILD)/flags-kernel
	$$(call say,NASM,$$@)
	$$(Q)mkdir -p $$(@D)
	$$(Q)$$(NASM) -f elf64 -g -F dwarf -w+error=orphan-labels -I. $(2) -MD $$(@:.o=.d) -MP -o $$@ $$<
endef
$(eval $(call variant-rules,debug,-DDEBUG=1))
$(eval $(call variant-rules,release,-DDEBUG=0))
$(eval $(call variant-rules,eventless,-DDEBUG=0 -DWITHOUT_EVENTS))

# A file that changes only when the flags do: changing compilers or CI rebuilds what it must.
$(BUILD)/flags-kernel: FORCE
	$(Q)mkdir -p $(@D)
	$(Q)echo '$(CC) $(KERNEL_CFLAGS)' | cmp -s - $@ || echo '$(CC) $(KERNEL_CFLAGS)' > $@
FORCE:

iso: $(BUILD)/faultline.iso ## Build a GRUB image that boots under BIOS and under UEFI

$(BUILD)/faultline.iso: $(BUILD)/faultline.elf $(BUILD)/user/hello boot/grub.cfg
	$(call say,ISO,$@)
	$(Q)tools/faultline iso --output $@ $(BUILD)/user/hello

# --- User programs ---------------------------------------------------------------------------------------------------

USER_C := $(sort $(wildcard user/*/*.c user/tests/*/*.c))
USER_PIE := $(filter hello threads cow,$(basename $(notdir $(USER_C))))
USER_PROGRAMS := $(patsubst %.c,$(BUILD)/user/%,$(notdir $(USER_C))) $(USER_PIE:%=$(BUILD)/user/%-pie)
USER_CFLAGS := -std=gnu17 -O2 -g $(warnings) -pthread -I.
# musl-gcc's own specs know no static PIE: it needs the start-up code that relocates itself, and no interpreter.
MUSL_LIB := $(firstword $(wildcard /usr/lib/x86_64-linux-musl /usr/local/musl/lib))
STATIC_PIE := -fPIE -static -nostartfiles -Wl,-pie,--no-dynamic-linker,-z,text \
	$(addprefix $(MUSL_LIB)/,rcrt1.o crti.o crtn.o)

user: $(USER_PROGRAMS) ## Build the static Linux programs of user/

# No two folders have a program of the same name: all are in one folder of the machine, too.
vpath %.c $(sort $(dir $(USER_C)))
# A source that has moved to another folder is still named by the dependencies of the last build: that is no error.
user/%.c: ;

$(BUILD)/user/%: %.c Makefile
	$(call say,MUSL,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(MUSL_CC) $(USER_CFLAGS) -static -MMD -MP -MF $@.d -o $@ $<

$(BUILD)/user/%-pie: %.c Makefile
	$(call say,MUSL,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(MUSL_CC) $(USER_CFLAGS) -MMD -MP -MF $@.d -o $@ $< $(STATIC_PIE)

# --- QEMU plugins: shared cache lines, for `make bench`; --stop-at and `report` of tools/faultline ----------------------

PLUGINS := $(BUILD)/lines.so $(BUILD)/stop.so $(BUILD)/turns.so

$(BUILD)/%.so: tools/plugin/%.c $(wildcard tools/plugin/*.h)
	$(call say,HOSTCC,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(HOSTCC) -std=gnu17 -O2 $(warnings) -fPIC -shared -I. -o $@ $<

# --- Host build: mm/ against the simulated machine -------------------------------------------------------------------

# Sets HOST_SHARED: the kernel sources, besides all of mm/, that the simulated machine uses as they are.
-include tests/host/sources.mk

HOST_C := $(sort $(wildcard tests/host/*.c mm/*/*.c) $(HOST_SHARED))
# Only line numbers and names: a sanitizer's report needs no more, and all of -g takes half as long again.
HOST_CFLAGS := -std=gnu17 -O1 -g1 $(warnings) -fno-omit-frame-pointer -fno-strict-aliasing -pthread -DDEBUG=1 \
	-I. -Itests/host
comma := ,

define host-rules
$(BUILD)/host/$(1)/tests: $(HOST_C:%.c=$(BUILD)/host/$(1)/obj/%.o)
	$$(call say,LD,$$@)
	$$(Q)$$(HOSTCC) $$(HOST_CFLAGS) $(2) -o $$@ $$(filter %.o,$$^)

$(HOST_C:%.c=$(BUILD)/host/$(1)/obj/%.o): $(BUILD)/host/$(1)/obj/%.o: %.c Makefile
	$$(call say,HOSTCC,$$@)
	$$(Q)mkdir -p $$(@D)
	$$(Q)$$(HOSTCC) $$(HOST_CFLAGS) $(2) -MMD -MP -c -o $$@ $$<
endef
$(eval $(call host-rules,asan,-fsanitize=address$(comma)undefined -fno-sanitize-recover=all))
$(eval $(call host-rules,tsan,-fsanitize=thread))
# Which blocks a test enters, for `tests/run mutants`: the call at the start of each block is tests/mutants/reached.c's.
$(eval $(call host-rules,reach,-O0 -fsanitize-coverage=trace-pc))
$(BUILD)/host/reach/tests: $(BUILD)/host/reach/obj/reached.o

$(BUILD)/host/reach/obj/reached.o: tests/mutants/reached.c Makefile
	$(call say,HOSTCC,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(HOSTCC) $(HOST_CFLAGS) -c -o $@ $<

host-programs: $(if $(wildcard tests/host/*.c),$(BUILD)/host/asan/tests $(BUILD)/host/tsan/tests)

host: host-programs ## Build mm/ for the host and run its tests under ASan+UBSan and under TSan
	$(Q)tests/run host

# --- Verbs that run something: each sets up the machine first, then builds, then runs ---------------------------------

jobs = $(if $(filter -j%,$(MAKEFLAGS)),,-j$(shell nproc))
build = $(Q)$(MAKE) $(jobs) --no-print-directory
build-all = $(build) all user
build-debug = $(build) $(BUILD)/faultline.elf user

deps: ## Install what is missing from the distribution's packages (DEPS=skip: do nothing)
	$(Q)DEPS='$(DEPS)' tools/deps

run: deps ## Boot to a shell: BusyBox, with the programs of user/; poweroff leaves
	$(build-debug)
	$(Q)tools/faultline shell

demo: deps ## Run the demonstration: the same faults under each policy, with the counters
	$(build) $(BUILD)/faultline-release.elf user
	$(Q)tools/faultline demo

test: deps ## Run all tests (under 5 minutes); TESTS="name…" for some
	$(if $(TESTS),$(Q)set -f; tests/run known $(TESTS))
	$(build-all) $(if $(TESTS),host-programs,$(BUILD)/host/asan/tests) $(PLUGINS)
	$(Q)set -f; tests/run test $(TESTS)

soak: deps ## Run the long sweeps: schedule seeds, fuzzers, mutants, bigger matrices (under 45 minutes)
	$(Q)DEPS='$(DEPS)' tools/deps soak
	$(if $(TESTS),$(Q)tests/run known-soak $(TESTS))
	$(build-all) host-programs $(PLUGINS) $(EVENTLESS)
	$(Q)set -f; tests/run soak $(TESTS)

soak-all: deps ## Run what takes longer, in parts of at most 20 minutes; PART=name or PART=next for one
	$(if $(PART),$(Q)tests/run known --part '$(PART)')
	$(build-all) host-programs $(PLUGINS)
	$(Q)set -f; tests/run soak-all $(if $(PART),--part '$(PART)') $(TESTS)

matrix: ## Try a clone of the last commit in fresh installations of other distributions (root, debootstrap and a mirror)
	$(Q)tests/run soak-all 'matrix/*'

dist: deps ## Pack both kernels, the image and the programs, from the last commit; the same bytes from any clone
	$(Q)DEPS='$(DEPS)' tools/deps dist
	$(Q)MAKE='$(MAKE)' tools/make-dist

bench: deps ## Measure instructions per operation of the release kernel, for each policy; PART=name for one table
	$(build-all) $(PLUGINS) $(EVENTLESS)
	$(Q)tools/faultline bench $(PART)

gdb: deps ## Attach GDB to a boot stopped at its first 64-bit instruction; `help faultline` lists the commands
	$(build-debug) $(PLUGINS)
	$(Q)tools/faultline run --gdb $(BUILD)/user/hello

format: ## Lay out all C sources as .clang-format says
	$(Q)clang-format -i $(wildcard $(foreach d,kernel kernel/* kernel/fs/* kernel/linux/* mm mm/* drivers user tests/host,$(d)/*.[ch]))

clean: ## Remove everything that was built
	$(Q)rm -rf $(BUILD)

help: ## List the verbs
	@echo 'Verbs:'
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' Makefile | expand -t 16
	@echo 'Variables: CROSS_COMPILE=prefix  CC=clang  CI=true  DEPS=skip  TESTS="name…"  PART=name  V=1'
	@echo 'One program: tools/faultline run PROGRAM [ARGS…]; what its faults do: tools/faultline trace, report; see --help'

.PHONY: $(VERBS) FORCE

-include $(patsubst %.o,%.d,$(DEBUG_OBJS) $(RELEASE_OBJS) $(EVENTLESS_OBJS)) $(USER_PROGRAMS:=.d)
-include $(foreach s,asan tsan reach,$(HOST_C:%.c=$(BUILD)/host/$(s)/obj/%.d))
