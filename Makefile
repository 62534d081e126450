.DEFAULT_GOAL := help
.PHONY: help generate check test test-isa test-arm64 enc mca bench compare readme profile

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

generate: ## rewrite every generated file
	go run ./asmgen

check: ## formatting, vet for amd64, arm64 and purego, drift of generated files, import rules
	@test -z "$$(gofmt -l .)" || { echo "not formatted:"; gofmt -l .; exit 1; }
	GOARCH=amd64 go vet ./...
	GOARCH=arm64 go vet ./...
	go vet -tags purego ./...
	GOARCH=riscv64 go build ./...
	GOOS=js GOARCH=wasm go build ./...
	go run ./asmgen -check
	go test -run '^TestImports$$' ./kernels

test: ## the whole test suite
	go test ./...

test-isa: ## the test suite once per instruction set of this machine, and with -tags purego
	set -e; for isa in $$(go run ./bench/doctor -isas); do \
		echo "== $$isa"; FIREBENCH_ISA=$$isa FIREBENCH_REQUIRE=$$isa go test ./...; \
	done
	FIREBENCH_REQUIRE=scalar go test -tags purego ./...

# On a processor with all extensions, and on one that has the vectors and nothing else. -short leaves
# out other instruction sets than NEON, most inputs and images of one kind, and AlexNet's dense
# layers at full size: emulation is slow, references in float64 are slower.
arm64 = FIREBENCH_REQUIRE=$(2) GOARCH=arm64 go test -short -exec "qemu-aarch64-static -cpu $(1)"
test-arm64: ## the test suite, -short, for arm64 under qemu-user (qemu-user-static)
	$(call arm64,max,neon) ./...
	$(call arm64,cortex-a72,neon) ./...
	FIREBENCH_ISA=scalar $(call arm64,max,scalar) -run "^TestConvTiles$$" ./kernels

enc: ## the whole table of NEON encodings and the generated words against GNU's assembler (binutils-aarch64-linux-gnu)
	go test -count=1 -run '^TestGNU$$' ./asmgen/arm64 -gnu

mca: ## llvm-mca's predictions for the inner loops (llvm-19), in results/predictions.md; fails below the limits
	go run ./asmgen/mca -o results/predictions.md

bench: ## the main job: benchmark squeezenet1.0 against alexnet, print and record the comparison
	go run ./bench/run

compare: ## print the comparison of this machine's newest record, or of FILES
	go run $(if $(FILES),./compare $(FILES),./bench/run -last)

readme: ## the pages of recorded runs, and the figures and quotes in README.md; RUNS="results/..." shows others
	go run ./compare/readme $(RUNS)

profile: ## CPU profile of squeezenet1.0 by layer; cpu.pprof and bench.test stay for `go tool pprof cpu.pprof`
	go run ./bench/run -profile cpu.pprof
