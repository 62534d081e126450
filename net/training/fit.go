package training

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"time"

	"firebench/kernels"
	"firebench/net/chart"
	"firebench/net/dataset"
	"firebench/net/files"
	"firebench/net/onnx"
)

// The files of a run, in its folder.
const (
	LastFile   = "last.safetensors" // the checkpoint from which the run goes on
	BestFile   = "best.safetensors" // the one with the best accuracy
	LogFile    = "log.csv"
	CurvesFile = "curves.svg"
	ModelFile  = "model.onnx" // the network with the best weights
)

// FitOptions say where and on what a network is trained.
type FitOptions struct {
	Recipe Recipe
	Data   *dataset.Dataset
	Dir    string // for the files of the run; it is made
	Seed   uint64

	Set     *kernels.Set // nil: the best of the machine
	Algo    string
	Threads int // 0: GOMAXPROCS

	Frozen func(node string) bool // nil: no layer is
	Mask   map[string][]bool      // see Params.Mask; nil: none. A checkpoint has its own

	// Save is how often a checkpoint is written between the ends of epochs; 0 is 5 minutes.
	Save time.Duration

	// What happens is told to these functions, if they are not nil.
	Progress func(Progress)      // after each step and each batch of an evaluation
	Row      func(Row)           // after each epoch
	Skipped  func(picture error) // for each picture that cannot be read, once
}

// Progress is how far a run is.
type Progress struct {
	Epoch, Epochs int // the epoch from 1 on, and all
	Step, Steps   int // those that have been made, and all
	Result            // since the epoch began
	Speed         float64
	Left          time.Duration // until the run ends, as far as its speed tells; 0 if it does not yet
	Evaluating    bool
}

// A Fitted is a trained network.
type Fitted struct {
	Recipe   Recipe
	Pictures int      // that it was trained on
	Frozen   []string // the layers that stayed as they were
	Params   *Params  // the best
	Epoch    int      // after which they were the best, from 1 on
	Accuracy float64  // on the pictures for validation
	Result   Result   // on them
	Rows     []Row
	Time     time.Duration // of all epochs, evaluations included
}

// A runState is what a checkpoint knows of its run, besides what the trainer knows. The fields of setup are the same
// for all of it.
type runState struct {
	setup
	Ended   int           `json:"ended"` // epochs after which the weights have been tried
	Epoch   Result        `json:"epoch"` // what the steps since then gave
	Best    bestEpoch     `json:"best"`
	Elapsed time.Duration `json:"elapsed"` // ns
}

// A setup is what a run is of.
type setup struct {
	Recipe   Recipe   `json:"recipe"`
	Classes  []string `json:"classes"`
	Pictures int      `json:"pictures"` // to train on
	Val      int      `json:"val"`      // pictures for validation
	Frozen   []string `json:"frozen"`   // layers
	Steps    int      `json:"steps"`    // of the whole run
}

// A bestEpoch says after which epoch the weights were the best.
type bestEpoch struct {
	Epoch  int    `json:"epoch"` // from 1 on; 0 for none
	Result Result `json:"result"`
}

// Fit trains p, the weights of a classifier, whose memory it takes, and writes the files of the run. If there is a checkpoint in
// the folder, Fit goes on from it instead: the result has the bits that a run without a stop has.
//
// When ctx ends, Fit writes a checkpoint and returns ctx's error.
func Fit(ctx context.Context, p *Params, o FitOptions) (*Fitted, error) {
	if err := o.Recipe.Check(); err != nil {
		return nil, fmt.Errorf("training: %w", err)
	}
	if err := os.MkdirAll(o.Dir, 0o777); err != nil {
		return nil, err
	}
	train, err := o.Data.Train.Loader(dataset.LoaderOptions{Batch: o.Recipe.Batch, Train: true, Augment: o.Recipe.Augment, Seed: o.Seed})
	if err != nil {
		return nil, err
	}
	defer train.Close()
	f := &fitting{FitOptions: o, train: train}
	f.Save = cmp.Or(f.Save, 5*time.Minute)
	f.state.setup = setup{
		Recipe: o.Recipe, Classes: o.Data.Classes, Pictures: o.Data.Train.Len(), Val: o.Data.Val.Len(),
		Steps: o.Recipe.Epochs * train.Steps() / o.Recipe.Accumulate,
	}
	if err := f.open(p); err != nil {
		return nil, err
	}
	defer f.trainer.Close()
	defer f.log.Close()
	if err := f.run(ctx); err != nil {
		return nil, err
	}
	return f.finish()
}

// A fitting is a run of Fit.
type fitting struct {
	FitOptions
	train   *dataset.Loader
	trainer *Trainer
	log     *Log
	state   runState

	started  time.Time // when this part of the run began
	first    int       // its first step
	before   time.Duration
	saved    time.Time
	seen     int           // images since the last end of an epoch
	learning time.Duration // that it took to learn from them
}

func (f *fitting) path(name string) string { return filepath.Join(f.Dir, name) }

// open makes the trainer, from p or the checkpoint in the folder, and opens the log.
func (f *fitting) open(p *Params) error {
	if f.state.Steps < 1 {
		return fmt.Errorf("training: %d epochs of %d batches are less than a step of %d batches", f.Recipe.Epochs, f.train.Steps(), f.Recipe.Accumulate)
	}
	rate, err := f.Recipe.schedule(f.state.Steps)
	if err != nil {
		return err
	}
	at, err := Head(p.model)
	if err != nil {
		return err
	}
	head := p.model.Nodes[at].Name
	if err := p.Mask(f.Mask); err != nil {
		return err
	}
	for _, v := range p.layers {
		if f.Frozen != nil && f.Frozen(v.Node) {
			f.state.Frozen = append(f.state.Frozen, v.Node)
		}
	}
	o := Options{
		Set: f.Set, Algo: f.Algo, Threads: f.Threads,
		Batch: f.Recipe.Batch, Accumulate: f.Recipe.Accumulate, SGD: f.Recipe.SGD, Rate: rate,
		Factor: func(node string) float64 {
			switch {
			case slices.Contains(f.state.Frozen, node):
				return 0
			case node == head:
				return f.Recipe.HeadFactor
			}
			return 1
		},
		LabelSmoothing: f.Recipe.LabelSmoothing, Seed: f.Seed,
	}
	c, err := ReadCheckpoint(f.path(LastFile), p.model)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		f.trainer, err = NewTrainer(p, o)
	case err == nil:
		err = f.resume(c, p, o)
	}
	if err != nil {
		return err
	}
	if f.log, err = OpenLog(f.path(LogFile), f.trainer.Steps()); err != nil {
		f.trainer.Close()
	}
	return err
}

// resume makes the trainer from a checkpoint, of a run that would have begun with p.
func (f *fitting) resume(c *Checkpoint, p *Params, o Options) error {
	path := f.path(LastFile)
	s, err := stateOf(c)
	if err != nil {
		return files.Error(path, err)
	}
	what, found, expected := s.setup.differs(f.state.setup)
	for i, v := range c.Params.layers {
		if a, b := v.tied(), p.layers[i].tied(); what == "" && a != b {
			what, found, expected = "weights of layer "+v.Node+" that", a, b
		}
	}
	if what != "" {
		return fmt.Errorf("%s: the run has %s %v, expected %v; go on with the same options, or train in another folder", path, what, found, expected)
	}
	if f.trainer, err = Resume(c, o); err != nil {
		return files.Error(path, err)
	}
	f.state, f.before = *s, s.Elapsed
	return nil
}

// stateOf returns the state of the run that a checkpoint is of.
func stateOf(c *Checkpoint) (*runState, error) {
	s := &runState{}
	if c.Run == nil {
		return nil, errors.New("checkpoint: it is not of such a run")
	}
	if err := json.Unmarshal(c.Run, s); err != nil {
		return nil, fmt.Errorf("checkpoint: state of the run: %w", err)
	}
	return s, nil
}

// tied says what the weights of a layer cannot do.
func (v *values) tied() string {
	switch {
	case v.codebook != nil:
		return "share values"
	case v.kept != nil:
		return "stay 0"
	}
	return "are free"
}

// differs says in what s differs from the setup that is expected; "" is nothing.
func (s setup) differs(expected setup) (what string, found, other any) {
	if s.Recipe != expected.Recipe {
		return difference(s.Recipe, expected.Recipe)
	}
	switch {
	case !slices.Equal(s.Classes, expected.Classes):
		return "the classes", s.Classes, expected.Classes
	case s.Pictures != expected.Pictures:
		return "pictures to train on:", s.Pictures, expected.Pictures
	case s.Val != expected.Val:
		return "pictures for validation:", s.Val, expected.Val
	case !slices.Equal(s.Frozen, expected.Frozen):
		return "the frozen layers", s.Frozen, expected.Frozen
	}
	return "", nil, nil
}

// difference returns the first field in which two recipes differ, in words of the flags and of the recipes.
func difference(found, expected Recipe) (what string, a, b any) {
	x, y := reflect.ValueOf(found), reflect.ValueOf(expected)
	for i := range x.NumField() {
		if a, b := x.Field(i).Interface(), y.Field(i).Interface(); a != b {
			return x.Type().Field(i).Tag.Get("json"), fmt.Sprintf("%+v", a), fmt.Sprintf("%+v", b)
		}
	}
	return "", nil, nil
}

// run makes the steps that are left.
func (f *fitting) run(ctx context.Context) error {
	f.started, f.saved, f.first = time.Now(), time.Now(), f.trainer.Steps()
	batch := f.trainer.Steps() * f.Recipe.Accumulate
	if err := f.train.Seek(batch/f.train.Steps(), batch%f.train.Steps()); err != nil {
		return err
	}
	for {
		// A run may have been stopped between the last step of an epoch and its end.
		if epoch := f.epochs(); epoch > f.state.Ended {
			if err := f.endEpoch(ctx, epoch); err != nil {
				return f.stop(ctx, err)
			}
		}
		if f.trainer.Steps() == f.state.Steps {
			return nil
		}
		if err := f.step(ctx); err != nil {
			return f.stop(ctx, err)
		}
		if time.Since(f.saved) > f.Save {
			if err := f.save(LastFile); err != nil {
				return err
			}
		}
	}
}

// epochs returns how many epochs are complete. The last one is without the batches that make no step.
func (f *fitting) epochs() int {
	if f.trainer.Steps() == f.state.Steps {
		return f.Recipe.Epochs
	}
	return f.trainer.Steps() * f.Recipe.Accumulate / f.train.Steps()
}

// step makes a step.
func (f *fitting) step(ctx context.Context) error {
	start := time.Now()
	var sum Result
	for range f.Recipe.Accumulate {
		b, err := f.train.Next(ctx)
		if err != nil {
			return err
		}
		f.skip(b)
		r, err := f.trainer.Step(Batch{kernels.Data[float32](b.Input), b.Labels})
		if err != nil {
			return err
		}
		sum.Add(r)
	}
	f.state.Epoch.Add(sum)
	f.seen += sum.Images
	f.learning += time.Since(start)
	f.tell(false)
	return nil
}

// stop writes a checkpoint if err is ctx's, and returns err. A step of which some batches have been seen will be made again.
func (f *fitting) stop(ctx context.Context, err error) error {
	if ctx.Err() == nil || !errors.Is(err, ctx.Err()) {
		return err
	}
	f.trainer.drop()
	if failed := f.save(LastFile); failed != nil {
		return failed
	}
	return err
}

// skip tells of the pictures of a batch that cannot be read.
func (f *fitting) skip(b *dataset.Batch) {
	for _, err := range b.Skipped {
		if f.Skipped != nil {
			f.Skipped(err)
		}
	}
}

// tell says how far the run is.
func (f *fitting) tell(evaluating bool) {
	if f.Progress == nil {
		return
	}
	p := Progress{
		Epoch: min(f.state.Ended+1, f.Recipe.Epochs), Epochs: f.Recipe.Epochs,
		Step: f.trainer.Steps(), Steps: f.state.Steps,
		Result: f.state.Epoch, Evaluating: evaluating,
	}
	if f.learning > 0 {
		p.Speed = float64(f.seen) / f.learning.Seconds()
	}
	if made := p.Step - f.first; made > 0 {
		p.Left = time.Duration(float64(time.Since(f.started)) / float64(made) * float64(p.Steps-p.Step)).Round(time.Second)
	}
	f.Progress(p)
}

// endEpoch tries the weights on the pictures for validation, and writes everything. The checkpoint comes last: a run that is
// killed before makes the end of the epoch again.
func (f *fitting) endEpoch(ctx context.Context, epoch int) error {
	val, err := f.trainer.Evaluate(f.batches(ctx, f.Data.Val))
	if err != nil {
		return err
	}
	if val.Images == 0 {
		return errors.New("training: no picture for validation can be read")
	}
	row := Row{Step: f.trainer.Steps(), Epoch: float64(epoch), Rate: f.trainer.Rate(f.trainer.Steps() - 1)}
	row.Loss, row.Accuracy = f.state.Epoch.Mean()
	row.ValLoss, row.ValAccuracy = val.Mean()
	row.ImagesSecond = math.NaN() // of a part of a run that made no step
	if f.learning > 0 {
		row.ImagesSecond = float64(f.seen) / f.learning.Seconds()
	}
	if err := f.log.Add(row); err != nil {
		return err
	}
	if err := f.draw(); err != nil {
		return err
	}
	f.state.Ended, f.state.Epoch = epoch, Result{}
	f.seen, f.learning = 0, 0
	if best := &f.state.Best; best.Epoch == 0 || val.Correct > best.Result.Correct ||
		val.Correct == best.Result.Correct && val.Loss < best.Result.Loss {
		*best = bestEpoch{epoch, val}
		if err := f.save(BestFile); err != nil {
			return err
		}
	}
	if err := f.save(LastFile); err != nil {
		return err
	}
	if f.Row != nil {
		f.Row(row)
	}
	return nil
}

