.DEFAULT_GOAL := help
.PHONY: help generate check cross test test-purego test-isa test-arm64 test-onnx race fuzz enc mca weights accuracy compression training training-page experiments bench peers compare readme profile

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

generate: ## rewrite every generated file
	go run ./asmgen

# The generator runs on a developer's machine, all else anywhere. On a new machine each platform
# costs the compilation of its standard library, so check takes three: both that have vector kernels,
# and one that differs from them in all: 32 bits, no Unix, no kernels. cross takes many.
library = ./kernels/... ./net/... ./bench/... ./compare/...
builds = amd64: GOARCH=amd64\narm64: GOARCH=arm64\npurego: -tags=purego\n

check: ## formatting, go.mod, vet, staticcheck, drift of generated files, import rules, the workflow file
	@test -z "$$(gofmt -l .)" || { echo "not formatted:"; gofmt -l .; exit 1; }
	go mod tidy -diff
	go vet ./...
	go vet -tags purego $(library)
	GOARCH=amd64 go vet $(library)
	GOARCH=arm64 go vet $(library)
	GOOS=windows GOARCH=386 go vet $(library)
	go tool staticcheck ./asmgen/...
	printf '$(builds)' | go tool staticcheck -matrix $(library)
	go tool actionlint .github/workflows/*.yml
	go run ./asmgen -check
	go test -run '^TestImports$$' ./kernels

platforms = linux/amd64 linux/arm64 linux/386 linux/riscv64 linux/s390x windows/amd64 windows/arm64 \
	darwin/amd64 darwin/arm64 freebsd/amd64 js/wasm

cross: ## build and vet for many platforms
	@set -e; for p in $(platforms); do \
		echo "== $$p"; export GOOS=$${p%/*} GOARCH=$${p#*/}; go build ./...; go vet ./...; \
	done

test: ## the whole test suite
	go test ./...

test-purego: ## the test suite with -tags purego: no assembly
	FIREBENCH_REQUIRE=scalar go test -tags purego ./...

test-isa: test-purego ## the test suite once per instruction set of this machine, and with -tags purego
	@set -e; isas=$$(go run ./bench/doctor -isas); for isa in $$isas; do \
		echo "== $$isa"; FIREBENCH_ISA=$$isa FIREBENCH_REQUIRE=$$isa go test ./...; \
	done

# On a processor with all extensions, and, where kernels are called for their own sake, on one that has
# the vectors and nothing else. -short leaves out other instruction sets than the best, most inputs and
# images of one kind, and AlexNet's dense layers at full size: emulation is slow, references in float64
# are slower.
kernel_users = ./kernels/... ./net/layer ./net/graph ./net/compression ./net/training
arm64 = FIREBENCH_REQUIRE=$(2) GOARCH=arm64 go test -short -exec "qemu-aarch64-static -cpu $(1)"
test-arm64: ## the test suite, -short, for arm64 under qemu-user (qemu-user-static)
	$(call arm64,max,neon-dotprod) ./...
	$(call arm64,cortex-a72,neon) $(kernel_users)
	FIREBENCH_ISA=scalar $(call arm64,max,scalar) -run "^TestConvTiles$$" ./kernels

# The environment is made again when its requirements change.
test-onnx: ## net/onnx against ONNX Runtime: its cases, ONNX's own tests of operators, exported files (python3 with venv)
	@set -e; cd net/onnx/testdata; env=$${XDG_CACHE_HOME:-$$HOME/.cache}/firebench/onnx; \
	if ! cmp -s requirements.txt "$$env/requirements.txt"; then \
		rm -rf "$$env"; python3 -m venv "$$env"; \
		"$$env/bin/python" -m pip install --quiet --require-hashes --only-binary :all: -r requirements.txt; \
		cp requirements.txt "$$env"; \
	fi; \
	"$$env/bin/python" cases.py -check; \
	nodes=$$(mktemp -d); trap 'rm -rf "$$nodes"' EXIT; \
	"$$env/bin/python" nodes.py "$$nodes"; \
	cd ..; FIREBENCH_PYTHON="$$env/bin/python" FIREBENCH_ONNX_NODE_TESTS="$$nodes" go test -count=1 .

# The detector makes code several times slower, assembly excepted; the generator has one goroutine.
race: ## the test suite, -short, under the race detector (a C compiler)
	go test -race -short -timeout 20m $(library)

# By default go test spends up to a minute on making each input that reaches new code smaller, and
# hardly gets to trying others; ten attempts suffice. A failure can be made smaller afterwards.
FUZZTIME = 20s
fuzz: ## every fuzz target for FUZZTIME (20s)
	@found=$$(go test -list '^Fuzz' ./...) || { echo "$$found"; exit 1; }; failed=; \
	for target in $$(echo "$$found" | awk '/^Fuzz/ {name[++n] = $$1} /^ok/ {for (i = 1; i <= n; i++) print $$2 ":" name[i]; n = 0}'); do \
		echo "== $$target"; \
		go test -short -run '^$$' -fuzz "^$${target#*:}\$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 10x "$${target%:*}" || failed="$$failed $$target"; \
	done; \
	test -z "$$failed" || { echo "failed:$$failed"; exit 1; }

enc: ## the whole table of NEON encodings and the generated words against GNU's assembler (binutils-aarch64-linux-gnu)
	go test -count=1 -run '^TestGNU$$' ./asmgen/arm64 -gnu

mca: ## llvm-mca's predictions for the inner loops (llvm-19), in results/predictions.md; fails below the limits
	go run ./asmgen/mca -o results/predictions.md

