PREFIX  ?= /usr
DESTDIR ?=

CARGO   ?= cargo
BINARY  := $(or $(CARGO_TARGET_DIR),target)/release/rouse
# What is put into these folders is installed, and so in the package.
UNITS   := $(wildcard units/*.socket units/*.service units/*.timer)
# A user's manager takes the same sockets, and a service that needs no privileges.
USER_UNITS := units/rouse@.socket units/rouse-control@.socket $(wildcard units/user/*)

# Where each kind of file belongs below PREFIX.
bindir      := $(DESTDIR)$(PREFIX)/bin
unitdir     := $(DESTDIR)$(PREFIX)/lib/systemd/system
userunitdir := $(DESTDIR)$(PREFIX)/lib/systemd/user
sysusersdir := $(DESTDIR)$(PREFIX)/lib/sysusers.d
tmpfilesdir := $(DESTDIR)$(PREFIX)/lib/tmpfiles.d
presetdir   := $(DESTDIR)$(PREFIX)/lib/systemd/system-preset
catalogdir  := $(DESTDIR)$(PREFIX)/lib/systemd/catalog
mandir      := $(DESTDIR)$(PREFIX)/share/man
bashdir     := $(DESTDIR)$(PREFIX)/share/bash-completion/completions
zshdir      := $(DESTDIR)$(PREFIX)/share/zsh/vendor-completions
fishdir     := $(DESTDIR)$(PREFIX)/share/fish/vendor_completions.d
docdir      := $(DESTDIR)$(PREFIX)/share/doc/rouse

.PHONY: all build install deb demo test test-hosts test-real bench bench-wake check help

all: build

build:                ## build the release binary
	$(CARGO) build --release --locked

install: build        ## put binary, units, manual, completions and docs below DESTDIR and PREFIX (/usr)
	install -D -m 0755 $(BINARY) $(bindir)/rouse
	install -D -m 0644 -t $(unitdir) $(UNITS)
	install -D -m 0644 -t $(userunitdir) $(USER_UNITS)
	sed -i 's|/usr/bin/rouse|$(PREFIX)/bin/rouse|' $(addprefix $(unitdir)/,$(notdir $(filter %.service,$(UNITS)))) \
	    $(addprefix $(userunitdir)/,$(notdir $(filter %.service,$(USER_UNITS))))
	install -D -m 0644 units/rouse.sysusers $(sysusersdir)/rouse.conf
	install -D -m 0644 units/rouse.tmpfiles $(tmpfilesdir)/rouse.conf
	install -D -m 0644 units/rouse.preset $(presetdir)/90-rouse.preset
	install -D -m 0644 units/rouse.catalog $(catalogdir)/rouse.catalog
	install -D -m 0644 packaging/man/rouse.1 $(mandir)/man1/rouse.1
	install -D -m 0644 packaging/man/rouse.toml.5 $(mandir)/man5/rouse.toml.5
	install -D -m 0644 packaging/man/rouse@.service.8 $(mandir)/man8/rouse@.service.8
	install -D -m 0644 packaging/completions/rouse.bash $(bashdir)/rouse
	install -D -m 0644 packaging/completions/_rouse $(zshdir)/_rouse
	install -D -m 0644 packaging/completions/rouse.fish $(fishdir)/rouse.fish
	install -D -m 0644 -t $(docdir) packaging/rouse.toml docs/openapi.yaml $(wildcard docs/*.md)
	install -D -m 0644 -t $(docdir)/grafana packaging/grafana/rouse.json
	cd packaging/examples && find . -type f \( -perm /111 -exec install -D -m 0755 {} $(abspath $(docdir))/{} \; \
	    -o -exec install -D -m 0644 {} $(abspath $(docdir))/{} \; \)
	cd units/examples && find . -type f -exec install -D -m 0644 {} $(abspath $(docdir))/examples/{} \;
ifeq ($(DESTDIR),)
	@echo 'now: systemd-sysusers && systemd-tmpfiles --create rouse.conf && journalctl --update-catalog && systemctl daemon-reload'
endif

# What `make install` puts below /usr is what the package has; Cargo.toml says what comes on top of it.
deb:                  ## build the Debian package, target/debian/rouse_*.deb; needs cargo-deb
	@cargo-deb --version >/dev/null 2>&1 || { echo 'make deb needs cargo-deb: cargo install --locked cargo-deb' >&2; exit 1; }
	rm -rf target/package target/debian
	$(MAKE) install DESTDIR=$(CURDIR)/target/package PREFIX=/usr
	cargo-deb --no-build --no-strip --locked --output target/debian/

demo:                 ## watch a connection wake a real container
	packaging/demo

test:                 ## run all tests
	tests/run

test-hosts:           ## run rouse on whole hosts of three Debian releases (part of test)
	tests/run host/run

test-real:            ## run real sidecars behind rouse: Blender and MCP (five minutes, and 1.4 GB the first time)
	tests/real/run

bench:                ## measure the relay beside its peers (seven minutes)
	tests/bench-relay/run --json docs/bench.json --svg docs/bench.svg

bench-wake:           ## measure what rouse adds to a container's start and thaw
	tests/bench-wake/run

check:                ## formatting and lints
	$(CARGO) fmt --check
	$(CARGO) clippy --all-targets --locked -- -D warnings

help:                 ## this list
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' Makefile | expand -t 14
