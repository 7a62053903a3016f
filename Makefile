# Every target sets up what it needs. `make run` and `make build` need only Go.
SHELL := bash
.DEFAULT_GOAL := help
.PHONY: help build run test check plugins bench pgo fmt generate clean

VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
COMMIT  ?= $(shell git rev-parse --short=12 HEAD 2>/dev/null || echo unknown)
APP     := github.com/sallyport/sallyport/core/app
LDFLAGS := -s -w -X $(APP).version=$(VERSION) -X $(APP).commit=$(COMMIT)

help: ## print this list
	@awk -F ':.*## ' '/^[a-z]+:.*## /{printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

build: ## build bin/sallyport: one static binary
	CGO_ENABLED=0 go build -ldflags '$(LDFLAGS)' -o bin/sallyport .

run: ## build the quickstart with Go alone and serve it on 127.0.0.1:8080
	@CGO_ENABLED=0 go build -ldflags '$(LDFLAGS)' -o bin/quickstart ./examples/quickstart
	@exec bin/quickstart

test: ## run every suite, one line each; sets itself up on Debian as root
	@bash .ci/test.sh

check: ## format, tidy, vet, lint, generated files, known vulnerabilities
	@bash .ci/check.sh

plugins: ## build the plugins of plugins/bundled into bin/plugins
	@bash .ci/plugins.sh

bench: ## measure and write docs/PERFORMANCE.md
	go run ./core/bench -write docs/PERFORMANCE.md

pgo: ## profile the gateway again: default.pgo, which the compiler reads
	go run ./core/bench -only calls,legacy,plugins,proxy -profile default.pgo
	go tool pprof -proto default.pgo default.pgo.plugins default.pgo.stateless default.pgo.stateful >default.pgo.merged
	mv default.pgo.merged default.pgo
	rm -f default.pgo.plugins default.pgo.stateless default.pgo.stateful

fmt: ## format all Go files
	@bash .ci/tools.sh gofumpt
	@git ls-files -co --exclude-standard '*.go' | xargs -r bin/tools/gofumpt -w

generate: ## make generated files again
	go generate ./...

clean: ## remove what was built
	rm -rf bin
