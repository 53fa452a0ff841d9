# What a person types: `make`, `make test`, `make demo`, `make install`. Cargo does the work.

PREFIX ?= /usr/local
DESTDIR ?=
LIBDIR ?= $(PREFIX)/lib
INCLUDEDIR ?= $(PREFIX)/include

CARGO ?= cargo
RUSTC ?= rustc
INSTALL ?= install
CBINDGEN ?= cbindgen

VERSION := $(shell sed -n 's/^version = "\(.*\)"$$/\1/p' Cargo.toml | head -n 1)
MAJOR := $(firstword $(subst ., ,$(VERSION)))
RELEASE := $(or $(CARGO_TARGET_DIR),target)/release
SHARED := libdirkv.so.$(VERSION)

# Where things go, with DESTDIR before it (a staging folder of who makes a package).
TO_LIB = $(DESTDIR)$(LIBDIR)
TO_INCLUDE = $(DESTDIR)$(INCLUDEDIR)

all: build

build: compiler
	$(CARGO) build --release --lib
	ln -sf libdirkv.so "$(RELEASE)/libdirkv.so.$(MAJOR)"

# Rust needs a C compiler as its linker.
compiler:
	@command -v cc > /dev/null || .ci/tools

# The header comes from src/ffi and is committed; check-header says whether the two still agree.
header:
	$(CBINDGEN) --quiet --config cbindgen.toml --output include/dirkv.h src/ffi/mod.rs

check-header:
	$(CBINDGEN) --quiet --config cbindgen.toml --output include/dirkv.h --verify src/ffi/mod.rs

# What the tests use beside Rust; installs what is missing, where it can.
tools:
	@.ci/tools

demo: build
	./examples/demo.sh

# Everything. --no-fail-fast, so that one failure doesn't hide the next.
test: tools check-fmt lint check-header build
	$(CARGO) test --no-fail-fast; status=$$?; (cd lab && $(CARGO) test --no-fail-fast) && exit $$status

check-fmt:
	$(CARGO) fmt --check
	cd lab && $(CARGO) fmt --all --check

fmt:
	$(CARGO) fmt
	cd lab && $(CARGO) fmt --all

lint:
	$(CARGO) clippy --all-targets -- -D warnings
	cd lab && $(CARGO) clippy --all-targets -- -D warnings

bench: build
	$(CARGO) bench

# What a program that links libdirkv.a needs beside it, as rustc says; libgcc_s and libc are left out, because every C
# compiler adds them itself, in the kind (shared or static) that the link is.
NATIVE = $(filter-out -lgcc_s -lc,$(shell scratch=$$(mktemp -d) && \
	echo | $(RUSTC) --crate-type staticlib --print native-static-libs --out-dir "$$scratch" - 2>&1 \
	| sed -n 's/^note: native-static-libs: //p'; rm -rf "$$scratch"))

install: build
	$(INSTALL) -d "$(TO_LIB)/pkgconfig" "$(TO_INCLUDE)"
	$(INSTALL) -m 755 "$(RELEASE)/libdirkv.so" "$(TO_LIB)/$(SHARED)"
	ln -sf "$(SHARED)" "$(TO_LIB)/libdirkv.so.$(MAJOR)"
	ln -sf "libdirkv.so.$(MAJOR)" "$(TO_LIB)/libdirkv.so"
	$(INSTALL) -m 644 "$(RELEASE)/libdirkv.a" "$(TO_LIB)/libdirkv.a"
	$(INSTALL) -m 644 include/dirkv.h "$(TO_INCLUDE)/dirkv.h"
	sed -e 's|@PREFIX@|$(PREFIX)|' -e 's|@LIBDIR@|$(LIBDIR)|' -e 's|@INCLUDEDIR@|$(INCLUDEDIR)|' \
		-e 's|@VERSION@|$(VERSION)|' -e 's|@NATIVE@|$(NATIVE)|' dirkv.pc.in > "$(TO_LIB)/pkgconfig/dirkv.pc"
	chmod 644 "$(TO_LIB)/pkgconfig/dirkv.pc"

uninstall:
	rm -f "$(TO_LIB)/$(SHARED)" "$(TO_LIB)/libdirkv.so.$(MAJOR)" "$(TO_LIB)/libdirkv.so" "$(TO_LIB)/libdirkv.a" \
		"$(TO_LIB)/pkgconfig/dirkv.pc" "$(TO_INCLUDE)/dirkv.h"

clean:
	$(CARGO) clean

.PHONY: all build compiler header check-header tools demo test check-fmt fmt lint bench install uninstall clean
