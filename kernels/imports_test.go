package kernels_test

import (
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// TestImports checks which packages each package may import: the design's layers, from the assembly
// up to the commands, and the modules from outside that each layer may use.
func TestImports(t *testing.T) {
	// A package belongs to the first row whose prefix fits. Of this module it may import the
	// packages in ours, where a name that ends in / stands for all packages below it.
	layers := []struct {
		prefix string
		ours   []string
		others []string // modules outside the standard library
	}{
		{"firebench/kernels/kerneltest", []string{"firebench/kernels", "firebench/kernels/workers"}, nil},
		{"firebench/kernels/ref", []string{"firebench/kernels"}, nil},
		{"firebench/kernels/scalar", []string{"firebench/kernels/winograd"}, nil},
		{"firebench/kernels/", nil, nil}, // workers, matrices and the generated packages
		{"firebench/kernels", []string{"firebench/kernels/"}, []string{"github.com/klauspost/cpuid/v2"}},

		{"firebench/net/files", nil, nil},
		{"firebench/net/protobuf", nil, []string{"google.golang.org/protobuf/encoding/protowire"}},
		{"firebench/net/tensor", []string{"firebench/kernels", "firebench/net/files"}, nil},
		{"firebench/net/layer", []string{"firebench/kernels", "firebench/kernels/workers"}, nil},
		{"firebench/net/graph", []string{"firebench/kernels", "firebench/kernels/workers", "firebench/net/layer"}, nil},
		{"firebench/net/compression", []string{"firebench/kernels", "firebench/net/"}, []string{"gonum.org/v1/gonum/"}},
		{"firebench/net/compress", []string{"firebench/bench/machine", "firebench/compare/peers/timings", "firebench/kernels", "firebench/net/"}, nil},
		{"firebench/net/onnx", []string{"firebench/kernels", "firebench/net/"}, []string{"google.golang.org/protobuf/encoding/protowire"}},
		{"firebench/net/train/", []string{"firebench/bench/machine", "firebench/compare/", "firebench/kernels", "firebench/net/"}, []string{"golang.org/x/perf/"}},
		{"firebench/net/training", []string{"firebench/kernels", "firebench/kernels/workers", "firebench/net/"}, nil},
		{"firebench/net/codecs", []string{"firebench/net/weights"}, []string{"github.com/klauspost/compress/"}},
		{"firebench/net/", []string{"firebench/kernels", "firebench/net/"}, []string{"golang.org/x/image/", "golang.org/x/sync/"}},

		{"firebench/asmgen", []string{"firebench/asmgen", "firebench/asmgen/", "firebench/kernels/winograd", "firebench/net/files"}, []string{"github.com/mmcloughlin/avo/"}},
		{"firebench/compare/peers/gonum", []string{"firebench/net/graph", "firebench/net/layer"}, []string{"gonum.org/v1/gonum/"}},
		{"firebench/compare/peers", []string{"firebench/bench/", "firebench/compare/", "firebench/kernels", "firebench/net/"}, []string{"golang.org/x/perf/"}},
		{"firebench/compare", []string{"firebench/compare/", "firebench/kernels", "firebench/net/"}, []string{"golang.org/x/perf/"}},
		{"firebench/bench", []string{"firebench/bench/", "firebench/compare/", "firebench/kernels", "firebench/kernels/workers", "firebench/net/"}, []string{"github.com/klauspost/cpuid/v2"}},
	}
	allowed := func(list []string, path string) bool {
		return slices.ContainsFunc(list, func(p string) bool {
			return p == path || strings.HasSuffix(p, "/") && strings.HasPrefix(path, p)
		})
	}
	std := goList(t, "{{.ImportPath}}", "std")
	for _, line := range goList(t, `{{.ImportPath}} {{join .Imports " "}}`, "firebench/...") {
		fields := strings.Fields(line)
		pkg, imports := fields[0], fields[1:]
		i := slices.IndexFunc(layers, func(l struct {
			prefix       string
			ours, others []string
		}) bool {
			return strings.HasPrefix(pkg, l.prefix)
		})
		if i < 0 {
			t.Errorf("%s belongs to no layer", pkg)
			continue
		}
		for _, path := range imports {
			switch {
			case strings.HasPrefix(path, "firebench/"):
				if path == "firebench/kernels/ref" || path == "firebench/kernels/kerneltest" {
					t.Errorf("%s imports %s, which is for tests", pkg, path)
				}
				if !allowed(layers[i].ours, path) {
					t.Errorf("%s imports %s, expected only %v", pkg, path, layers[i].ours)
				}
			case !slices.Contains(std, path) && path != "C":
				if !allowed(layers[i].others, path) {
					t.Errorf("%s imports %s, expected only the standard library and %v", pkg, path, layers[i].others)
				}
			case path == "C":
				t.Errorf("%s uses cgo", pkg)
			}
		}
	}
}

// goList returns the lines that go list prints for a pattern.
func goList(t *testing.T, format, pattern string) []string {
	t.Helper()
	cmd := exec.Command("go", "list", "-f", format, pattern)
	cmd.Stderr = t.Output()
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list %s: %v", pattern, err)
	}
	return strings.Split(strings.TrimSpace(string(out)), "\n")
}
