# streamd: `make run` serves, `make test` tests; both install what they need. `make help` lists every target.

CC ?= cc
BUILD ?= build
OPT ?= -O2
WARN = -Wall -Wextra -Wshadow -Wconversion -Wstrict-prototypes -Wmissing-prototypes -Werror
CFLAGS = -std=c11 -D_GNU_SOURCE -I. -g $(OPT) $(WARN) -fno-strict-aliasing -MMD -MP $(DEFINES) $(SANITIZE)
LDFLAGS = $(SANITIZE)

# What each process may link is a wall: of databases, the router and the commands know the registry only.
LIBS_supervisor = -levent_core -lsqlite3 -ljwt -lcjson -lcrypto -lsodium
LIBS_router = -levent_core -lsqlite3 -ljwt -lcjson -lcrypto -lcurl -lsodium
LIBS_common = $(LIBS_router)
LIBS_shard = -levent_core -lsqlite3 -lnanomsg -lzstd -lxxhash -lcurl -lcrypto -lcjson -lsodium

# One archive a folder, roof first, as in scripts/layers.txt: what is below a folder comes after it.
FOLDERS = $(shell sed '/^\#/d' scripts/layers.txt | cut -d' ' -f1)
archive = $(BUILD)/lib/$(subst /,_,$(1)).a
process_of = $(firstword $(subst /, ,$(1)))
from_folder = $(if $(filter $(1),$(firstword $(2))),$(2),$(call from_folder,$(1),$(wordlist 2,$(words $(2)),$(2))))
archives_in = $(foreach d,$(filter $(1) $(1)/% common,$(2)),$(call archive,$(d)))
# Of a process; and of a folder with what lies below it, in the order in which a linker wants them.
archives_of = $(call archives_in,$(1),$(FOLDERS))
archives_below = $(call archives_in,$(call process_of,$(1)),$(call from_folder,$(1),$(FOLDERS)))
PROGRAMS = $(BUILD)/streamd $(BUILD)/streamd-router $(BUILD)/streamd-shard
UNIT_TESTS = $(patsubst tests/unit/%.c,$(BUILD)/unit/%,$(sort $(wildcard tests/unit/*/test_*.c tests/unit/*/*/test_*.c)))

