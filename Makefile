# plait: `make` leaves build/plait. Other presets (presets/*.ini) build beside it: make PRESET=asan-ubsan check-preset
PRESET ?= release
BUILD  := $(if $(filter release,$(PRESET)),build,build-$(PRESET))
PYTHON := /usr/bin/python3
SUDO   := $(if $(filter 0,$(shell id -u)),,sudo)

all: $(BUILD)/build.ninja
	@ninja -C $(BUILD)

$(BUILD)/build.ninja:
	@tools/deps build
	meson setup --native-file presets/$(PRESET).ini $(BUILD)

demo: all
	@tools/deps demo
	$(SUDO) lab/demo.sh

# Installs what is missing, builds, runs every test: unit, simulated, fuzz corpora, networks; then the same with the
# address and undefined-behaviour sanitizers, and format. Ends with "N passed, N failed".
check:
	@tools/deps check
	@$(PYTHON) tools/check

bench: all
	@tools/deps bench
	$(SUDO) $(PYTHON) test/bench/get_links.py --plait $(CURDIR)/build/plait

# The schedulers beside each other, and what each part of the tunnel is worth, in virtual time: a table in half a minute.
bench-sim: all
	$(BUILD)/test/sim/plait-sim tunnel --table
	$(BUILD)/test/sim/plait-sim tunnel --compare
	$(BUILD)/test/bench/plait-bench-bond

lint:
	@tools/deps lint
	@tools/lint

fmt:
	@git ls-files '*.c' '*.h' | xargs clang-format -i

install: all
	meson install -C $(BUILD)

clean:
	rm -rf build build-*

.PHONY: all demo check bench bench-sim lint fmt install clean
