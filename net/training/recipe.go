package training

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strings"

	"firebench/kernels"
	"firebench/net/dataset"
	"firebench/net/graph"
)

// A Recipe is how a network is trained: everything but the network, the pictures and the machine. It is kept in
// checkpoints.
type Recipe struct {
	Name string `json:"name"`

	Epochs     int             `json:"epochs"`     // how often all pictures are seen
	Batch      int             `json:"batch"`      // images of a run of the network
	Accumulate int             `json:"accumulate"` // batches of a step
	Augment    dataset.Augment `json:"augment"`

	SGD            SGD     `json:"sgd"`
	Rate           float64 `json:"rate"`   // of learning, the highest
	Policy         string  `json:"policy"` // how the rate changes, see Policies
	Power          float64 `json:"power"`  // of the policy poly
	WarmUp         float64 `json:"warmUp"` // epochs in which the rate rises
	HeadFactor     float64 `json:"headFactor"`
	LabelSmoothing float64 `json:"labelSmoothing"`

	Init string `json:"init"` // of weights that are not given, see Inits
}

// The policies by which the rate of learning changes: falling to 0 in a line, by a power, or along half a wave of a cosine;
// a tenth of itself after one half and after three quarters of the epochs; or not at all.
const (
	PolicyLinear   = "linear"
	PolicyPoly     = "poly"
	PolicyCosine   = "cosine"
	PolicyStep     = "step"
	PolicyConstant = "constant"
)

// Policies are the names of all policies.
var Policies = []string{PolicyLinear, PolicyPoly, PolicyCosine, PolicyStep, PolicyConstant}

// Inits are the names of initializations: [Xavier], [He], and [LSUV].
var Inits = []string{initXavier, initHe, initLSUV}

const (
	initXavier = "xavier"
	initHe     = "he"
	initLSUV   = "lsuv"
)

// Recipes are the recipes that have a name.
//
//   - squeezenet is the solver of SqueezeNet's authors, https://github.com/forresti/SqueezeNet: batches of 16·32, a rate of 0.04
//     that falls linearly in 170,000 steps, which are 68 epochs of ImageNet; the head starts from a Gaussian of 0.01.
//   - cifar is for small pictures, from random weights: crops out of a frame of four pixels, mirrored; Nesterov's momentum, a
//     cosine.
//   - finetune is for weights that know pictures already, and a head that does not.
var Recipes = []Recipe{
	{
		Name: "squeezenet", Epochs: 68, Batch: 32, Accumulate: 16, Augment: dataset.Augment{Crop: true},
		SGD:  SGD{Form: Caffe, Momentum: 0.9, WeightDecay: 2e-4, DecayBiases: true},
		Rate: 0.04, Policy: PolicyLinear, HeadFactor: 1, Init: initXavier,
	},
	{
		Name: "cifar", Epochs: 30, Batch: 64, Accumulate: 1, Augment: dataset.Augment{Crop: true, Pad: 4, Mirror: true},
		SGD:  SGD{Form: PyTorch, Momentum: 0.9, Nesterov: true, WeightDecay: 5e-4, MaxNorm: 2},
		Rate: 0.05, Policy: PolicyCosine, WarmUp: 1, HeadFactor: 1, Init: initLSUV,
	},
	{
		Name: "finetune", Epochs: 12, Batch: 32, Accumulate: 1, Augment: dataset.Augment{Crop: true, Mirror: true},
		SGD:  SGD{Form: PyTorch, Momentum: 0.9, WeightDecay: 5e-4, MaxNorm: 5},
		Rate: 0.005, Policy: PolicyCosine, WarmUp: 0.5, HeadFactor: 5, LabelSmoothing: 0.1, Init: initXavier,
	},
}

// LookupRecipe returns the recipe of that name; the error lists the names that there are.
func LookupRecipe(name string) (Recipe, error) {
	var names []string
	for _, r := range Recipes {
		if r.Name == name {
			return r, nil
		}
		names = append(names, r.Name)
	}
	return Recipe{}, fmt.Errorf("unknown recipe %q, expected one of %s", name, strings.Join(names, ", "))
}

// Limits of recipes, far beyond what is of use.
const (
	maxEpochs = 1 << 20
	maxImages = 1 << 16 // of a batch
)

