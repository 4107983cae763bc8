# Vaultik. Bare `make` lists the targets.
SHELL := /bin/bash
GO ?= go
FUZZTIME ?= 20s
BENCHRUNS ?= 3
# Of make soak. A failed one prints its seed: SEED=n SEEDS=1 make soak repeats it.
SEEDS ?= 200
MODES ?= kill-backup kill-restore incremental memory full
SOAKS := ^(TestPanics_|TestBackup_RandomEdits|TestCanaries|TestRecipients)
# In CI each test is named with its result.
TESTFLAGS ?= $(if $(CI),-v)
TOOLS := $(CURDIR)/.tools/bin
export PATH := $(TOOLS):$(PATH)
# A clone that belongs to somebody else (containers, CI) must still build.
export GIT_CONFIG_COUNT := 1
export GIT_CONFIG_KEY_0 := safe.directory
export GIT_CONFIG_VALUE_0 := $(CURDIR)


.DEFAULT_GOAL := help
.PHONY: help build test test-race soak lint fuzz bench tools lint-tools fmt clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

build: ## build bin/vaultik
	$(GO) build -trimpath -o bin/vaultik ./cmd/vaultik

test: tools ## install what the tests need, run all tests
	$(GO) vet ./...
	$(GO) test -count=1 $(TESTFLAGS) ./...

test-race: tools ## run all tests under the race detector
	$(GO) test -race -count=1 ./...

soak: tools build ## large versions of tests (SOAK=1, SEEDS random histories), then internal/soak in MODES: half an hour
	SOAK=1 SEEDS=$(SEEDS) $(GO) test -count=1 -v -timeout 60m -run '$(SOAKS)' ./actors ./internal/e2e
	$(GO) build -o bin/soak ./internal/soak/cmd
	@for mode in $(MODES); do echo; bin/soak $$mode -vaultik bin/vaultik || exit 1; done

lint: lint-tools ## run golangci-lint: import rules, vet, style
	golangci-lint run ./...

fmt: lint-tools ## format the code
	golangci-lint fmt ./...

fuzz: ## run each fuzz target for FUZZTIME (20s)
	@GO="$(GO)" scripts/fuzz "$(FUZZTIME)"

bench: build ## compare with restic, borg and tar|zstd|age; prints a table
	$(GO) run ./internal/bench/cmd -vaultik bin/vaultik -runs $(BENCHRUNS) $(BENCHFLAGS)

tools: ## install what the tests need (age, zstd, jq, ...)
	@scripts/tools test

lint-tools:
	@scripts/tools lint

clean: ## remove what was built
	rm -rf bin .tools
