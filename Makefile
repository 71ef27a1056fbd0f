# make run and make test are all that a newcomer needs; `make help` lists the rest.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

LISTEN ?= 127.0.0.1:8080
DATA ?= data
TORTURE_ROUNDS ?= 50
TARGET := $(or $(CARGO_TARGET_DIR),target)

# Stamps: what is there and newer than its sources is not made again.
WEB_SOURCES := $(shell find web openapi.json -type f \
  -not -path '*/node_modules/*' -not -path '*/dist/*' -not -path '*/generated/*' -not -path 'web/e2e/*' 2>/dev/null)
WEB_INSTALLED := web/node_modules/.package-lock.json
WEB_BUILT := web/node_modules/.tollgate-built

.PHONY: help build web run dev test torture bench openapi fmt clean

help: ## this list
	@grep -hE '^[a-z]+:.*## ' Makefile | sed -E 's/:.*## /\t/' | expand -t 12

build: web ## target/release/tollgate, with the dashboards inside
	cargo build --release --locked -p server

run: build ## the demo on http://127.0.0.1:8080, its data in ./data
	@exec $(TARGET)/release/tollgate serve --demo --listen $(LISTEN) --data $(DATA)

dev: $(WEB_INSTALLED) ## the demo from source: pages with hot reload, server in the dev profile
	@scripts/dev.sh $(LISTEN) $(DATA)

test: ## every test: Rust, SDK, browser, both databases
	@scripts/test.sh

torture: ## the crash tests, 50 rounds each (TORTURE_ROUNDS)
	@TORTURE_ROUNDS=$(TORTURE_ROUNDS) scripts/test.sh torture

bench: build ## the benchmarks beside their baselines; BENCH='--quick' or scenario names narrow it
	@scripts/prepare.sh wrk postgresql sqlite3
	npm --prefix bench/express ci --prefer-offline --no-audit --no-fund
	cargo build --release --locked --manifest-path bench/naive-axum/Cargo.toml --target-dir $(TARGET)/naive-axum
	TOLLGATE_BIN=$(abspath $(TARGET))/release/tollgate NAIVE_BIN=$(abspath $(TARGET))/naive-axum/release/naive-axum \
	  node bench/run.mjs $(BENCH)

openapi: ## openapi.json anew from the code
	cargo run -q --locked -p server -- openapi > openapi.json.new
	mv openapi.json.new openapi.json

fmt: ## formats Rust and TypeScript
	cargo fmt
	cargo fmt --manifest-path bench/naive-axum/Cargo.toml
	if [ -d web/node_modules ]; then npm --prefix web run format; fi

clean: ## removes what was built, never data
	cargo clean
	rm -rf web/dist web/packages/sdk/dist web/node_modules/.tollgate-built

# The server compiles and runs without Node; it then says that it has no pages.
ifneq ($(shell command -v npm),)
web: $(WEB_BUILT)
else
web:
	@echo "Node is not installed: building without the dashboards (install Node 20.19 or newer to have them)"
endif

.PHONY: web-installed
web-installed: $(WEB_INSTALLED)

$(WEB_INSTALLED): web/package-lock.json
	npm --prefix web ci --prefer-offline --no-audit --no-fund

# A placeholder in web/dist (made when the server is compiled first) does not count as built.
$(WEB_BUILT): $(WEB_INSTALLED) $(WEB_SOURCES) $(if $(wildcard web/dist/assets),,no-dist)
	npm --prefix web run build
	@touch $@

.PHONY: no-dist
no-dist:
