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
		{"-isa mmx a.jpg", `unknown instruction set "mmx"`},
		{"-algo fft a.jpg", kernels.CheckAlgorithm("fft").Error()},
		{"-algo= a.jpg", `unknown algorithm ""`},
		{"-isa " + unusable + " a.jpg", unusable + " is not usable here, expected one of scalar"},
		{"-logits out.npy a.jpg b.jpg", "out.npy: expected a single INPUT, not 2"},
		{"-logits a.jpg b.jpg", "-logits a.jpg: expected a name that ends in .npy"},
		{"-logits npy b.jpg", "-logits npy: expected a name that ends in .npy"},
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
	parts := []string{"INPUT...", "-model", "-weights", "-isa", "-algo", "-threads", "-top", "-json", "-logits", "auto", "direct", "winograd"}
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