weights: ## download published weights to the cache folder, those that README uses or NAMES="..."; see go run ./net/download -list
	go run ./net/download $(NAMES)

# Any labelled photographs will do, see go run ./net/accuracy -help.
MODEL = squeezenet1.0
WEIGHTS = ../shared/weights/compressed_SqueezeNet.net
CALIBRATE = ../shared/calibration
IMAGES = $(CALIBRATE)
accuracy: ## accuracy of int8 networks, exact and saturating, in results/accuracy.md; of MODEL with WEIGHTS on IMAGES
	go run ./net/accuracy -model $(MODEL) -weights $(WEIGHTS) -type int8 -calibrate $(CALIBRATE) -page results/accuracy.md $(IMAGES)

# About a quarter of an hour on two cores: sharing runs the network on half of CALIBRATE again and again.
SMALL = ../shared/weights/squeezenet1.1_fp16.onnx
MORE = ../shared/images
compression: ## what compression gives and costs, in results/compression.md and a plot beside it; of WEIGHTS (v1.0) and SMALL (v1.1), on half of CALIBRATE and on MORE
	go run ./net/compress -page results/compression.md -weights $(WEIGHTS) -small $(SMALL) -calibrate $(CALIBRATE) $(addprefix -images ,$(wildcard $(MORE))) -threads 1 \
		$(addprefix -peers ,$(shell ls -t results/*/*-peers/peers.txt 2>/dev/null | head -n 1))

# Runs stay in a folder of the user's cache, and go on where they were stopped; delete one to make it again.
RUNS = $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/firebench/training
CIFAR = ../shared/data/cifar10-jpeg.tar.gz
FLOWERS = ../shared/data/flowers
CIFARFLAGS = -model squeezenet-cifar-simple -epochs 22
TUNEFLAGS =
ROWSFLAGS = $(TUNEFLAGS)
training: ## train on CIFAR and FLOWERS, compress and train again, in results/training*; about two hours on two cores, goes on after an interrupt; of WEIGHTS (v1.0) and SMALL (v1.1)
	go run ./net/train $(CIFARFLAGS) -data $(CIFAR) -o $(RUNS)/cifar
	go run ./net/train -model squeezenet1.1 -weights $(SMALL) -dense $(TUNEFLAGS) -data $(FLOWERS) -o $(RUNS)/flowers
	go run ./net/train -model squeezenet1.0 -weights $(WEIGHTS) -dense $(TUNEFLAGS) -data $(FLOWERS) -o $(RUNS)/tuned
	go run ./net/train -model $(RUNS)/tuned/model.onnx -dense $(ROWSFLAGS) -data $(FLOWERS) -o $(RUNS)/dense
	test -e $(RUNS)/rows.onnx || go run ./net/compress -model $(RUNS)/tuned/model.onnx -prune '*1x1=0.3333,conv10=0.3333' -pattern vector -o $(RUNS)/rows.onnx
	go run ./net/train -model $(RUNS)/rows.onnx $(ROWSFLAGS) -data $(FLOWERS) -o $(RUNS)/rows
	go run ./net/accuracy -model $(RUNS)/flowers/model.onnx -type int8 -calibrate $(FLOWERS)/train -page results/training-int8.md $(FLOWERS)/val
	go run ./net/compress -model $(RUNS)/rows/model.onnx -share bits=6,plain -images $(FLOWERS)/val > $(RUNS)/compressed.txt
	$(MAKE) training-page

training-page: ## write results/training.md of the runs that make training left, of BENCH and PEERS
	go run ./net/train/report -page results/training.md $(foreach run,cifar flowers,$(if $(wildcard $(RUNS)/$(run)/model.onnx),-$(run) $(RUNS)/$(run))) \
		$(if $(wildcard $(RUNS)/rows/model.onnx),-dense $(RUNS)/dense -rows $(RUNS)/rows) \
		$(addprefix -bench ,$(BENCH)) $(addprefix -peers ,$(PEERS)) $(addprefix -experiments ,$(wildcard results/experiments.md)) \
		$(addprefix -int8 ,$(wildcard results/training-int8.md)) $(addprefix -compressed ,$(wildcard $(RUNS)/compressed.txt))

experiments: ## squeeze ratio, share of 3x3, pools and bypass on CIFAR, in results/experiments.md; hours, goes on after an interrupt; FLAGS="-epochs 5 -pictures 1000"
	go run ./net/train/experiments -data $(CIFAR) -o $(RUNS)/experiments $(FLAGS) -page results/experiments.md

bench: ## the main job: benchmark squeezenet1.0 against alexnet, print and record the comparison
	go run ./bench/run

# Under ten minutes on two cores, after the first time, which downloads the packages of the peers.
peers: ## the networks beside ONNX Runtime, OpenVINO, ncnn and others, timed side by side and recorded (python3 with venv); FLAGS="-nets alexnet"
	go run ./compare/peers $(FLAGS)
	go tool benchstat -col /impl "$$(ls -t results/*/*-peers/peers.txt | head -n 1)"

compare: ## print the comparison of this machine's newest record, or of FILES
	go run $(if $(FILES),./compare $(FILES),./bench/run -last)

readme: ## the pages of recorded runs, and the figures and quotes in README.md; RUNS="results/..." shows others
	go run ./compare/readme $(RUNS)

profile: ## CPU profile of squeezenet1.0 by layer; cpu.pprof and bench.test stay for `go tool pprof cpu.pprof`
	go run ./bench/run -profile cpu.pprof
