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

# Everything; one failure doesn't hide the next.
test: tools check-fmt build lint check-header
	$(MAKE) --no-print-directory --keep-going test-library test-lab test-fuzz test-sanitize test-real test-bench

test-library:
	$(CARGO) test --no-fail-fast

# What shows that nothing is lost, and that it would notice (docs/testing.md).
test-lab:
	cd lab && $(CARGO) test --no-fail-fast

test-fuzz:
	cd fuzz && $(CARGO) test --test corpus
	fuzz/run 3

test-sanitize:
	lab/sanitize --short

test-real:
	lab/real

# How many instructions the hot paths take, beside their bounds (tests/counts.rs).
counts: tools build
	$(CARGO) test --test counts -- --nocapture

# Every line of the benchmark at a tiny size, and whether the engines answer right.
test-bench: tools build
	cd benches/peers && $(CARGO) test --no-fail-fast

# The same as long as one likes: make torture SECONDS=3600
SECONDS ?= 600
torture: tools build
	lab/torture $(SECONDS)

sanitize: tools
	lab/sanitize

RUSTS = . lab fuzz benches/peers

check-fmt:
	for folder in $(RUSTS); do (cd $$folder && $(CARGO) fmt --all --check) || exit; done

fmt:
	for folder in $(RUSTS); do (cd $$folder && $(CARGO) fmt --all) || exit; done

lint:
	for folder in $(RUSTS); do (cd $$folder && $(CARGO) clippy --all-targets -- -D warnings) || exit; done

# dirkv beside its peers: some minutes, with LONG=1 an hour and a half; BENCH="--only get --dir FOLDER" and the like choose.
bench: tools build
	cd benches/peers && $(CARGO) run --release --locked -- $(if $(LONG),--long) --out "$(CURDIR)/target/peers" $(BENCH)

# dirkv beside the bare system calls, and what the C interface adds to a call.
bench-ratios: build
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

.PHONY: all build compiler header check-header tools demo test test-library test-lab test-fuzz test-sanitize test-real torture
.PHONY: counts test-bench sanitize check-fmt fmt lint bench bench-ratios install uninstall clean
