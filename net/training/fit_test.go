package training

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"image"
	"image/png"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"firebench/net/dataset"
	"firebench/net/graph"
	"firebench/net/layer"
	"firebench/net/preprocess"
)

// pictures makes a data set of two classes, with five pictures each to learn from and two for validation.
func pictures(t *testing.T) *dataset.Dataset {
	t.Helper()
	dir := t.TempDir()
	for class, name := range []string{"dark", "light"} {
		for i := range 7 {
			img := image.NewGray(image.Rect(0, 0, 32, 32))
			for p := range img.Pix {
				img.Pix[p] = uint8(100*class + (p*7+i*13)%90)
			}
			split := "train"
			if i >= 5 {
				split = "val"
			}
			path := filepath.Join(dir, split, name, fmt.Sprintf("%d.png", i))
			if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
				t.Fatal(err)
			}
			var b bytes.Buffer
			if err := png.Encode(&b, img); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, b.Bytes(), 0o666); err != nil {
				t.Fatal(err)
			}
		}
	}
	p, err := preprocess.Lookup("cifar-rgb-32")
	if err != nil {
		t.Fatal(err)
	}
	d, err := dataset.Open(dir, dataset.Options{Preprocessor: p})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	return d
}

// fit trains a small network with options.
func fit(ctx context.Context, data *dataset.Dataset, dir string, o FitOptions) (*Fitted, error) {
	m := &graph.Model{Name: "small", Input: layer.Shape{H: 32, W: 32, C: 3}, Preprocessor: "cifar-rgb-32", Classes: data.Classes, Nodes: []graph.Node{
		{Name: "conv1", Layer: layer.Conv{Out: 8, Kernel: 3, Stride: 3}},
		{Name: "relu1", Layer: layer.ReLU{}},
		{Name: "drop", Layer: layer.Dropout{Rate: 0.5}},
		{Name: "conv2", Layer: layer.Conv{Out: 2, Kernel: 1}},
		{Name: "pool", Layer: layer.GlobalAvgPool{}},
		{Name: "prob", Layer: layer.Softmax{}},
	}}
	p, err := NewParams(m, initialized(3))
	if err != nil {
		return nil, err
	}
	o.Data, o.Dir = data, dir
	return Fit(ctx, p, o)
}

// small is a recipe of four steps of two batches, of the nine batches that are in three epochs of ten pictures.
func small() Recipe {
	r, _ := LookupRecipe("cifar")
	r.Epochs, r.Batch, r.Accumulate, r.Augment.Jitter = 3, 3, 2, 0.3
	return r
}

// filesOf returns the files of a run that have no times in them: of the log the columns before images per second.
func filesOf(t *testing.T, dir string) (all []string) {
	t.Helper()
	for _, name := range []string{ModelFile, CurvesFile, LogFile} {
		data, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		text := string(data)
		if name == LogFile {
			text = ""
			for line := range strings.Lines(string(data)) {
				text += line[:strings.LastIndex(line, ",")] + "\n"
			}
		}
		all = append(all, text)
	}
	return all
}

// TestKilled: a run goes on from every state that it leaves on the disk while it runs, and ends with the bits of one that was
// not stopped.
func TestKilled(t *testing.T) {
	data, whole := pictures(t), t.TempDir()
	states, steps := t.TempDir(), 0
	keep := func() {
		steps++
		if err := os.CopyFS(filepath.Join(states, fmt.Sprint(steps)), os.DirFS(whole)); err != nil {
			t.Fatal(err)
		}
	}
	o := FitOptions{Recipe: small(), Save: time.Nanosecond, Seed: 5, Progress: func(Progress) { keep() }, Row: func(Row) { keep() }}
	want, err := fit(t.Context(), data, whole, o)
	if err != nil {
		t.Fatal(err)
	}
	if n := len(want.Rows); n != 3 || want.Rows[n-1].Step != 4 || want.Rows[n-1].Epoch != 3 {
		t.Fatalf("rows %+v, expected three, the last of step 4 and epoch 3", want.Rows)
	}
	o.Progress, o.Row, o.Save = nil, nil, 0
	for i := range steps {
		dir := filepath.Join(states, fmt.Sprint(i+1))
		got, err := fit(t.Context(), data, dir, o)
		if err != nil {
			t.Fatalf("after state %d: %v", i, err)
		}
		if !slices.Equal(filesOf(t, dir), filesOf(t, whole)) {
			t.Errorf("after state %d the run ends with other files", i)
		}
		if got.Epoch != want.Epoch || got.Result != want.Result {
			t.Errorf("after state %d the best is %d, %+v, expected %d, %+v", i, got.Epoch, got.Result, want.Epoch, want.Result)
		}
	}
}

