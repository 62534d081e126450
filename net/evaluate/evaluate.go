// Package evaluate measures how good networks are: how often they are right on labelled
// pictures, and how far one network, such as a quantized one, is from another.
package evaluate

import (
	"fmt"
	"math"
	"slices"
	"time"

	"firebench/kernels"
	"firebench/net/graph"
	"firebench/net/preprocess"
)

// A Score is how well a network did on some pictures. Of Top1 and Top5 the Total is the number of
// pictures with a label.
type Score struct {
	Top1, Top5 Share
	Agreement  Share   // how often the most probable class is the reference's
	Difference float64 // the largest |logit - reference's logit|
	Worst      int     // the picture that has it, counted from 0
	Speed      Speed   // of the network alone
}

// An Evaluation runs networks side by side on the same pictures.
type Evaluation struct {
	plans  []*graph.Plan
	scores []Score
	times  [][]time.Duration
}

// New returns an evaluation of plans of batch 1, with inputs of one shape and as many classes
// each. All are compared with the first of them, the reference.
func New(plans ...*graph.Plan) (*Evaluation, error) {
	shape := func(v kernels.View) [4]int { return [4]int{v.N, v.H, v.W, v.C} }
	for _, p := range plans {
		in, want := shape(p.Input()), shape(plans[0].Input())
		want[0] = 1
		if in != want {
			return nil, fmt.Errorf("evaluate: %s has an input of %v, expected %v", p.Model().Name, in, want)
		}
		if out, want := shape(p.Logits()), shape(plans[0].Logits()); out != want {
			return nil, fmt.Errorf("evaluate: %s has an output of %v, expected %v", p.Model().Name, out, want)
		}
	}
	return &Evaluation{plans, make([]Score, len(plans)), make([][]time.Duration, len(plans))}, nil
}

// Add runs all plans on a picture, which has a label or is Unknown. The picture counts for none of
// them if one fails, or has a result that is not finite; that is the error.
func (e *Evaluation) Add(input kernels.View, label int) error {
	times := make([]time.Duration, len(e.plans))
	logits := make([][]float32, len(e.plans))
	for i, p := range e.plans {
		if err := kernels.Copy(p.Input(), input); err != nil {
			return err
		}
		start := time.Now()
		if err := p.Run(); err != nil {
			return err
		}
		times[i] = time.Since(start)
		logits[i] = kernels.Pixel[float32](p.Logits(), 0, 0, 0)
		if c := slices.IndexFunc(logits[i], func(v float32) bool { return v-v != 0 }); c >= 0 {
			return fmt.Errorf("the result of %s is not finite: the score of class %d is %g", p.Model().Name, c, logits[i][c])
		}
	}
	for i := range e.plans {
		e.times[i] = append(e.times[i], times[i])
		e.scores[i].add(logits[i], logits[0], label)
	}
	return nil
}

// add counts the logits of a picture.
func (s *Score) add(logits, reference []float32, label int) {
	top := preprocess.TopK(logits, 5)
	if label != Unknown {
		s.Top1.add(top[0] == label)
		s.Top5.add(slices.Contains(top, label))
	}
	for c := range logits {
		if d := math.Abs(float64(logits[c]) - float64(reference[c])); d > s.Difference {
			s.Difference, s.Worst = d, s.Agreement.Total
		}
	}
	s.Agreement.add(top[0] == preprocess.TopK(reference, 1)[0])
}

// Pictures returns how many pictures have been counted.
func (e *Evaluation) Pictures() int { return len(e.times[0]) }

// Scores returns what has been counted, a score for each plan in New's order. There must have been
// a picture.
func (e *Evaluation) Scores() []Score {
	scores := slices.Clone(e.scores)
	for i := range scores {
		scores[i].Speed = newSpeed(e.times[i])
	}
	return scores
}