// batches yields all pictures of a split.
func (f *fitting) batches(ctx context.Context, s *dataset.Split) iter.Seq2[Batch, error] {
	return func(yield func(Batch, error) bool) {
		l, err := s.Loader(dataset.LoaderOptions{Batch: f.Recipe.Batch})
		if err != nil {
			yield(Batch{}, err)
			return
		}
		defer l.Close()
		for {
			b, err := l.Next(ctx)
			if errors.Is(err, io.EOF) {
				return
			}
			if err != nil {
				yield(Batch{}, err)
				return
			}
			f.skip(b)
			f.tell(true)
			if n := len(b.Labels); n > 0 && !yield(Batch{kernels.Data[float32](b.Input)[:n*b.Input.Batch], b.Labels}, nil) {
				return
			}
		}
	}
}

// save writes a checkpoint.
func (f *fitting) save(name string) error {
	f.saved = time.Now()
	f.state.Elapsed = f.before + time.Since(f.started)
	run, err := json.Marshal(f.state)
	if err != nil {
		return err
	}
	c, err := f.trainer.Checkpoint(run)
	if err != nil {
		return err
	}
	return c.Write(f.path(name))
}

// draw draws the curves of the log.
func (f *fitting) draw() error {
	rows, err := ReadLog(f.path(LogFile))
	if err != nil {
		return err
	}
	var b bytes.Buffer
	if err := WriteCurves(&b, f.trainer.Params().Model().Name, rows); err != nil {
		return err
	}
	return files.Write(f.path(CurvesFile), b.Bytes())
}

// WriteCurves draws the loss and the accuracy over the epochs, as SVG.
func WriteCurves(w io.Writer, title string, rows []Row) error {
	var epochs, loss, valLoss, accuracy, valAccuracy []float64
	for _, r := range rows {
		epochs = append(epochs, r.Epoch)
		loss, valLoss = append(loss, r.Loss), append(valLoss, r.ValLoss)
		accuracy, valAccuracy = append(accuracy, 100*r.Accuracy), append(valAccuracy, 100*r.ValAccuracy)
	}
	x := chart.Axis{Name: "epoch"}
	return chart.Write(w, title, chart.Layout{},
		chart.Chart{Title: "Loss", X: x, Series: []chart.Series{{Name: "training", X: epochs, Y: loss}, {Name: "validation", X: epochs, Y: valLoss}}},
		chart.Chart{Title: "Accuracy, %", X: x, Series: []chart.Series{{Name: "training", X: epochs, Y: accuracy}, {Name: "validation", X: epochs, Y: valAccuracy}}},
	)
}

// finish writes the network with the best weights.
func (f *fitting) finish() (*Fitted, error) {
	m := f.trainer.Params().Model()
	c, err := ReadCheckpoint(f.path(BestFile), m)
	if err != nil {
		return nil, err
	}
	if err := writeModel(f.path(ModelFile), c.Params); err != nil {
		return nil, err
	}
	return f.state.fitted(f.Dir, c.Params)
}

// fitted returns the result of the run in a folder, with its best weights.
func (s *runState) fitted(dir string, best *Params) (*Fitted, error) {
	rows, err := ReadLog(filepath.Join(dir, LogFile))
	if err != nil {
		return nil, err
	}
	r := &Fitted{
		Recipe: s.Recipe, Pictures: s.Pictures, Frozen: s.Frozen, Params: best,
		Epoch: s.Best.Epoch, Result: s.Best.Result, Rows: rows, Time: s.Elapsed,
	}
	_, r.Accuracy = r.Result.Mean()
	return r, nil
}

// ReadRun returns what [Fit] returned for the run in a folder. It is an error if the run has not come to its end.
func ReadRun(dir string) (*Fitted, error) {
	path := filepath.Join(dir, LastFile)
	m, _, err := onnx.Open(filepath.Join(dir, ModelFile))
	if errors.Is(err, fs.ErrNotExist) {
		if _, err := os.Stat(path); err == nil {
			return nil, fmt.Errorf("%s: the run has not ended", dir)
		}
	}
	if err != nil {
		return nil, err
	}
	last, err := ReadCheckpoint(path, m)
	if err != nil {
		return nil, err
	}
	s, err := stateOf(last)
	if err != nil {
		return nil, files.Error(path, err)
	}
	if last.Step < s.Steps {
		return nil, fmt.Errorf("%s: the run has not ended, it has made %d of %d steps", dir, last.Step, s.Steps)
	}
	best, err := ReadCheckpoint(filepath.Join(dir, BestFile), m)
	if err != nil {
		return nil, err
	}
	return s.fitted(dir, best.Params)
}

// writeModel writes a network with its weights as ONNX.
func writeModel(path string, p *Params) error {
	f, err := files.Create(path)
	if err != nil {
		return err
	}
	defer f.Discard()
	if err := onnx.Write(f, p.model, p); err != nil {
		return err
	}
	return f.Commit()
}
