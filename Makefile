# The whole contributor interface. `make demo` and `make test` work from a bare clone with Python >= 3.11 and a C++20
# compiler; everything else is fetched into .venv.

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
SOURCES := pyproject.toml CMakeLists.txt $(shell find native src -name '*.cpp' -o -name '*.h' -o -name '*.inl' -o -name '*.py' -o -path 'src/gemlet/goldens/*' -o -path 'src/gemlet/calibration/*' -o -path 'src/gemlet/*/page/*')
NATIVE := $(shell find native fuzz -name '*.cpp' -o -name '*.h' -o -name '*.inl')
CHECKED := src tests tools reference bench examples

.PHONY: demo test test-arm check-portable lint fix bench compare goldens fuzz sanitize clean

demo: $(VENV)/installed  ## environment, build, weights, the model card's example, verify
	$(BIN)/gemlet pull
	$(BIN)/python examples/model_card.py
	$(BIN)/gemlet verify
	$(BIN)/gemlet verify --quick --quantization f32

# Two files of tests at a time; PyTorch with one thread in each, or its threads wait for one another most of the time.
test: $(VENV)/tools  ## every test; fetches the checkpoint if it is not in the cache
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile

# The engine for x86-64 and for aarch64, without Python; emulated CPUs must give this CPU's bits. TINY=--tiny: a model of
# two layers, in seconds.
CROSS := -DCMAKE_BUILD_TYPE=Release -DGEMLET_PYTHON=OFF
test-arm: $(VENV)/tools  ## the same bits on emulated ARM CPUs and on AVX2 without VNNI; needs an x86-64 Linux and qemu
	@for tool in aarch64-linux-gnu-g++ qemu-aarch64 qemu-x86_64; do command -v $$tool > /dev/null || \
		{ echo "make test-arm needs $$tool: apt install g++-aarch64-linux-gnu qemu-user"; exit 1; }; done
	$(BIN)/python -m pip install --quiet cmake
	$(BIN)/cmake -S . -B build/vectors-x86_64 $(CROSS) -DGEMLET_VECTORS=ON
	$(BIN)/cmake --build build/vectors-x86_64 -j
	$(BIN)/cmake -S . -B build/vectors-aarch64 $(CROSS) -DGEMLET_VECTORS=ON \
		-DCMAKE_SYSTEM_NAME=Linux -DCMAKE_SYSTEM_PROCESSOR=aarch64 -DCMAKE_CXX_COMPILER=aarch64-linux-gnu-g++
	$(BIN)/cmake --build build/vectors-aarch64 -j
	$(BIN)/python tests/arm/check.py build/vectors-x86_64/vectors build/vectors-aarch64/vectors $(TINY)

