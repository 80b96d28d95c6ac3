# xenlvs. 'make help' says what there is; 'make demo' and 'make test' need nothing but Debian 12, make and Swift 6.3.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := build
.DELETE_ON_ERROR:
.NOTPARALLEL:

VERSION := $(shell sed -n 's/.*text = "\(.*\)"/\1/p' Sources/HostModel/Version.swift)
RELEASED := $(shell sed -n 's/^\#\# $(VERSION) - //p' CHANGELOG.md)

# --- What has to be installed -----------------------------------------------------------------------------------------
BUILD_PACKAGES := libaio-dev libdevmapper-dev libiscsi-dev liblvm2-dev libsqlite3-dev libstdc++-12-dev libzstd-dev
# The programs that unit tests hold our commands against, and that make loop devices and volume groups for them.
UNIT_PACKAGES := drbd-utils e2fsprogs iproute2 libiscsi7 lvm2 mount tgt udev
# What the style of the scripts and the machine code of the hot path are checked with.
LINT_PACKAGES := binutils shellcheck
LAB_PACKAGES := $(shell cat Tests/Lab/image/packages)
DEB_PACKAGES := dpkg-dev
# Namespaces and a wire between them, a processor for each end, and the target that ours is measured against.
BENCH_PACKAGES := fio iproute2 util-linux vblade

# --- What is built ----------------------------------------------------------------------------------------------------
# Objects for the static runtime and for the shared one do not mix: each has a scratch directory of its own.
DEBUG := .build/debug
RELEASE_SCRATCH := .build/release-static
BINARY ?= $(RELEASE_SCRATCH)/release/xenlvs
# Beside it, wherever it is.
DAEMON = $(dir $(BINARY))xenlvsd
LAB := $(DEBUG)/xenlvs-lab
NODE_BINARY := .build/node/xenlvs
# Libraries that are linked in where they can be: to bind them at every start takes longer than most commands.
STATIC_LIBRARIES := libsqlite3.a libstdc++.a
STATIC := .build/static-libraries
SOURCES := $(shell find Sources Package.swift -type f)
SCRIPTS = $(shell grep --recursive --files-with-matches --extended-regexp '^\#!/bin/(ba)?sh' .ci packaging Tests/Lab)

.PHONY: build test unit scenarios hot-path lint format deps deps-build deps-unit deps-lint deps-lab deps-deb deps-bench debug debug-tests \
	node-binary image lab-up lab-ssh lab-down demo bench-migration bench-aoe bench-iscsi bench-live fault-matrix soak fuzz install deb deb-check clean help

build: $(BINARY) $(DAEMON) ## the release binaries, with Swift's runtime linked in

$(RELEASE_SCRATCH)/release/xenlvs $(RELEASE_SCRATCH)/release/xenlvsd: $(SOURCES) | deps-build $(STATIC)
	swift build --configuration release --static-swift-stdlib --product $(@F) --scratch-path $(RELEASE_SCRATCH) \
	    -Xswiftc -L$(abspath $(STATIC))
	touch $@

