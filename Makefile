# Vaultik. Bare `make` lists the targets.
SHELL := /bin/bash
GO ?= go
FUZZTIME ?= 20s
BENCHRUNS ?= 3
# Of make soak. A failed one prints its seed: SEED=n SEEDS=1 make soak repeats it.
SEEDS ?= 200
MODES ?= kill-backup kill-restore in-place incremental memory full
# All of rclone's providers are 1,400 packages. They are compiled once, for the
# program that is tested; who looks at sources or counts races takes a few.
FEW := -tags rclone_min
# Tests of the built program, in which the race detector sees nothing, and of stores
# whose own packages have the same suite.
WHOLE := /internal/(bench|e2e|fidelity|matrix|soak)$$
# What make quick leaves out whole: tests of servers and of the built program, and rclone,
# which takes as long to link as the others to run.
SLOW := /docs$$|/backends/(rclone|s3)|/internal/(bench|e2e|faultproxy|fidelity|matrix|soak|testfuse|testserver)
SOAKS := ^(TestPanics_|TestBackup_RandomEdits|TestCanaries|TestRecipients|TestLifecycle|TestFaultTable|TestHostileS3|TestGarbage)
# In CI each test is named with its result.
TESTFLAGS ?= $(if $(CI),-v)
TOOLS := $(CURDIR)/.tools/bin
export PATH := $(TOOLS):$(PATH)
# A clone that belongs to somebody else (containers, CI) must still build.
export GIT_CONFIG_COUNT := 1
export GIT_CONFIG_KEY_0 := safe.directory
export GIT_CONFIG_VALUE_0 := $(CURDIR)


.DEFAULT_GOAL := help
.PHONY: help build quick check deadcode structure docs test test-race test-portable cross soak model lint fuzz bench bench-stores bench-snapshots bench-gc bench-keeping bench-prune fidelity tools lint-tools fmt clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-13s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

build: ## build bin/vaultik
	$(GO) build -trimpath -o bin/vaultik ./cmd/vaultik

quick: ## run the short tests: half a minute, and only what has changed since the last time
	$(GO) test -short -vet=off -tags norclone $$($(GO) list -tags norclone ./... | grep -vE '$(SLOW)')

check: lint deadcode quick ## what to run before a commit: vet, lint, dead code, the short tests
	$(GO) vet $(FEW) ./...

deadcode: lint-tools ## name functions that neither the programs nor the tests reach, and fail if there are any
	@dead=$$(deadcode -test $(FEW) ./...) || exit 1; [ -z "$$dead" ] || { echo "$$dead"; exit 1; }

test: tools ## install what the tests need, run all tests
	$(GO) vet $(FEW) ./...
	scripts/slowest $(GO) test -vet=off -count=1 -timeout 20m $(TESTFLAGS) ./...

test-race: tools ## run all tests under the race detector
	scripts/slowest $(GO) test -race -vet=off -count=1 -timeout 20m $(FEW) $$($(GO) list $(FEW) ./... | grep -vE '$(WHOLE)')

test-portable: ## run what reads and writes trees on macOS, FreeBSD and Windows, here
	$(GO) vet -tags portable,norclone ./vault/fs ./actors/... ./engine/... ./cmd/vaultik
	$(GO) test -count=1 -timeout 20m -tags portable,norclone -skip '^TestBackup_(RandomEdits|BadFiles)$$' ./vault/fs ./actors/... # random trees have what only Linux keeps

cross: ## build for macOS, FreeBSD, Windows and arm64
	@GO="$(GO)" scripts/cross

soak: tools build ## large versions of tests (SOAK=1, SEEDS random histories), then internal/soak in MODES: half an hour (MODES=huge: 35 GB of disk)
	SOAK=1 SEEDS=$(SEEDS) $(GO) test -count=1 -v -timeout 60m -run '$(SOAKS)' ./actors/... ./internal/e2e
	$(GO) build -o bin/soak ./internal/soak/cmd
	@for mode in $(MODES); do echo; bin/soak $$mode -vaultik bin/vaultik || exit 1; done

lint: lint-tools ## run golangci-lint: import rules, vet, style
	golangci-lint run --build-tags rclone_min ./...

fmt: lint-tools ## format the code
	golangci-lint fmt ./...

model: SEEDS = 100000
model: ## try to break prune's protocol with SEEDS random histories (100,000: four minutes); SEED=n tells the n-th
	SEEDS=$(SEEDS) SEED=$(SEED) $(GO) test -count=1 -v -timeout 60m -run '$(if $(SEED),TestHistories,.)' ./internal/prunemodel

fuzz: ## run each fuzz target for FUZZTIME (20s)
	@GO="$(GO)" scripts/fuzz "$(FUZZTIME)"

bench: build ## compare with restic, borg and tar|zstd|age; prints a table
	$(GO) run ./internal/bench/cmd -vaultik bin/vaultik -runs $(BENCHRUNS) $(BENCHFLAGS)

bench-stores: tools ## the same for transfers, by S3 and WebDAV, beside rclone and restic: ten minutes
	SOAK=1 $(GO) test -run '^$$' -bench Stores -benchtime 1x -timeout 60m ./internal/e2e

bench-snapshots: tools ## the same for commands on SNAPSHOTS snapshots (5,000) in a directory and in S3 50 ms away, beside the program BEFORE: half an hour
	$(GO) test -run '^$$' -bench Snapshots -benchtime 1x -timeout 180m ./internal/e2e

bench-gc: ## time and memory of prune's decisions about a million blobs
	$(GO) test -run '^$$' -bench Prune -benchtime 3x ./vault/gc

bench-keeping: ## a store in DAYS (30) simulated days of hourly snapshots, forget --prune and compaction: table and docs/img/keeping.svg; and what a year of them costs who reads the store
	SVG=$(CURDIR)/docs/img/keeping.svg $(GO) test -run '^$$' -bench 'Keeping|Year' -benchtime 1x -timeout 60m ./actors/prune ./actors/verify

bench-prune: tools ## the same for prune on a store of BLOBS blobs (1,000,000) and MANIFESTS manifests (10,000), and beside restic: half an hour
	$(GO) test -run '^$$' -bench Prune -benchtime 1x -timeout 180m ./internal/e2e

fidelity: build ## what Vaultik, restic, borg and kopia keep, those that are installed: writes docs/fidelity.md; as root
	$(GO) run ./internal/fidelity/cmd -vaultik bin/vaultik -o docs/fidelity.md

tools: ## install what the tests need (age, servers of S3, jq, ...)
	@scripts/tools test

docs: tools ## make anew what is generated in docs/: actors, errors, damage, faults, conformance (fidelity: make fidelity)
	$(GO) test -count=1 ./internal/actordoc -update
	$(GO) test -count=1 -timeout 20m ./cmd/vaultik -run '^Test(Scripts|DamageTable)$$' -update
	$(GO) test -count=1 -timeout 20m ./internal/e2e -run '^TestFaultTable$$' -update
	$(GO) test -count=1 -timeout 20m ./internal/matrix -update

structure: ## print the size of each package, and which references between its files run back up (STRUCTUREFLAGS=-details names them)
	@$(GO) run ./internal/structure/cmd -tags rclone_min $(STRUCTUREFLAGS)

lint-tools:
	@scripts/tools lint

clean: ## remove what was built
	rm -rf bin .tools