objects = $(patsubst %.c,$(BUILD)/obj/%.o,$(filter-out %/main.c,$(wildcard $(1)/*.c)))

.PHONY: all
all: $(PROGRAMS) ## build the three programs into build/

define program
$(BUILD)/$(2): $$(BUILD)/obj/$(1)/main.o $$(call archives_of,$(1))
	$$(CC) $$(LDFLAGS) -o $$@ $$< $$(filter %.a,$$^) $$(LIBS_$(1))
endef
$(eval $(call program,supervisor,streamd))
$(eval $(call program,router,streamd-router))
$(eval $(call program,shard,streamd-shard))

define build_archive
$$(call archive,$(1)): $$(call objects,$(1))
	@mkdir -p $$(@D)
	rm -f $$@ && ar rcs $$@ $$^
endef
$(foreach d,$(FOLDERS),$(eval $(call build_archive,$(d))))

$(BUILD)/obj/%.o: %.c
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) -c -o $@ $<

define unit_test
$(BUILD)/unit/$(1): tests/unit/$(1).c $$(call archives_below,$(2))
	@mkdir -p $$(@D)
	$$(CC) $$(CFLAGS) $$(LDFLAGS) -o $$@ $$< $$(filter %.a,$$^) $$(LIBS_$(3)) -lcmocka
endef
folder_of = $(patsubst %/,%,$(dir $(1)))
$(foreach t,$(UNIT_TESTS:$(BUILD)/unit/%=%),$(eval $(call unit_test,$(t),$(call folder_of,$(t)),$(call process_of,$(t)))))

.PHONY: run
run: ## install what it needs, build, serve in the foreground with data in ./data; ARGS="--set shard.count=8"
	tests/deps.sh
	$(MAKE) --no-print-directory -j$(shell nproc) all
	exec $(BUILD)/streamd $(ARGS)

# Whatever runs under Node finds the one that tests/deps.sh may have brought.
export PATH := $(CURDIR)/build/node/node_modules/.bin:$(PATH)

.PHONY: deps
deps: ## install what building and testing need
	tests/deps.sh test
	$(MAKE) --no-print-directory tests/node_modules/.package-lock.json

tests/node_modules/.package-lock.json: tests/package-lock.json
	cd tests && npm ci --no-audit --no-fund && touch node_modules/.package-lock.json

.PHONY: test
test: deps ## everything: unit tests, corpora, conformance, end to end, crashes; again with sanitizers
	@node tests/all.mjs

.PHONY: layers
layers: all ## hold the objects to the law in scripts/layers.txt: no call goes up, no cycle has three files
	@node scripts/check-layers.mjs $(BUILD)

# Another version of clang-format breaks lines at other places, so the gate asks for Debian 12's.
CLANG_FORMAT ?= clang-format-14
SOURCES = $(shell find common supervisor router shard tests -name node_modules -prune -o -name '*.[ch]' -print)

.PHONY: format
format: ## lay out all C files as .clang-format says
	@$(CLANG_FORMAT) -i $(SOURCES)

.PHONY: format-check
format-check: ## fail if a C file is not laid out as .clang-format says
	@if command -v $(CLANG_FORMAT) >/dev/null; then $(CLANG_FORMAT) --dry-run --Werror $(SOURCES) && \
		echo "format: $(words $(SOURCES)) files"; else echo "format: not checked, there is no $(CLANG_FORMAT)"; fi

.PHONY: unit
unit: $(UNIT_TESTS) ## build and run the unit tests
	@for t in $(UNIT_TESTS); do echo "== $$t" && $$t || exit 1; done

# Each tests/fuzz/fuzz_X.c checks properties of one parser and has its corpus in tests/fuzz/corpus/X. An input that broke
# one goes there, and `fuzz-replay` runs it ever after.
FUZZ_TARGETS = $(patsubst tests/fuzz/fuzz_%.c,%,$(wildcard tests/fuzz/fuzz_*.c))
FUZZ_SECONDS ?= 60
FUZZ_CODE = $(filter-out %/common.a,$(call archives_of,router) $(call archives_of,shard)) $(call archive,common)
FUZZ_MAIN = tests/fuzz/replay.c
FUZZ_SANITIZE = -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=undefined

$(BUILD)/fuzz/%: tests/fuzz/fuzz_%.c tests/fuzz/fuzz.h tests/fuzz/replay.c $(FUZZ_CODE)
	@mkdir -p $(@D)
	$(CC) $(filter-out -MMD -MP,$(CFLAGS)) $(LDFLAGS) -o $@ $< $(FUZZ_MAIN) -Wl,--start-group $(FUZZ_CODE) -Wl,--end-group -lcjson -ljwt -lcrypto -lzstd -lxxhash -lsodium

.PHONY: fuzz-replay
fuzz-replay: $(FUZZ_TARGETS:%=$(BUILD)/fuzz/%) ## run the fuzz targets over their corpora, without a fuzzer
	@for t in $(FUZZ_TARGETS); do $(BUILD)/fuzz/$$t tests/fuzz/corpus/$$t || exit 1; done

.PHONY: fuzz
fuzz: ## run each fuzz target for FUZZ_SECONDS (60) under libFuzzer, ASan and UBSan
	$(MAKE) BUILD=$(BUILD)/libfuzzer CC=clang SANITIZE="$(FUZZ_SANITIZE)" FUZZ_MAIN=-fsanitize=fuzzer fuzz-run

.PHONY: fuzz-run
fuzz-run: $(FUZZ_TARGETS:%=$(BUILD)/fuzz/%)
	@for t in $(FUZZ_TARGETS); do mkdir -p $(BUILD)/corpus/$$t && $(BUILD)/fuzz/$$t -max_total_time=$(FUZZ_SECONDS) \
		-max_len=4096 -print_final_stats=1 -artifact_prefix=$(BUILD)/$$t- $(BUILD)/corpus/$$t tests/fuzz/corpus/$$t || exit 1; done

SECONDS ?= 60
SEED ?=
SHARDS ?= 1 4
WORKERS ?= 1 2

.PHONY: test-e2e
test-e2e: all tests/node_modules/.package-lock.json ## end-to-end tests against the programs in BUILD
	cd tests && STREAMD_BUILD=$(BUILD) npx vitest run

.PHONY: conformance
conformance: all tests/node_modules/.package-lock.json ## the official suite, for each of SHARDS (1 4) and WORKERS (1 2)
	@cd tests && for s in $(SHARDS); do for w in $(WORKERS); do STREAMD_BUILD=$(BUILD) CONFORMANCE_SHARDS=$$s \
		CONFORMANCE_WORKERS=$$w npx vitest run --config conformance/vitest.config.mjs || exit 1; done; done

# Preloaded into a server, it knows what a failure of the power takes back (tests/crash/power).
POWER_SOURCES = $(wildcard tests/crash/power/*.c)

$(BUILD)/libpower.so: $(POWER_SOURCES) tests/crash/power/undo.h
	@mkdir -p $(@D)
	$(CC) $(filter-out -MMD -MP,$(CFLAGS)) -fPIC -shared -fvisibility=hidden -o $@ $(POWER_SOURCES)

.PHONY: crash
crash: tests/node_modules/.package-lock.json ## kill processes under load for SECONDS (60) and judge what clients saw; SEED=n; POWER=1: the power fails, too
	$(MAKE) --no-print-directory -j$(shell nproc) BUILD=build/faults DEFINES=-DSTREAMD_FAULTS all
	$(if $(POWER),,STREAMD_BUILD=build/faults node tests/crash/batch_deaths.mjs)
	$(if $(POWER),,STREAMD_BUILD=build/faults node tests/crash/move_deaths.mjs)
	POWER=$(POWER) STREAMD_BUILD=build/faults node tests/crash/crash.mjs $(SECONDS) $(SEED)

.PHONY: upgrades
upgrades: all tests/node_modules/.package-lock.json ## replace the programs ten times under load; FROM=REVISION begins with those
	@if [ -n "$(FROM)" ]; then rm -rf build/from && mkdir -p build/from && git archive $(FROM) | tar -x -C build/from && \
		$(MAKE) --no-print-directory -s -C build/from -j$(shell nproc) BUILD=build all; fi
	STREAMD_BUILD=$(BUILD) $(if $(FROM),STREAMD_FROM=$(CURDIR)/build/from/build) node tests/crash/upgrades.mjs

.PHONY: test-systemd
test-systemd: deps ## the package in a Debian with a systemd of its own, as root: not in `make test`
	tests/deps.sh systemd
	$(MAKE) --no-print-directory deb
	node tests/systemd/run.mjs

LOAD_OBJECTS = $(patsubst %.c,$(BUILD)/obj/%.o,$(wildcard tests/bench/*.c) common/buf.c common/mem.c common/log.c common/log_line.c common/log_limit.c common/choices.c common/escape.c)

$(BUILD)/load: $(LOAD_OBJECTS)
	$(CC) $(LDFLAGS) -o $@ $^ -lsqlite3

.PHONY: bench
bench: all $(BUILD)/load ## measure against the peers on this machine (tests/bench/bench.mjs --help)
	node tests/bench/bench.mjs

PREFIX ?= /usr/local
SYSTEMD ?= $(PREFIX)/lib/systemd/system
HOME_OF_PROGRAMS = $(PREFIX)/lib/streamd
SHARED = $(PREFIX)/share/streamd
DATA = /var/lib/streamd
INI = $(TO)/etc/streamd/streamd.ini
TO = $(DESTDIR)

# The three programs find each other in one folder; what is in the PATH is a link. A configuration that is there stays.
.PHONY: install
install: all ## install programs, configuration, systemd unit: PREFIX (/usr/local), DESTDIR, SYSTEMD
	install -d $(TO)$(PREFIX)/bin $(TO)$(HOME_OF_PROGRAMS) $(TO)/etc/streamd
	install -m 755 $(PROGRAMS) $(TO)$(HOME_OF_PROGRAMS)
	ln -sf $(HOME_OF_PROGRAMS)/streamd $(TO)$(PREFIX)/bin/streamd
	test -e $(INI) || { install -m 640 /dev/null $(INI) && sed 's|^#data_dir = .*|data_dir = $(DATA)|' config.example.ini > $(INI); }
	install -d $(TO)$(SYSTEMD)
	sed 's|@PROGRAMS@|$(HOME_OF_PROGRAMS)|' scripts/systemd/streamd.service > $(TO)$(SYSTEMD)/streamd.service
	install -m 644 scripts/systemd/streamd.socket $(TO)$(SYSTEMD)/streamd.socket
	install -D -m 644 scripts/systemd/streamd.sysusers $(TO)/usr/lib/sysusers.d/streamd.conf
	install -D -m 644 scripts/systemd/streamd.tmpfiles $(TO)/usr/lib/tmpfiles.d/streamd.conf
	install -D -m 644 -t $(TO)$(SHARED) scripts/openapi.yaml scripts/prometheus/streamd.rules.yml scripts/grafana/streamd.json
	install -D -m 644 -t $(TO)$(SHARED)/front scripts/front/nginx.conf scripts/front/haproxy.cfg
	scripts/install-docs.sh $(TO)$(PREFIX)/share/doc/streamd
	install -d $(TO)$(PREFIX)/share/man/man1
	scripts/man-page.sh $(BUILD)/streamd $(PREFIX) > $(TO)$(PREFIX)/share/man/man1/streamd.1

.PHONY: uninstall
uninstall: ## remove what install has put there, but configuration and data
	rm -rf $(TO)$(HOME_OF_PROGRAMS) $(TO)$(SHARED) $(TO)$(PREFIX)/share/doc/streamd $(TO)$(PREFIX)/bin/streamd
	rm -f $(TO)$(SYSTEMD)/streamd.service $(TO)$(SYSTEMD)/streamd.socket
	rm -f $(TO)/usr/lib/sysusers.d/streamd.conf $(TO)/usr/lib/tmpfiles.d/streamd.conf $(TO)$(PREFIX)/share/man/man1/streamd.1

# Built from a copy of the tree, whose debian folder is scripts/deb, with Debian's own flags.
DEB = build/deb
DEB_TREE = $(DEB)/tree

.PHONY: deb
deb: ## build a Debian package into build/deb, and let lintian look at it
	tests/deps.sh deb
	rm -rf $(DEB) && mkdir -p $(DEB_TREE)
	cp -a Makefile README.md LICENSE config.example.ini common router shard supervisor scripts $(DEB_TREE)
	cp -a --parents tests/README.md tests/bench/results $(DEB_TREE)
	mv $(DEB_TREE)/scripts/deb $(DEB_TREE)/debian
	cd $(DEB_TREE) && DEB_BUILD_OPTIONS=noautodbgsym MAKEFLAGS= dpkg-buildpackage --build=binary --no-sign
	rm -rf $(DEB_TREE)
	lintian --fail-on error,warning --info --allow-root $(DEB)/streamd_*.deb
	@ls $(DEB)/streamd_*.deb

.PHONY: clean
clean: ## remove everything built
	rm -rf build

.PHONY: help
help: ## this list
	@awk -F ':.*## ' '/^[a-z][a-z0-9-]*:.*## / {printf "  make %-13s%s\n", $$1, $$2}' $(MAKEFILE_LIST)

-include $(shell find $(BUILD)/obj $(BUILD)/unit -name '*.d' 2>/dev/null)