// TestStopped: a run that is stopped after any report of its progress goes on in the same way: between the batches
// of a step, and while it is evaluated.
func TestStopped(t *testing.T) {
	data, whole := pictures(t), t.TempDir()
	o := FitOptions{Recipe: small(), Seed: 5}
	reports, evaluating := 0, 0
	o.Progress = func(p Progress) {
		reports++
		if p.Evaluating {
			evaluating++
		}
	}
	if _, err := fit(t.Context(), data, whole, o); err != nil {
		t.Fatal(err)
	}
	if evaluating == 0 || evaluating == reports {
		t.Fatalf("%d of %d reports are of evaluations", evaluating, reports)
	}
	for stop := 1; stop <= reports; stop++ {
		dir := t.TempDir()
		ctx, cancel := context.WithCancel(t.Context())
		n := 0
		o.Progress = func(Progress) {
			if n++; n == stop {
				cancel()
			}
		}
		// The last report may come too late to stop anything.
		if _, err := fit(ctx, data, dir, o); !errors.Is(err, context.Canceled) && (err != nil || stop < reports) {
			t.Fatalf("stopped after report %d: %v", stop, err)
		}
		o.Progress = nil
		if _, err := fit(t.Context(), data, dir, o); err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(filesOf(t, dir), filesOf(t, whole)) {
			t.Errorf("stopped after report %d the run ends with other files", stop)
		}
	}
}

// TestWithin: a run that is stopped between the batches of a step makes the whole step again.
func TestWithin(t *testing.T) {
	data, whole, dir := pictures(t), t.TempDir(), t.TempDir()
	o := FitOptions{Recipe: small(), Seed: 5}
	if _, err := fit(t.Context(), data, whole, o); err != nil {
		t.Fatal(err)
	}
	// A context that ends when it is asked the fourth time: a loader asks once for each batch.
	ctx := &ending{Context: t.Context(), left: 4, done: make(chan struct{})}
	if _, err := fit(ctx, data, dir, o); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	if _, err := fit(t.Context(), data, dir, o); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(filesOf(t, dir), filesOf(t, whole)) {
		t.Error("the run ends with other files")
	}
}

type ending struct {
	context.Context
	left int
	done chan struct{}
}

func (e *ending) Done() <-chan struct{} { return e.done }

func (e *ending) Err() error {
	if e.left--; e.left > 0 {
		return nil
	}
	return context.Canceled
}

// TestEvery: only some epochs are followed by an evaluation, and the last one is.
func TestEvery(t *testing.T) {
	r := small()
	r.Epochs, r.Accumulate = 5, 1
	run, err := fit(t.Context(), pictures(t), t.TempDir(), FitOptions{Recipe: r, Every: 2})
	if err != nil {
		t.Fatal(err)
	}
	var tried []float64
	for _, row := range run.Rows {
		if row.ValLoss == row.ValLoss && row.ValAccuracy == row.ValAccuracy {
			tried = append(tried, row.Epoch)
		}
	}
	if len(run.Rows) != 5 || !slices.Equal(tried, []float64{2, 4, 5}) || !slices.Contains(tried, float64(run.Epoch)) {
		t.Errorf("of %d epochs %v were tried, and the best is %d", len(run.Rows), tried, run.Epoch)
	}
}

func TestReadRun(t *testing.T) {
	data, dir := pictures(t), t.TempDir()
	if _, err := ReadRun(dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no run: %v", err)
	}
	want, err := fit(t.Context(), data, dir, FitOptions{Recipe: small(), Frozen: func(node string) bool { return node == "conv1" }})
	if err != nil {
		t.Fatal(err)
	}
	got, err := ReadRun(dir)
	if err != nil {
		t.Fatal(err)
	}
	if got.Recipe != want.Recipe || got.Pictures != 10 || !slices.Equal(got.Frozen, []string{"conv1"}) || got.Epoch != want.Epoch || got.Result != want.Result || got.Time != want.Time || !slices.Equal(got.Rows, want.Rows) || !slices.Equal(weightsOf(got.Params), weightsOf(want.Params)) {
		t.Errorf("read %+v, expected %+v", got, want)
	}
	if err := os.Remove(filepath.Join(dir, ModelFile)); err != nil {
		t.Fatal(err)
	}
	if _, err := ReadRun(dir); err == nil || err.Error() != dir+": the run has not ended" {
		t.Errorf("a run without its model: %v", err)
	}
}

// TestRecipes: the recipes that have a name can be used, and the rate of each ends where it should.
func TestRecipes(t *testing.T) {
	for _, r := range Recipes {
		if err := r.Check(); err != nil {
			t.Errorf("%s: %v", r.Name, err)
		}
		s, err := r.schedule(1000)
		if err != nil {
			t.Fatal(err)
		}
		most := 0.0
		for i := range 1000 {
			most = max(most, s(i))
		}
		if !(most > 0.9*r.Rate && most <= r.Rate) || s(999) > r.Rate/500 {
			t.Errorf("%s: the highest rate is %v, expected %v, and the last %v", r.Name, most, r.Rate, s(999))
		}
	}
	if _, err := LookupRecipe("best"); err == nil {
		t.Error("there is a recipe called best")
	}
}
