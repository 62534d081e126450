package onnx_test

import (
	"os"
	"path"
	"path/filepath"
	"strings"
	"testing"

	"firebench/net/onnx"
	"firebench/net/tensor"
)

// outside are patterns of the names of ONNX's own tests that the importer refuses, and why. Each of the
// tests must really fail: what can be read comes off the list.
var outside = []struct{ reason, names string }{}

// TestONNXNodes runs ONNX's own tests of the operators, which testdata/nodes.py writes to the folder that
// FIREBENCH_ONNX_NODE_TESTS names. Make test-onnx does both.
func TestONNXNodes(t *testing.T) {
	folder := os.Getenv("FIREBENCH_ONNX_NODE_TESTS")
	if folder == "" {
		t.Skip("FIREBENCH_ONNX_NODE_TESTS names no folder of ONNX's tests (make test-onnx)")
	}
	models, err := filepath.Glob(filepath.Join(folder, "*", "model.onnx"))
	if err != nil {
		t.Fatal(err)
	}
	used := map[string]bool{}
	passed := 0
	for _, model := range models {
		test := filepath.Dir(model)
		name := filepath.Base(test)
		err := nodeTest(t, test)
		reason, pattern := outsideReason(name)
		used[pattern] = true
		switch {
		case err == nil && reason == "":
			passed++
		case err == nil:
			t.Errorf("%s passes, but is listed as outside: %s", name, reason)
		case reason == "":
			t.Errorf("%s: %v", name, err)
		case testing.Verbose():
			t.Logf("%s: %s: %v", name, reason, err)
		}
	}
	for _, list := range outside {
		for _, pattern := range strings.Fields(list.names) {
			if !used[pattern] {
				t.Errorf("there is no test %s", pattern)
			}
		}
	}
	if passed == 0 {
		t.Errorf("no test in %s passed", folder)
	}
	t.Logf("%d of ONNX's %d tests passed, the others are outside of what is supported", passed, len(models))
}

// outsideReason returns why a test is outside, and the pattern that says so.
func outsideReason(name string) (reason, pattern string) {
	for _, list := range outside {
		for _, pattern := range strings.Fields(list.names) {
			if ok, err := path.Match(pattern, name); err == nil && ok {
				return list.reason, pattern
			}
		}
	}
	return "", ""
}

// nodeTest runs a test: a folder with a model, its input and its outputs.
func nodeTest(t *testing.T, folder string) error {
	m, w, err := onnx.Open(filepath.Join(folder, "model.onnx"))
	if err != nil {
		return err
	}
	input, err := tensor.ReadNPYFile(filepath.Join(folder, "input.npy"))
	if err != nil {
		t.Fatal(err)
	}
	outputs, err := filepath.Glob(filepath.Join(folder, "output*.npy"))
	if err != nil || len(outputs) == 0 {
		t.Fatalf("%s: no outputs: %v", folder, err)
	}
	var want []caseOutput
	for _, file := range outputs {
		x, err := tensor.ReadNPYFile(file)
		if err != nil {
			t.Fatal(err)
		}
		want = append(want, caseOutput{x.Dims, x.Data})
	}
	// ONNX's own runner allows a relative error of 1e-3.
	return runFile(m, w, input, want, 1e-5)
}
