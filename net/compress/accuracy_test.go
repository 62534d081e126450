package compress

import (
	"encoding/json"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"firebench/kernels"
	"firebench/kernels/kerneltest"
	"firebench/net/files"
	"firebench/net/graph"
	"firebench/net/models"
	"firebench/net/preprocess"
	"firebench/net/weights"
)

func TestScratch(t *testing.T) {
	m, _ := models.Lookup("squeezenet1.0")
	w, err := weights.Open(kerneltest.Shared(t, "weights/compressed_SqueezeNet.net"))
	if err != nil {
		t.Fatal(err)
	}
	var expected []struct {
		File  string
		Label int
		F32   [][2]float64 `json:"squeezenet1.0"`
		QDQ   [2]float64   `json:"squeezenet1.0_qdq"`
	}
	file, _ := os.ReadFile(kerneltest.Shared(t, "calibration/expected.json"))
	if err := json.Unmarshal(file, &expected); err != nil {
		t.Fatal(err)
	}
	p, _ := preprocess.Lookup("caffe-bgr-227")
	start := time.Now()
	views := make([]kernels.View, len(expected))
	load := func(i int) {
		f, err := files.Open(filepath.Join(kerneltest.Shared(t, "calibration"), expected[i].File), 1<<30)
		if err != nil {
			t.Error(err)
			return
		}
		defer f.Close()
		views[i] = kernels.NewView(kernels.Type{}, 1, 227, 227, 3, 0)
		if err := p.Read(views[i], f); err != nil {
			t.Error(err)
		}
	}
	for range preprocess.Ahead(t.Context(), len(expected), 8, load) {
	}
	t.Log("loaded", time.Since(start))
	images := func(yield func(kernels.View, error) bool) {
		for _, v := range views {
			if !yield(v, nil) {
				return
			}
		}
	}
	start = time.Now()
	ob, err := observe(m, w, true, images, graph.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Log("observed", time.Since(start))
	run := func(what string, m *graph.Model, w graph.Weights) (top []int) {
		start := time.Now()
		plan, err := graph.Compile(m, w, graph.Options{})
		if err != nil {
			t.Fatal(err)
		}
		defer plan.Close()
		right, agree, qdq := 0, 0, 0
		for i, v := range views {
			in := plan.Input()
			for y := range in.H {
				for x := range in.W {
					copy(kernels.Pixel[float32](in, 0, y, x), kernels.Pixel[float32](v, 0, y, x))
				}
			}
			if err := plan.Run(); err != nil {
				t.Fatal(err)
			}
			c := preprocess.TopK(kernels.Pixel[float32](plan.Output(), 0, 0, 0), 1)[0]
			top = append(top, c)
			if c == expected[i].Label {
				right++
			}
			if c == int(expected[i].F32[0][0]) {
				agree++
			}
			if c == int(expected[i].QDQ[0]) {
				qdq++
			}
		}
		t.Logf("%s: right %d agree %d qdq %d; arena %d weights %d steps %d; %v", what, right, agree, qdq, plan.ArenaBytes(), plan.WeightBytes(), len(plan.Steps()), time.Since(start))
		return top
	}
	run("f32", m, w)
	for _, method := range Methods() {
		start := time.Now()
		c := ob.calibration(method)
		t.Log(method, time.Since(start))
		for _, v := range c.Values {
			if v.Name == "input" || v.Name == "conv1" || v.Name == "fire2.squeeze1x1" || v.Name == "fire2.concat" || v.Name == "conv10" || v.Name == "pool10" {
				t.Log(v)
			}
		}
		for _, bits := range []int{8, 7} {
			qm, qw, err := Quantize(c, Options{WeightBits: bits}).Apply(m, w)
			if err != nil {
				t.Fatal(err)
			}
			run(method.String(), qm, qw)
		}
	}
	_ = runtime.NumCPU
}
