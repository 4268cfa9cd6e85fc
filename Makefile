# Needs Python 3.11 or later; `make PYTHON=python3.13 test` takes another one than python3.
PYTHON ?= python3
VENV := .venv
RUN := $(VENV)/bin/python

.PHONY: help demo test lint bench proof fuzz matrix docs page pictures clean tools FORCE
help:
	@echo 'make demo | test | lint | bench | proof | fuzz | matrix | docs | page | pictures | clean'

demo: $(VENV)/.with-base
	@$(RUN) -m examples.demo

test: $(VENV)/.with-test tools
	@$(RUN) -m pytest --numprocesses=auto --dist=worksteal

lint: $(VENV)/.with-lint
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy
	$(VENV)/bin/pyright
	@types=$$(PATH=$(CURDIR)/$(VENV)/bin:$$PATH pyright --verifytypes strongroom --ignoreexternal) || { echo "$$types"; false; }

# Beside other tools, 15 minutes; all figures and their plots go into the documents.
bench: $(VENV)/.with-bench tools
	@$(RUN) -m bench --page docs/benchmarks

# All that was tried against the promises, as often as it takes to believe it, and the table of it.
proof: $(VENV)/.with-test tools
	@$(RUN) -m pytest --numprocesses=auto --dist=worksteal --proof $(PROOF)

# Every reader under atheris, two at once; SECONDS=60 is shorter, TARGETS='zip age' fewer.
fuzz: $(VENV)/.with-test
	@$(RUN) -m fuzz --seconds $(or $(SECONDS),600) $(TARGETS)

# All tests on the built wheel, on every Python and with the oldest dependencies: an hour. TESTS='tests/unit' is quicker.
matrix: $(VENV)/.with-package tools
	@$(RUN) -m tests.packaging.matrix $(TESTS)

# The site, into build/site: no warning, no broken link.
docs: $(VENV)/.with-docs
	$(VENV)/bin/sphinx-build -W --keep-going -q -E -b dirhtml docs build/site

# The page that opens archives, out of page/: a file of the package, which a test builds anew and compares.
page: tools
	@cd page && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error && npm run --silent check && npm run --silent build

# What docs/send.md shows of it.
pictures: $(VENV)/.with-test tools
	@STRONGROOM_PICTURES=docs/pictures $(RUN) -m pytest -q tests/page/test_pictures.py -k fits

clean:
	rm -rf $(VENV) page/node_modules .bench-* .fuzz-found build demo dist .hypothesis .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# The stamps say which extras are installed. Two at once (make -j) would break the environment.
.NOTPARALLEL:
$(VENV)/.with-base: extras :=
$(VENV)/.with-%: extras = [$*]
$(VENV)/.with-base $(VENV)/.with-test $(VENV)/.with-lint $(VENV)/.with-bench $(VENV)/.with-docs $(VENV)/.with-package: $(VENV)/.with-%: $(VENV)/.python pyproject.toml
	@echo 'installing into $(VENV)'
	@$(RUN) -m pip install --quiet --disable-pip-version-check --editable '.$(extras)'
	@touch $@

# Changes only when the interpreter or the folder does, and then everything is installed anew.
$(VENV)/.python: FORCE
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo 'strongroom needs Python 3.11 or later: make PYTHON=...' >&2; exit 1; }
	@now=$$($(PYTHON) -c 'import os, sys; print(os.getcwd(), os.path.realpath(sys._base_executable), sys.version)') && \
	  if [ "$$now" != "$$(cat $@ 2>/dev/null)" ]; then \
	    $(PYTHON) -m venv --clear $(VENV) && echo "$$now" >$@; \
	  fi

# Other tools that open our archives. Missing ones are installed where that works; CI does not go on without.
define FIND_MISSING
missing=; PATH="$$PATH:/usr/sbin:/sbin"; \
for tool in 7zz:7zip bsdtar:libarchive-tools unzip:unzip strace:strace gcore:gdb age:age node:nodejs npm:npm \
  chromium:chromium firefox-esr:firefox-esr \
  ssh-keygen:openssh-client zsh:zsh fish:fish groff:groff mandoc:mandoc dbus-run-session:dbus-daemon \
  gnome-keyring-daemon:gnome-keyring mount:mount mkfs.ext4:e2fsprogs mkfs.exfat:exfatprogs \
  mount.exfat-fuse:exfat-fuse; do \
  command -v "$${tool%%:*}" >/dev/null || missing="$$missing $${tool#*:}"; \
done; \
$(PYTHON) -c 'import sys; from ctypes.util import find_library as f; sys.exit(not f("archive"))' || \
  missing="$$missing libarchive13"; \
{ command -v initdb || ls /usr/lib/postgresql/*/bin/initdb; } >/dev/null 2>&1 || missing="$$missing postgresql"
endef
tools:
	@$(FIND_MISSING); [ -n "$$missing" ] || exit 0; \
	as=; [ "$$(id -u)" = 0 ] || as=sudo; \
	if command -v apt-get >/dev/null && command -v $${as:-env} >/dev/null; then \
	  echo "installing Debian packages:$$missing"; \
	  apt="$$as env DEBIAN_FRONTEND=noninteractive apt-get -qq"; \
	  $$apt update; $$apt install --yes --no-install-recommends $$missing; \
	fi >&2; \
	$(FIND_MISSING); [ -n "$$missing" ] || exit 0; \
	echo "missing, so that some tests and measurements are skipped (Debian's names):$$missing" >&2; \
	[ "$$CI" != true ]
