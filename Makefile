# make run    tells the whole story on three local nodes (needs Go only)
# make test   installs what is missing and runs every test and check
# make check  linters and stale-file checks only
# make bench  measures the figures in docs/status.md on this machine; make bench-page those of the page and the tab
SHELL := /bin/bash
ARGS ?=
BIN := .tools/bin
INOS := $(BIN)/inos
export PATH := $(CURDIR)/$(BIN):$(PATH)

.PHONY: run build test check generate bench bench-page fmt setup modules examples page clean

run: build
	@exec $(INOS) demo $(ARGS)

build:
	@mkdir -p $(BIN)
	@go build -o $(INOS) ./cmd/inos

setup:
	@scripts/setup.sh

test: setup build
	@scripts/test.sh

check: setup
	@scripts/check.sh

generate: setup
	scripts/generate.sh
	go test ./server -run OpenAPI -update

modules: setup
	scripts/modules.sh

page: setup
	scripts/frontend.sh
	scripts/kernel-js.sh

examples: setup
	scripts/examples.sh

bench: build
	$(INOS) bench --record bench/results $(ARGS)

bench-page: setup
	scripts/page-bench.sh bench/results

fmt: setup
	gofumpt -w $$(git ls-files '*.go' | grep -v /gen/)
	cd modules && cargo fmt

clean:
	rm -rf $(BIN) modules/target examples/target
