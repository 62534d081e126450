package compression

import (
	"os"
	"path/filepath"
	"testing"

	"firebench/kernels"
	"firebench/kernels/kerneltest"
	"firebench/net/evaluate"
	"firebench/net/files"
	"firebench/net/graph"
	"firebench/net/preprocess"
)

// TestAccuracy calibrates with 199 photographs, by all methods, and counts how often the quantized
// network agrees with the float32 one, and how often it is right. By other engines, with exact
// arithmetic and ranges from the smallest to the largest number, that is 185 and 134 times; a few
// photographs lie on the edge.
func TestAccuracy(t *testing.T) {
	best, err := kernels.Best()
	if err != nil {
		t.Fatal(err)
	}
	if testing.Short() || best == kernels.Scalar || os.Getenv("FIREBENCH_ISA") != "" {
		t.Skip("it runs the network a thousand times, and all instruction sets give the same bits")
	}
	m, w := published(t)
	plan := compile(t, m, w, graph.Options{})
	pictures, err := filepath.Glob(filepath.Join(kerneltest.Shared(t, "calibration"), "*.JPEG"))
	if err != nil || len(pictures) != 199 {
		t.Fatalf("%d photographs, error %v", len(pictures), err)
	}
	p, err := preprocess.Lookup(plan.Model().Preprocessor)
	if err != nil {
		t.Fatal(err)
	}
	images := make([]kernels.View, len(pictures))
	for range preprocess.Ahead(t.Context(), len(images), 8, func(i int) {
		images[i] = image(m.Input)
		f, err := files.Open(pictures[i], 1<<20)
		if err != nil {
			t.Error(err)
			return
		}
		defer f.Close()
		if err := p.Read(images[i], f); err != nil {
			t.Errorf("%s: %v", pictures[i], err)
		}
	}) {
	}
	seen, err := observe(m, w, true, each(images...), graph.Options{})
	if err != nil {
		t.Fatal(err)
	}
	plans := []*graph.Plan{plan}
	for _, method := range Methods() {
		q, qw := quantizeModel(t, seen.calibration(method), Options{}, m, w)
		plans = append(plans, compile(t, q, qw, graph.Options{}))
	}
	e, err := evaluate.New(plans...)
	if err != nil {
		t.Fatal(err)
	}
	for i, x := range images {
		if err := e.Add(x, evaluate.Label(pictures[i])); err != nil {
			t.Fatal(err)
		}
	}
	scores := e.Scores() // the first is float32's, as no method is 0
	for _, method := range Methods() {
		agreement, right := scores[method].Agreement.Count, scores[method].Top1.Count
		t.Logf("%v: agreement %d, right %d, largest difference of logits %.2f", method, agreement, right, scores[method].Difference)
		if agreement < 182 || right < 131 {
			t.Errorf("%v: agreement %d and right %d, want at least 182 and 131", method, agreement, right)
		}
		if agreement < scores[MinMax].Agreement.Count {
			t.Errorf("%v: agreement %d, and %d without clipping", method, agreement, scores[MinMax].Agreement.Count)
		}
		if agreement > scores[Default].Agreement.Count {
			t.Errorf("%v is the default, and agrees in %d, while %v does in %d", Default, scores[Default].Agreement.Count, method, agreement)
		}
	}
}