# zig brings the headers of each of these systems. What it compiles is not linked.
check-portable: $(BIN)/python  ## does the engine compile for macOS and Windows, on both CPUs?
	$(BIN)/python -m pip install --quiet cmake ziglang
	for target in aarch64-macos-Darwin x86_64-macos-Darwin x86_64-windows-gnu-Windows aarch64-windows-gnu-Windows; do \
		export ZIG_TARGET=$${target%-*} ZIG_PYTHON=$(abspath $(BIN)/python); \
		$(BIN)/cmake -S . -B build/portable-$$ZIG_TARGET $(CROSS) -DCMAKE_CXX_COMPILER=$(abspath tools/zig-c++) \
			-DCMAKE_SYSTEM_NAME=$${target##*-} -DCMAKE_SYSTEM_PROCESSOR=$${target%%-*} \
			-DCMAKE_TRY_COMPILE_TARGET_TYPE=STATIC_LIBRARY "-DCMAKE_CXX_FLAGS=-Werror -Wno-unknown-warning-option" && \
		$(BIN)/cmake --build build/portable-$$ZIG_TARGET -j && echo "$$ZIG_TARGET: compiles" || exit 1; \
	done

lint: $(VENV)/tools  ## style, types, layout
	$(BIN)/ruff check $(CHECKED)
	$(BIN)/ruff format --check $(CHECKED)
	$(BIN)/mypy
	$(BIN)/clang-format --dry-run --Werror $(NATIVE)

fix: $(VENV)/tools  ## let the tools put style right
	$(BIN)/ruff check --fix $(CHECKED)
	$(BIN)/ruff format $(CHECKED)
	$(BIN)/clang-format -i $(NATIVE)

bench: $(VENV)/installed  ## our own times by stage against the machine's peak, then whole processes and their memory
	$(BIN)/python bench/stages.py
	$(BIN)/python bench/embed.py

# MODEL: a folder; RIVALS: one --rival NAME=PYTHON,MODEL for each; MORE: such as --quick or --publish
compare: $(VENV)/installed  ## gemlet beside other runtimes, in one run
	$(BIN)/python bench/compare.py --model $(MODEL) $(RIVALS) $(MORE)

goldens:  ## make src/gemlet/goldens anew from the checkpoint in CHECKPOINT; $(PYTHON) needs torch, sentence-transformers
	$(PYTHON) tools/make_goldens.py $(CHECKPOINT)

# One libFuzzer target for each parser of foreign bytes; needs clang.
FUZZ_SECONDS ?= 300
fuzz: $(VENV)/tools  ## every parser under address and undefined-behaviour sanitizers, FUZZ_SECONDS each
	$(BIN)/python -m pip install --quiet cmake
	$(BIN)/cmake -S . -B build/fuzz -DCMAKE_BUILD_TYPE=RelWithDebInfo -DCMAKE_CXX_COMPILER=$${CXX:-clang++} \
		-DGEMLET_PYTHON=OFF -DGEMLET_FUZZ=ON -DGEMLET_SANITIZE=address,undefined
	$(BIN)/cmake --build build/fuzz -j
	for target in build/fuzz/fuzz_*; do \
		name=$${target##*fuzz_}; mkdir -p fuzz/corpus/$$name; \
		$$target -max_total_time=$(FUZZ_SECONDS) -max_len=65536 -timeout=20 -print_final_stats=1 \
			-artifact_prefix=build/fuzz/ fuzz/corpus/$$name || exit 1; \
	done

# The engine itself on the tiny model: under the same sanitizers, then under the one that finds data races. (A forked
# child is left out there: that sanitizer does not support threads in it.) A sanitizer reports to the process's own
# stderr: --capture=sys leaves that to the terminal, where pytest's default would lose the report with the process.
SANITIZED = tests/kernels tests/parity/test_tiny.py tests/invariance tests/unit/test_embedder.py \
	tests/unit/test_model.py tests/unit/test_tokenizer.py tests/unit/test_gguf.py tests/unit/test_scanner.py tests/unit/test_pairs_scan.py
RACES = tests/invariance tests/unit/test_model.py
runtime = $(shell $${CXX:-c++} -print-file-name=lib$(1).so)
define sanitize
	$(BIN)/cmake -S . -B build/sanitize-$(1) -DCMAKE_BUILD_TYPE=RelWithDebInfo -DGEMLET_SANITIZE=$(1) \
		-DPython_EXECUTABLE=$(abspath $(BIN)/python) -Dnanobind_DIR=$$($(BIN)/python -m nanobind --cmake_dir)
	$(BIN)/cmake --build build/sanitize-$(1) -j
	rm -rf build/sanitized-$(1) && mkdir -p build/sanitized-$(1) && cp -r src/gemlet build/sanitized-$(1)/
	cp build/sanitize-$(1)/_core*.so build/sanitized-$(1)/gemlet/
endef
comma := ,
sanitize: $(VENV)/tools  ## kernels, model, tokenizer and readers under address, undefined-behaviour and thread sanitizers (gcc)
	$(BIN)/python -m pip install --quiet cmake nanobind
	$(call sanitize,address$(comma)undefined)
	PYTHONPATH=build/sanitized-address$(comma)undefined LD_PRELOAD="$(call runtime,asan) $(call runtime,ubsan)" \
		ASAN_OPTIONS=detect_leaks=0 UBSAN_OPTIONS=print_stacktrace=1 \
		$(BIN)/python -m pytest --capture=sys $(SANITIZED) -k "not real"
	$(call sanitize,thread)
	PYTHONPATH=build/sanitized-thread LD_PRELOAD="$(call runtime,tsan)" \
		$(BIN)/python -m pytest --capture=sys $(RACES) -k "not real and not fork and not instruction"

clean:
	rm -rf $(VENV) build dist

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/installed: $(BIN)/python $(SOURCES)
	$(BIN)/python -m pip install --quiet .
	touch $@

$(VENV)/tools: $(VENV)/installed
	$(BIN)/python -m pip install --quiet '.[test,lint]'
	touch $@