// Check returns an error for the first field that is out of range.
func (r Recipe) Check() error {
	positive := func(v float64) bool { return v > 0 && v <= math.MaxFloat32 }
	switch {
	case r.Epochs < 1 || r.Epochs > maxEpochs:
		return fmt.Errorf("recipe: %d epochs, expected 1 to %d", r.Epochs, maxEpochs)
	case r.Batch < 1 || r.Batch > maxImages:
		return fmt.Errorf("recipe: batches of %d images, expected 1 to %d", r.Batch, maxImages)
	case r.Accumulate < 1 || r.Accumulate > maxAccumulate:
		return fmt.Errorf("recipe: %d batches for a step, expected 1 to %d", r.Accumulate, maxAccumulate)
	case !positive(r.Rate):
		return fmt.Errorf("recipe: rate is %v, expected more than 0", r.Rate)
	case r.Policy == PolicyPoly && !positive(r.Power):
		return fmt.Errorf("recipe: power is %v, expected more than 0", r.Power)
	case !(r.WarmUp >= 0 && r.WarmUp <= float64(r.Epochs)):
		return fmt.Errorf("recipe: the rate rises for %v epochs, expected 0 to all %d", r.WarmUp, r.Epochs)
	case !positive(r.HeadFactor):
		return fmt.Errorf("recipe: factor of the head is %v, expected more than 0", r.HeadFactor)
	}
	if _, err := r.schedule(1); err != nil {
		return err
	}
	if _, err := r.initializer(""); err != nil {
		return err
	}
	if err := r.Augment.Check(); err != nil {
		return err
	}
	o := Options{Accumulate: r.Accumulate, SGD: r.SGD, LabelSmoothing: r.LabelSmoothing}
	return o.check()
}

// schedule returns the rate of each of so many steps, which are all epochs.
func (r Recipe) schedule(steps int) (Schedule, error) {
	var s Schedule
	switch r.Policy {
	case PolicyLinear:
		s = Linear(r.Rate, steps)
	case PolicyPoly:
		s = Poly(r.Rate, r.Power, steps)
	case PolicyCosine:
		s = Cosine(r.Rate, steps)
	case PolicyStep:
		s = Steps(r.Rate, 0.1, steps/2, steps*3/4)
	case PolicyConstant:
		s = Constant(r.Rate)
	default:
		return nil, fmt.Errorf("recipe: unknown policy %q, expected one of %s", r.Policy, strings.Join(Policies, ", "))
	}
	if up := int(r.WarmUp * float64(steps) / float64(r.Epochs)); up > 0 {
		s = WarmUp(s, up)
	}
	return s, nil
}

// HeadDeviation is the standard deviation of a new head's weights, as SqueezeNet's authors have it.
const HeadDeviation = 0.01

// initializer returns how weights are drawn; head is the node of the scores.
func (r Recipe) initializer(head string) (func(p graph.Param) Initializer, error) {
	by, ok := map[string]Initializer{initXavier: Xavier, initHe: He, initLSUV: Orthonormal}[r.Init]
	if !ok {
		return nil, fmt.Errorf("recipe: unknown initialization %q, expected one of %s", r.Init, strings.Join(Inits, ", "))
	}
	return func(p graph.Param) Initializer {
		if p.Node == head {
			return Gaussian(HeadDeviation)
		}
		return by
	}, nil
}

// Pictures returns the first batch of inputs to learn from, for Start, and the errors of pictures that cannot be read.
func (r Recipe) Pictures(ctx context.Context, s *dataset.Split, seed uint64) (input []float32, skipped []error, err error) {
	l, err := s.Loader(dataset.LoaderOptions{Batch: r.Batch, Train: true, Augment: r.Augment, Seed: seed})
	if err != nil {
		return nil, nil, err
	}
	defer l.Close()
	b, err := l.Next(ctx)
	if err != nil {
		return nil, nil, err
	}
	return slices.Clone(kernels.Data[float32](b.Input)), b.Skipped, nil
}

// Start returns weights for m to start training from. pictures are inputs, batch×H×W×C; only lsuv needs them.
func (r Recipe) Start(m *graph.Model, seed uint64, pictures []float32, o graph.Options) (*Params, error) {
	if r.Init == initLSUV {
		return LSUV(m, seed, pictures, o)
	}
	at, err := Head(m)
	if err != nil {
		return nil, err
	}
	by, err := r.initializer(m.Nodes[at].Name)
	if err != nil {
		return nil, err
	}
	return NewParams(m, Initial(seed, by))
}
