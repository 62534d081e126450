package recording

import "testing"

func TestCommandLine(t *testing.T) {
	t.Setenv("X_MODEL", "file.onnx")
	t.Setenv("FIREBENCH_ISA", "avx2")
	t.Setenv("GODEBUG", "cpu.fma=off\nx")
	got := commandLine("./bench/run", []string{"-net", "squeezenet1.0,alexnet", "-out", "my folder"}, []string{"X_MODEL", "X_UNSET"})
	want := `X_MODEL=file.onnx FIREBENCH_ISA=avx2 GODEBUG="cpu.fma=off\nx" go run ./bench/run -net squeezenet1.0,alexnet -out "my folder"`
	if got != want {
		t.Errorf("%s, expected %s", got, want)
	}
}
