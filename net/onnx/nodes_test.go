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
var outside = []struct{ reason, names string }{
	{"images have one or three dimensions", `
		test_averagepool_1d_default test_averagepool_3d_* test_maxpool_1d_default test_maxpool_3d_*
		test_pytorch_AvgPool1d* test_pytorch_AvgPool3d* test_pytorch_BatchNorm1d_3d_input_eval test_pytorch_BatchNorm3d_*
		test_pytorch_Conv1d* test_pytorch_Conv3d* test_pytorch_MaxPool1d* test_pytorch_MaxPool3d* test_pytorch_operator_maxpool
		test_concat_3d_* test_matmul_3d test_matmul_4d test_matmul_4d_1d test_matmul_bcast`},
	{"the input has one dimension, or more than four", `
		test_clip_*inbounds test_clip_default_inbounds_expanded test_clip_example test_clip_min_greater_than_max
		test_clip_outbounds test_clip_splitbounds test_concat_1d_* test_dropout_default_old test_matmul_1d_* test_quantizelinear
		test_pytorch_operator_permute2 test_pytorch_operator_view`},
	{"the input has integers", `
		test_add_int8 test_add_uint8 test_clip_default_int8_* test_dequantizelinear* test_maxpool_2d_uint8 test_qlinearconv`},
	{"one input of an operator of several is made constant", `
		test_add test_add_bcast test_concat_2d_axis_1 test_concat_2d_axis_negative_1 test_pytorch_operator_concat2`},
	{"weights or biases are not constant, or no matrix and row", `
		test_gemm_all_attributes test_gemm_default_matrix_bias test_gemm_transposeA test_pytorch_operator_addmm`},
	{"dilations", `
		test_averagepool_2d_dilations test_maxpool_2d_dilations test_pytorch_Conv2d_dilated test_pytorch_MaxPool2d_stride_padding_dilation`},
	{"bounds that are not 0 and infinity", `test_clip test_clip_default_max test_pytorch_operator_clip`},
	{"an exponent that is not 0.75", `test_lrn`},
	{"more outputs than the first", `test_*_argmax_* test_dropout_default_mask*`},
	{"training", `test_batchnorm_*_training_mode test_training_dropout*`},
	{"images of a batch are mixed", `
		test_concat_2d_axis_0 test_concat_2d_axis_negative_2 test_flatten_axis2 test_flatten_axis3 test_flatten_negative_axis1
		test_flatten_negative_axis2 test_reshape_* test_softmax_axis_0 test_squeeze test_transpose_all_permutations_2
		test_transpose_all_permutations_3 test_transpose_all_permutations_4 test_transpose_all_permutations_5 test_transpose_default`},
	{"numbers change their places", `test_pytorch_PixelShuffle test_transpose_all_permutations_1`},
	{"a softmax of other numbers than one for each channel", `
		test_softmax_axis_1 test_softmax_axis_2 test_softmax_default_axis test_softmax_negative_axis test_pytorch_softmax_functional_dim3`},
	{"activations have several scales", `test_quantizelinear_axis test_quantizelinear_blocked_asymmetric`},
}

// rough are tests whose results have few digits.
var rough = map[string]string{
	"test_averagepool_2d_ceil_last_window_starts_on_pad": "they have four",
	"test_cast_FLOAT_to_FLOAT16":                         "they are rounded to float16",
	"test_castlike_FLOAT_to_FLOAT16_expanded":            "they are rounded to float16",
}

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
	within := 1e-5
	if rough[filepath.Base(folder)] != "" {
		within = 1e-3
	}
	return runFile(m, w, input, want, within)
}
