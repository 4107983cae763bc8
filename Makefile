# Vaultik. Bare `make` lists the targets.
SHELL := /bin/bash
GO ?= go
FUZZTIME ?= 20s
BENCHRUNS ?= 3
SOAK ?= kill-backup kill-restore incremental memory full
# In CI each test is named with its result.
TESTFLAGS ?= $(if $(CI),-v)
TOOLS := $(CURDIR)/.tools/bin
export PATH := $(TOOLS):$(PATH)
# A clone that belongs to somebody else (containers, CI) must still build.
export GIT_CONFIG_COUNT := 1
export GIT_CONFIG_KEY_0 := safe.directory
export GIT_CONFIG_VALUE_0 := $(CURDIR)


.DEFAULT_GOAL := help
.PHONY: help build test test-race lint fuzz bench soak tools lint-tools fmt clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

build: ## build bin/vaultik
	$(GO) build -trimpath -o bin/vaultik ./cmd/vaultik

test: tools ## install what the tests need, run all tests
	$(GO) vet ./...
	$(GO) test -count=1 $(TESTFLAGS) ./...

test-race: tools ## run all tests under the race detector
	$(GO) test -race -count=1 ./...

lint: lint-tools ## run golangci-lint: import rules, vet, style
	golangci-lint run ./...

fmt: lint-tools ## format the code
	golangci-lint fmt ./...

fuzz: ## run each fuzz target for FUZZTIME (20s)
	@GO="$(GO)" scripts/fuzz "$(FUZZTIME)"

bench: build ## compare with restic, borg and tar|zstd|age; prints a table
	$(GO) run ./internal/bench/cmd -vaultik bin/vaultik -runs $(BENCHRUNS) $(BENCHFLAGS)

soak: build ## kill it, measure it, fill the disk, at real size (SOAK="MODE ..." chooses): half an hour
	$(GO) build -o bin/soak ./internal/soak/cmd
	@for mode in $(SOAK); do bin/soak $$mode -vaultik bin/vaultik $(SOAKFLAGS) || exit 1; done

tools: ## install what the tests need (age, zstd, jq, ...)
	@scripts/tools test

lint-tools:
	@scripts/tools lint

clean: ## remove what was built
	rm -rf bin .tools
