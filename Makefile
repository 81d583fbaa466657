PREFIX  ?= /usr
DESTDIR ?=

CARGO   ?= cargo
BINARY  := $(or $(CARGO_TARGET_DIR),target)/release/rouse
UNITS   := rouse@.socket rouse-control@.socket rouse@.service rouse-metrics.socket rouse-metrics.service

# Where each kind of file belongs below PREFIX.
bindir      := $(DESTDIR)$(PREFIX)/bin
unitdir     := $(DESTDIR)$(PREFIX)/lib/systemd/system
sysusersdir := $(DESTDIR)$(PREFIX)/lib/sysusers.d
tmpfilesdir := $(DESTDIR)$(PREFIX)/lib/tmpfiles.d
catalogdir  := $(DESTDIR)$(PREFIX)/lib/systemd/catalog
mandir      := $(DESTDIR)$(PREFIX)/share/man
bashdir     := $(DESTDIR)$(PREFIX)/share/bash-completion/completions
zshdir      := $(DESTDIR)$(PREFIX)/share/zsh/vendor-completions
fishdir     := $(DESTDIR)$(PREFIX)/share/fish/vendor_completions.d
docdir      := $(DESTDIR)$(PREFIX)/share/doc/rouse

.PHONY: all build install demo test bench bench-wake check help

all: build

build:                ## build the release binary
	$(CARGO) build --release --locked

install: build        ## put binary, units, manual, completions and docs below DESTDIR and PREFIX (/usr)
	install -D -m 0755 $(BINARY) $(bindir)/rouse
	install -d $(unitdir)
	install -m 0644 $(UNITS:%=units/%) $(unitdir)
	sed -i 's|/usr/bin/rouse|$(PREFIX)/bin/rouse|' $(unitdir)/rouse@.service $(unitdir)/rouse-metrics.service
	install -D -m 0644 units/rouse.sysusers $(sysusersdir)/rouse.conf
	install -D -m 0644 units/rouse.tmpfiles $(tmpfilesdir)/rouse.conf
	install -D -m 0644 units/rouse.catalog $(catalogdir)/rouse.catalog
	install -D -m 0644 packaging/man/rouse.1 $(mandir)/man1/rouse.1
	install -D -m 0644 packaging/man/rouse.toml.5 $(mandir)/man5/rouse.toml.5
	install -D -m 0644 packaging/man/rouse@.service.8 $(mandir)/man8/rouse@.service.8
	install -D -m 0644 packaging/completions/rouse.bash $(bashdir)/rouse
	install -D -m 0644 packaging/completions/_rouse $(zshdir)/_rouse
	install -D -m 0644 packaging/completions/rouse.fish $(fishdir)/rouse.fish
	install -D -m 0644 -t $(docdir) docs/openapi.yaml docs/status-json.md docs/podman.md
	install -D -m 0644 -t $(docdir)/grafana packaging/grafana/rouse.json
	install -D -m 0644 -t $(docdir)/typescript packaging/examples/typescript/rouse.ts packaging/examples/typescript/README.md
	cd units/examples && find . -type f -exec install -D -m 0644 {} $(abspath $(docdir))/examples/{} \;
ifeq ($(DESTDIR),)
	@echo 'now: systemd-sysusers && systemd-tmpfiles --create rouse.conf && journalctl --update-catalog && systemctl daemon-reload'
endif

demo:                 ## watch a connection wake a real container
	packaging/demo

test:                 ## run all tests
	tests/run

bench:                ## measure the relay beside its peers (seven minutes)
	tests/bench-relay/run --json docs/bench.json --svg docs/bench.svg

bench-wake:           ## measure what rouse adds to a container's start and thaw
	tests/bench-wake/run

check:                ## formatting and lints
	$(CARGO) fmt --check
	$(CARGO) clippy --all-targets --locked -- -D warnings

help:                 ## this list
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' Makefile | expand -t 14
