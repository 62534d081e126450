package graph

import (
	"context"
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
	transposed bool
}

func (u user) load(w kernels.Weights) error {
	if u.transposed {
		return u.conv.LoadTransposed(w)
	}
	return u.conv.Load(w)
}

// user returns how node i, which has weights, uses them.
func (l *layout) user(i int, conv kernels.Loader) user {
	_, transposed := l.infos[i].Layer.(layer.Transposed)
	return user{conv, transposed}
}

// loads returns the loads of all weights; convs are the packed ones by node.
func (l *layout) loads(convs map[int]kernels.Conv) []*load {
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
			t.users = append(t.users, l.user(i, convs[i].(kernels.Loader)))
		}
		t.errs = make([]error, len(t.users))
		loads = append(loads, t)
	}
	return loads
}

func (t *load) Chunks() int { return len(t.users) }

func (t *load) Chunk(_, i int) { t.errs[i] = t.users[i].load(t.weights) }

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
			p.workers.Run(context.Background(), t)
			err = errors.Join(t.errs...)
			t.weights = kernels.Weights{}
		}
		if err != nil {
			return fmt.Errorf("graph: %s: node %s: %w", p.model.Name, t.param.Node, err)
		}
	}
	return nil
}
