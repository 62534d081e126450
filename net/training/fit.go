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
	Params   *Params // the best
	Epoch    int     // after which they were the best, from 1 on
	Accuracy float64 // on the pictures for validation
	Result   Result  // on them
	Rows     []Row
	Time     time.Duration // of all epochs, evaluations included
}

// A runState is what a checkpoint knows of its run, besides what the trainer knows.
type runState struct {
	Recipe   Recipe        `json:"recipe"`
	Pictures int           `json:"pictures"` // to train on
	Epoch    Result        `json:"epoch"`    // what the batches of the epoch gave until now
	Best     bestEpoch     `json:"best"`
	Elapsed  time.Duration `json:"elapsed"` // ns
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
	f.state.Recipe, f.state.Pictures = o.Recipe, o.Data.Train.Len()
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
	steps   int // of the whole run

	started  time.Time // when this part of the run began
	before   time.Duration
	saved    time.Time
	seen     int           // images of this part
	learning time.Duration // that it took to learn from them
}

func (f *fitting) path(name string) string { return filepath.Join(f.Dir, name) }

// open makes the trainer, from p or the checkpoint in the folder, and opens the log.
func (f *fitting) open(p *Params) error {
	perEpoch := max(1, f.train.Steps()/f.Recipe.Accumulate)
	f.steps = f.Recipe.Epochs * f.train.Steps() / f.Recipe.Accumulate
	if f.steps < 1 {
		return fmt.Errorf("training: %d epochs of %d batches are less than a step of %d batches", f.Recipe.Epochs, f.train.Steps(), f.Recipe.Accumulate)
	}
	rate, err := f.Recipe.schedule(perEpoch)
	if err != nil {
		return err
	}
	at, err := Head(p.model)
	if err != nil {
		return err
	}
	head := p.model.Nodes[at].Name
	o := Options{
		Set: f.Set, Algo: f.Algo, Threads: f.Threads,
		Batch: f.Recipe.Batch, Accumulate: f.Recipe.Accumulate, SGD: f.Recipe.SGD, Rate: rate,
		Factor: func(node string) float64 {
			switch {
			case f.Frozen != nil && f.Frozen(node):
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
		if err := p.Mask(f.Mask); err != nil {
			return err
		}
		f.trainer, err = NewTrainer(p, o)
	case err == nil:
		err = f.resume(c, o)
	}
	if err != nil {
		return err
	}
	if f.log, err = OpenLog(f.path(LogFile), f.trainer.Steps()); err != nil {
		f.trainer.Close()
	}
	return err
}

// resume makes the trainer from a checkpoint.
func (f *fitting) resume(c *Checkpoint, o Options) error {
	var s runState
	path := f.path(LastFile)
	if err := json.Unmarshal(c.Run, &s); err != nil {
		return fmt.Errorf("%s: state of the run: %w", path, err)
	}
	if s.Recipe != f.state.Recipe {
		return fmt.Errorf("%s: the run has %s; go on with the same options, or train in another folder", path, difference(s.Recipe, f.state.Recipe))
	}
	if s.Pictures != f.state.Pictures {
		return fmt.Errorf("%s: the run has %d pictures to train on, expected %d", path, s.Pictures, f.state.Pictures)
	}
	var err error
	if f.trainer, err = Resume(c, o); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	f.state, f.before = s, s.Elapsed
	return nil
}

// difference says in which field two recipes differ.
func difference(found, expected Recipe) string {
	a, b := reflect.ValueOf(found), reflect.ValueOf(expected)
	for i := range a.NumField() {
		if x, y := a.Field(i).Interface(), b.Field(i).Interface(); x != y {
			return fmt.Sprintf("%s %+v, expected %+v", a.Type().Field(i).Name, x, y)
		}
	}
	return "the same recipe"
}

// run makes the steps that are left.
func (f *fitting) run(ctx context.Context) error {
	f.started, f.saved = time.Now(), time.Now()
	batch := f.trainer.Steps() * f.Recipe.Accumulate
	if err := f.train.Seek(batch/f.train.Steps(), batch%f.train.Steps()); err != nil {
		return err
	}
	for f.trainer.Steps() < f.steps {
		start := time.Now()
		for range f.Recipe.Accumulate {
			b, err := f.train.Next(ctx)
			if err != nil {
				return f.stop(ctx, err)
			}
			f.skip(b)
			r, err := f.trainer.Step(Batch{kernels.Data[float32](b.Input), b.Labels})
			if err != nil {
				return err
			}
			f.state.Epoch.Add(r)
			f.seen += r.Images
		}
		f.learning += time.Since(start)
		f.tell(false)
		batches := f.trainer.Steps() * f.Recipe.Accumulate
		if epoch := batches / f.train.Steps(); epoch > (batches-f.Recipe.Accumulate)/f.train.Steps() {
			if err := f.endEpoch(ctx, epoch); err != nil {
				return f.stop(ctx, err)
			}
		} else if time.Since(f.saved) > f.Save {
			if err := f.save(LastFile); err != nil {
				return err
			}
		}
		if ctx.Err() != nil {
			return f.stop(ctx, ctx.Err())
		}
	}
	return nil
}

// stop writes a checkpoint if err is ctx's, and returns err. A step of which some batches have been seen is made again.
func (f *fitting) stop(ctx context.Context, err error) error {
	if ctx.Err() == nil || !errors.Is(err, ctx.Err()) {
		return err
	}
	if f.trainer.batches > 0 {
		return err // the last checkpoint is at most Save old
	}
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
	batches := f.trainer.Steps() * f.Recipe.Accumulate
	p := Progress{
		Epoch: min((batches-1)/f.train.Steps()+1, f.Recipe.Epochs), Epochs: f.Recipe.Epochs,
		Step: f.trainer.Steps(), Steps: f.steps,
		Result: f.state.Epoch, Evaluating: evaluating,
	}
	if f.learning > 0 {
		p.Speed = float64(f.seen) / f.learning.Seconds()
		made := f.seen / (f.Recipe.Batch * f.Recipe.Accumulate)
		if made > 0 {
			p.Left = time.Duration(float64(time.Since(f.started)) / float64(made) * float64(p.Steps-p.Step)).Round(time.Second)
		}
	}
	f.Progress(p)
}

// endEpoch tries the weights on the pictures for validation, and writes everything.
func (f *fitting) endEpoch(ctx context.Context, epoch int) error {
	val, err := f.trainer.Evaluate(f.batches(ctx, f.Data.Val))
	if err != nil {
		return err
	}
	row := Row{Step: f.trainer.Steps(), Epoch: float64(epoch), Rate: f.trainer.Rate(f.trainer.Steps() - 1), ValLoss: math.NaN(), ValAccuracy: math.NaN()}
	row.Loss, row.Accuracy = f.state.Epoch.Mean()
	if val.Images > 0 {
		row.ValLoss, row.ValAccuracy = val.Mean()
	}
	if f.learning > 0 {
		row.ImagesSecond = float64(f.seen) / f.learning.Seconds()
	}
	f.state.Epoch = Result{}
	if f.state.Best.Epoch == 0 || val.Correct > f.state.Best.Result.Correct ||
		val.Correct == f.state.Best.Result.Correct && val.Loss < f.state.Best.Result.Loss {
		f.state.Best = bestEpoch{epoch, val}
		if err := f.save(BestFile); err != nil {
			return err
		}
	}
	if err := f.save(LastFile); err != nil {
		return err
	}
	if err := f.log.Add(row); err != nil {
		return err
	}
	if err := f.draw(); err != nil {
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

// finish reads the best weights again and writes the network with them.
func (f *fitting) finish() (*Fitted, error) {
	c, err := ReadCheckpoint(f.path(BestFile), f.trainer.Params().Model())
	if err != nil {
		return nil, err
	}
	if err := writeModel(f.path(ModelFile), c.Params); err != nil {
		return nil, err
	}
	rows, err := ReadLog(f.path(LogFile))
	if err != nil {
		return nil, err
	}
	r := &Fitted{Params: c.Params, Epoch: f.state.Best.Epoch, Result: f.state.Best.Result, Rows: rows, Time: f.before + time.Since(f.started)}
	if r.Result.Images > 0 {
		_, r.Accuracy = r.Result.Mean()
	}
	return r, nil
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
