package graph

import (
	"errors"
	"fmt"

	"firebench/kernels"
	"firebench/net/layer"
)

// A load packs the weights of one node again. A chunk is one of the convolutions that use them.
type load struct {
	param   Param
	users   []user
	weights kernels.Weights // of this Load
	errs    []error         // by user
}

// A user is a convolution and how it uses the weights.
type user struct {
	conv       kernels.Loader
	transposed layer.Transposed // nil for weights as they are
	values     []float32        // memory for the transposed weights
}

// loads returns the loads of all weights; convs are the packed ones by node.
func (l *layout) loads(convs map[int]kernels.Conv) ([]*load, error) {
	var loads []*load
	for owner := range l.infos {
		if l.owners[owner] != owner {
			continue
		}
		t := &load{param: l.param(owner)}
		known := map[kernels.Conv]bool{}
		for i := owner; i < len(l.infos); i++ {
			if l.owners[i] != owner || known[convs[i]] {
				continue
			}
			known[convs[i]] = true
			conv, ok := convs[i].(kernels.Loader)
			if !ok {
				return nil, fmt.Errorf("node %s: weights that are packed for algorithm %s cannot be replaced", l.infos[i].Name, convs[i].Algorithm())
			}
			u := user{conv: conv}
			if u.transposed, ok = l.infos[i].Layer.(layer.Transposed); ok {
				u.values = make([]float32, u.transposed.Forward().Weights())
			}
			t.users = append(t.users, u)
		}
		t.errs = make([]error, len(t.users))
		loads = append(loads, t)
	}
	return loads, nil
}

func (t *load) Chunks() int { return len(t.users) }

func (t *load) Chunk(_, i int) {
	u, w := &t.users[i], t.weights
	if u.transposed != nil {
		if t.errs[i] = w.Check(u.transposed.Forward()); t.errs[i] != nil {
			return
		}
		u.transposed.Transpose(u.values, w)
		w = kernels.Weights{Values: u.values}
	}
	t.errs[i] = u.conv.Load(w)
}

// Load replaces all weights of a plan that was compiled with Options.Train. It asks w as Compile does,
// but does not call Adapt. It does not allocate, unless w does. After an error, the plan may have some of
// the new weights.
func (p *Plan) Load(w Weights) error {
	if len(p.loads) == 0 {
		return fmt.Errorf("graph: %s: the plan has no weights that can be replaced", p.model.Name)
	}
	if err := p.begin(); err != nil {
		return err
	}
	defer p.end()
	for _, t := range p.loads {
		var err error
		if t.weights, err = w.Layer(t.param); err == nil {
			p.workers.Run(nil, t)
			err = errors.Join(t.errs...)
			t.weights = kernels.Weights{}
		}
		if err != nil {
			return fmt.Errorf("graph: %s: node %s: %w", p.model.Name, t.param.Node, err)
		}
	}
	return nil
}