# The linker takes what it finds first: here there is nothing but the static form.
$(STATIC): | deps-build
	mkdir -p $@
	for library in $(STATIC_LIBRARIES); do \
	    file=$$(clang -print-file-name=$$library); [[ $$file == /* ]]; ln -sf "$$file" $@/; \
	done

debug: deps-build
	swift build

debug-tests: deps-build
	swift build --build-tests

# The nodes have no Swift runtime. Linking the debug build's objects with the static one takes a second; building them
# for it would take as long as the tests' own build. The libraries named are those that only Foundation's static form
# refers to, and Swift Package Manager has renamed the executable's main. A file that would be the same keeps its date:
# by it the lab knows that a node has it already.
define link-for-node
	swiftc -static-stdlib -use-ld=lld -emit-executable -o $(NODE_BINARY).new \
	    @$(DEBUG)/$(1).product/Objects.LinkFileList -Xlinker --defsym=main=$(1)_main \
	    -Xlinker --gc-sections -Xlinker --strip-all -L$(STATIC) \
	    -lCoreFoundation -l_FoundationICU -l_FoundationCollections -l_FoundationCShims
	@cmp --silent $(NODE_BINARY).new $(dir $(NODE_BINARY))$(1) && rm $(NODE_BINARY).new || \
	    mv $(NODE_BINARY).new $(dir $(NODE_BINARY))$(1)
endef

node-binary: $(STATIC)
	mkdir -p $(dir $(NODE_BINARY))
	$(call link-for-node,xenlvs)
	$(call link-for-node,xenlvsd)

# --- Tests ------------------------------------------------------------------------------------------------------------
test: lint unit hot-path scenarios ## everything: lint, unit tests, the hot path, scenarios on real Xen hosts

# A test that never ends is ended, and its log says how far the others came. Three minutes are usual.
unit: deps-unit debug-tests ## the unit tests
	timeout --kill-after=60 20m stdbuf -oL swift test --skip-build --disable-xctest --skip '^ScenarioTests\.'

scenarios: deps-unit image debug-tests node-binary ## the scenarios; ONLY=REGEX for some of them
	XENLVS_BINARY=$(abspath $(NODE_BINARY)) .ci/scenarios $(if $(ONLY),'$(ONLY)')

hot-path: deps-lint $(BINARY) ## that no request of a target allocates memory or counts references
	.ci/hot-path $(BINARY)

lint: deps-lint ## the style of the Swift code and of the shell scripts
	swift format lint --strict --recursive --parallel --configuration .ci/swift-format.json Sources Tests Package.swift
	shellcheck $(SCRIPTS)

format: ## put the Swift code into its style
	swift format --in-place --recursive --parallel --configuration .ci/swift-format.json Sources Tests Package.swift

# --- The lab ----------------------------------------------------------------------------------------------------------
NODES ?= a b
LAB_RUN = XENLVS_BINARY=$(abspath $(NODE_BINARY)) $(LAB)

demo: image debug node-binary ## watch a running guest move between two hosts
	$(LAB_RUN) demo

# The release binary: what is measured is what is installed.
bench-migration: image debug build ## measure xenlvs against the procedure typed by hand
	XENLVS_BINARY=$(abspath $(BINARY)) .ci/with-lab $(LAB) bench-migration

bench-aoe: deps-bench build ## measure the AoE target against vblade; as root
	swift build --configuration release --static-swift-stdlib --product bench-aoe --scratch-path $(RELEASE_SCRATCH) \
	    -Xswiftc -L$(abspath $(STATIC))
	XENLVS_BINARY=$(abspath $(BINARY)) $(RELEASE_SCRATCH)/release/bench-aoe

bench-iscsi: image debug build ## measure iSCSI exports against targetctl, and the loss of a path
	XENLVS_BINARY=$(abspath $(BINARY)) .ci/with-lab stdbuf -oL $(LAB) bench-iscsi

bench-live: image debug build ## measure switches and live migrations against three freezes and by hand; ROUNDS=N
	XENLVS_BINARY=$(abspath $(BINARY)) LAB_LIMIT=4h .ci/with-lab stdbuf -oL $(LAB) bench-live $(if $(ROUNDS),--rounds $(ROUNDS))

# All of it takes hours and writes the table that users read: with the results that are kept beside it, of which a run that was
# cut off is continued (remove them to begin anew). A choice of cases writes and keeps only what it is told to.
fault-matrix: image debug node-binary ## break migrations at every place; CASES=N SEED=N, ONLY=CASE,CASE, WRITE=FILE, RESULTS=FILE
	XENLVS_BINARY=$(abspath $(NODE_BINARY)) LAB_LIMIT=72h .ci/with-lab stdbuf -oL $(LAB) fault-matrix \
	    $(if $(CASES),--cases $(CASES)) $(if $(SEED),--seed $(SEED)) $(if $(ONLY),--only '$(ONLY)') \
	    $(addprefix --results ,$(or $(RESULTS),$(if $(CASES)$(ONLY),,docs/reliability.json))) \
	    $(addprefix --write ,$(or $(WRITE),$(if $(CASES)$(ONLY),,docs/reliability.md)))

soak: image debug-tests node-binary ## random commands and faults, 60,000 in the simulation, then on hosts; MINUTES=N SEED=N
	XENLVS_RUNS=60000 $(if $(SEED),XENLVS_SEED=$(SEED)) swift test --skip-build --disable-xctest --filter RandomRunTests
	XENLVS_BINARY=$(abspath $(NODE_BINARY)) LAB_LIMIT=72h .ci/with-lab stdbuf -oL $(LAB) soak \
	    $(if $(MINUTES),--minutes $(MINUTES)) $(if $(SEED),--seed $(SEED))

fuzz: deps-unit ## mutated AoE frames, ten million with the address sanitizer; FRAMES=N
	swift build --build-tests --sanitize=address --scratch-path .build/sanitized
	XENLVS_FUZZ_FRAMES=$(or $(FRAMES),10000000) swift test --skip-build --disable-xctest --sanitize=address \
	    --scratch-path .build/sanitized --filter '^AoETests\.FuzzTests'

lab-up: image debug node-binary ## start two Xen hosts and put xenlvs on them; NODES="a b c" for three
	$(LAB_RUN) up $(NODES)
	for node in $(NODES); do \
	    zstd --quiet --stdout $(NODE_BINARY) | \
	        $(LAB) ssh $$node 'zstd -qd >/usr/bin/xenlvs.new && chmod 755 /usr/bin/xenlvs.new && mv /usr/bin/xenlvs.new /usr/bin/xenlvs'; \
	done

lab-ssh: ## a shell on a node: NODE=a
	@$(LAB) ssh $(or $(NODE),a)

lab-down: ## end the lab
	$(LAB) down

# Making the image needs root, using it does not: sudo is asked only when there is none yet.
LAB_CACHE := $(or $(XENLVS_LAB_CACHE),$(HOME)/.cache/xenlvs-lab)
image: deps-lab
	@.ci/lab-image '$(LAB_CACHE)'

# --- Installing -------------------------------------------------------------------------------------------------------
DESTDIR ?=
PREFIX ?= /usr
BINDIR ?= $(PREFIX)/bin
SBINDIR ?= $(PREFIX)/sbin
DATADIR ?= $(PREFIX)/share
SYSCONFDIR ?= /etc
UNITDIR ?= /lib/systemd/system
UDEVDIR ?= /lib/udev/rules.d
MANUAL := .build/manual

$(MANUAL)/xenlvs.8: $(BINARY) $(DAEMON) packaging/manual | deps-build
	swift build --product generate-manual
	packaging/manual $(DEBUG)/generate-manual $(RELEASED) $(MANUAL) $(abspath $(BINARY) $(DAEMON))

# ssh runs 'xenlvs agent' without a login shell: the binary stands where every PATH leads.
install: $(BINARY) $(DAEMON) $(MANUAL)/xenlvs.8 ## install below DESTDIR; PREFIX=/usr
	install -d $(DESTDIR)$(DATADIR)/man/man8 $(DESTDIR)$(DATADIR)/zsh/vendor-completions \
	    $(DESTDIR)$(DATADIR)/bash-completion/completions $(DESTDIR)$(DATADIR)/fish/vendor_completions.d
	install -D -s -m 0755 $(BINARY) $(DESTDIR)$(BINDIR)/xenlvs
	install -D -s -m 0755 $(DAEMON) $(DESTDIR)$(SBINDIR)/xenlvsd
	install -m 0644 $(MANUAL)/*.8 $(DESTDIR)$(DATADIR)/man/man8/
	$(BINARY) --generate-completion-script bash | sed '1{/^#!/d}' >$(DESTDIR)$(DATADIR)/bash-completion/completions/xenlvs
	$(BINARY) --generate-completion-script zsh >$(DESTDIR)$(DATADIR)/zsh/vendor-completions/_xenlvs
	$(BINARY) --generate-completion-script fish >$(DESTDIR)$(DATADIR)/fish/vendor_completions.d/xenlvs.fish
	for unit in conf/*.service; do \
	    sed 's,/usr/bin/xenlvs,$(BINDIR)/xenlvs,; s,/usr/sbin/xenlvsd,$(SBINDIR)/xenlvsd,' $$unit | \
	        install -D -m 0644 /dev/stdin $(DESTDIR)$(UNITDIR)/$${unit##*/}; \
	done
	install -D -m 0644 udev/59-xenlvs.rules $(DESTDIR)$(UDEVDIR)/59-xenlvs.rules
	install -D -m 0644 conf/drbd.conf $(DESTDIR)$(SYSCONFDIR)/modprobe.d/xenlvs.conf
	[[ -e $(DESTDIR)$(SYSCONFDIR)/xenlvs/xenlvs.yaml ]] || \
	    install -D -m 0644 conf/xenlvs.yaml $(DESTDIR)$(SYSCONFDIR)/xenlvs/xenlvs.yaml
	install -D -m 0644 conf/lvmlocal.conf $(DESTDIR)$(DATADIR)/doc/xenlvs/examples/lvmlocal.conf

deb: deps-deb $(BINARY) $(DAEMON) $(MANUAL)/xenlvs.8 ## a Debian package, in dist
	BINARY=$(BINARY) packaging/build-deb $(VERSION) $(RELEASED) dist

deb-check: deb ## look at the package with lintian, and install, upgrade and purge it in a fresh Debian
	@.ci/install-packages lintian mmdebstrap systemd
	packaging/check-deb dist/xenlvs_$(VERSION)_*.deb

# --- The rest ---------------------------------------------------------------------------------------------------------
deps: ## install every Debian package that any target needs
	@.ci/install-packages $(BUILD_PACKAGES) $(UNIT_PACKAGES) $(LINT_PACKAGES) $(LAB_PACKAGES) $(DEB_PACKAGES) $(BENCH_PACKAGES)

deps-build:
	@.ci/install-packages $(BUILD_PACKAGES)

deps-unit:
	@.ci/install-packages $(BUILD_PACKAGES) $(UNIT_PACKAGES)

deps-lint:
	@.ci/install-packages $(LINT_PACKAGES)

deps-lab:
	@.ci/install-packages $(BUILD_PACKAGES) $(LAB_PACKAGES)

deps-bench:
	@.ci/install-packages $(BUILD_PACKAGES) $(BENCH_PACKAGES)

deps-deb:
	@.ci/install-packages $(BUILD_PACKAGES) $(DEB_PACKAGES)

clean: ## remove what was built; the lab's image stays in its cache
	rm -rf .build dist

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/\1|\2/p' Makefile | column -t -s '|'
