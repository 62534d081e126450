package main

import (
	"fmt"
	"runtime"
	"slices"
	"strings"
	"testing"

	"firebench/kernels"
)

func TestUsage(t *testing.T) {
	unusable := "neon"
	if isas, _ := kernels.Supported(); slices.Contains(isas, kernels.NEON) {
		unusable = "avx2"
	}
	for _, test := range []struct {
		args string
		want string
	}{
		{"", "no INPUT"},
		{"-json", "no INPUT"},
		{"-colour a.jpg", "-colour"},
		{"-top 0 a.jpg", "-top 0: expected 1 to 1000"},
		{"-top 1001 a.jpg", "-top 1001: expected 1 to 1000"},
		{"-top many a.jpg", `"many"`},
		{"-top", "-top"},
		{"-threads -1 a.jpg", fmt.Sprintf("-threads -1: expected 0 to %d, 4 per processor", 4*runtime.NumCPU())},
		{fmt.Sprintf("-threads %d a.jpg", 4*runtime.NumCPU()+1), fmt.Sprintf("expected 0 to %d, 4 per processor", 4*runtime.NumCPU())},
		{"-threads 1000000000 a.jpg", "-threads 1000000000"},
		{"-model vgg16 a.jpg", `unknown model "vgg16", expected one of squeezenet1.0`},
		{"-model vgg16 a.jpg", "squeezenet-cifar, or a FILE.onnx"},
		{"-preprocessor bgr a.jpg", `unknown preprocessor "bgr", expected one of caffe-bgr-227, caffe-bgr-224, torchvision-rgb-224`},
		{"-isa mmx a.jpg", `unknown instruction set "mmx"`},
		{"-algo fft a.jpg", kernels.CheckAlgorithm("fft").Error()},
		{"-algo= a.jpg", `unknown algorithm ""`},
		{"-isa " + unusable + " a.jpg", unusable + " is not usable here, expected one of scalar"},
		{"-logits out.npy a.jpg b.jpg", "out.npy: expected a single INPUT, not 2"},
		{"-logits a.jpg b.jpg", "-logits a.jpg: expected a name that ends in .npy"},
		{"-logits npy b.jpg", "-logits npy: expected a name that ends in .npy"},
		{"-type f16 a.jpg", `"f16" for flag -type: expected f32 or int8`},
		{"-type int8 a.jpg", "-type int8 without -calibrate"},
		{"-calibrate photos a.jpg", "-calibrate without -type int8"},
		{"-type f32 -calibrate photos a.jpg", "-calibrate without -type int8"},
		{"-method kl a.jpg", "-method without -type int8"},
		{"-save s.json a.jpg", "-save without -type int8"},
		{"-keep conv1 a.jpg", "-keep without -type int8"},
		{"-weight-bits 8 a.jpg", "-weight-bits without -type int8"},
		{"-type int8 -calibrate photos -method best a.jpg", `unknown method "best", expected minmax, percentile or kl`},
		{"-type int8 -calibrate photos -save s.txt a.jpg", "-save s.txt: expected a name that ends in .json"},
		{"-type int8 -calibrate photos -keep conv1,,conv10 a.jpg", "expected names with commas between them"},
		{"-type int8 -calibrate photos -weight-bits 4 a.jpg", "-weight-bits 4: expected 8 or 7"},
		{"-type int8 -calibrate s.json -method kl a.jpg", "-method with -calibrate s.json"},
		{"-type int8 -calibrate s.json -save t.json a.jpg", "-save with -calibrate s.json"},
		{"-weights-type bf16 a.jpg", `unknown type of weights "bf16", expected one of f32, f16, i8`},
		{"-weights-type i8 -type int8 -calibrate photos a.jpg", "-weights-type i8 with -type int8"},
		{"a.jpg -json", "-json after the first INPUT"},
		{"- -json", "-json after the first INPUT"},
		{"- a.jpg -", "- twice: standard input can be read once"},
	} {
		t.Run(test.args, func(t *testing.T) {
			status, stdout, stderr := command(strings.Fields(test.args)...)
			if status != 2 || stdout != "" {
				t.Errorf("status %d, output %q, expected status 2", status, stdout)
			}
			checkLine(t, stderr, test.want)
		})
	}
	t.Run("environment", func(t *testing.T) {
		t.Setenv("FIREBENCH_ISA", "mmx")
		status, _, stderr := command("a.jpg")
		if status != 2 {
			t.Errorf("status %d, expected 2", status)
		}
		checkLine(t, stderr, "FIREBENCH_ISA", `"mmx"`)
	})
}

func TestHelp(t *testing.T) {
	status, stdout, stderr := command("-help")
	if status != 0 || stderr != "" {
		t.Errorf("status %d, standard error %q", status, stderr)
	}
	parts := []string{"INPUT...", "-model", "-weights", "-preprocessor", "torchvision-rgb-224", "-isa", "-algo", "-threads", "-weights-type", "-type", "-calibrate", "-method", "-save", "-keep", "-weight-bits", "-top", "-json", "-logits", "auto", "direct", "winograd"}
	isas, err := kernels.Supported()
	if err != nil {
		t.Fatal(err)
	}
	for _, isa := range isas {
		parts = append(parts, isa.String())
	}
	for _, part := range parts {
		if !strings.Contains(stdout, part) {
			t.Errorf("the help does not mention %s", part)
		}
	}
}
