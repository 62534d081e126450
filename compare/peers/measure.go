package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"time"

	"firebench/compare/peers/timings"
	"firebench/net/cli"
	"firebench/net/tensor"
)

// roundTime is how long the calls of an implementation in one round take together, about.
const roundTime = 100 * time.Millisecond

const (
	trialCalls   = 3 // that tell how many calls these are
	profileCalls = 20
)

// A measurer lets implementations take turns.
type measurer struct {
	rounds int
	layers bool // measure them, too

	startLimit  time.Duration // for the greeting of a worker
	answerLimit time.Duration

	rand     *rand.Rand // the order of turns
	say      func(format string, args ...any)
	progress *cli.Progress
	dropped  map[string]bool // those that did not answer: each would cost the limit again
	run      *timings.Run
}

// A contestant is an implementation and the command that starts its worker, without the worker's arguments.
type contestant struct {
	peer
	command []string
}

// A turn is a contestant in one group of measurements.
type turn struct {
	*client
	agreement agreement
	calls     int // in a round
	samples   []timings.Sample
	layers    []profile
}

// skip says that an implementation is left out, and why.
func (m *measurer) skip(row timings.Row, impl string, err error) {
	m.progress.Clear()
	where := "everywhere"
	if row != (timings.Row{}) {
		where = row.String()
	}
	m.say("skipped %s, %s: %v", impl, where, err)
	m.run.Skips = append(m.run.Skips, timings.Skip{Row: row, Impl: impl, Reason: err.Error()})
	m.dropped[impl] = m.dropped[impl] || errors.Is(err, errHung)
}

// group measures a computation on so many threads: all contestants live at once and wait, and one after
// the other calls the network for a while, in another order each round. A contestant that fails is
// skipped. Without Firebench there is nothing to compare with, and that is an error, as is the end of ctx.
func (m *measurer) group(ctx context.Context, n network, c computation, threads int, contestants []contestant) error {
	row := timings.Row{Net: n.name, Type: c.typ, Threads: threads}
	var turns []*turn
	defer func() {
		for _, t := range turns {
			t.close()
		}
	}()
	m.progress.Show("%v: starting", row)
	for _, p := range contestants {
		if !p.runs(c.typ) || m.dropped[p.name] {
			continue
		}
		t, err := m.start(ctx, row, n, c, p)
		if err != nil && p.name == timings.Firebench {
			return err
		}
		if err != nil {
			m.skip(row, p.name, err)
			continue
		}
		turns = append(turns, t)
	}

	// attempt lets each one do something, in the given order, and takes leave of those that fail.
	attempt := func(order []*turn, f func(t *turn) error) error {
		for _, t := range order {
			if err := f(t); err != nil {
				if ctx.Err() != nil {
					return ctx.Err()
				}
				if t.impl == timings.Firebench {
					return fmt.Errorf("%v: %s: %w", row, t.impl, err)
				}
				t.kill()
				turns = slices.DeleteFunc(turns, func(other *turn) bool { return other == t })
				m.skip(row, t.impl, err)
			}
		}
		return nil
	}

	deadline := time.Now().Add(m.startLimit) // all start at the same time
	err := attempt(slices.Clone(turns), func(t *turn) error {
		hello, err := t.receive(ctx, time.Until(deadline))
		if err != nil {
			return err
		}
		theirs, err := tensor.ReadNPYFile(n.output(t.impl))
		if err != nil {
			return err
		}
		if err := t.agreement.check(theirs.Data); err != nil {
			return err
		}
		m.run.AddEngine(timings.Engine{Impl: t.impl, Version: hello.Version, Settings: hello.Settings})
		return nil
	})
	if err == nil {
		err = attempt(slices.Clone(turns), func(t *turn) error {
			a, err := t.ask(ctx, request{Calls: trialCalls}, m.answerLimit)
			if err == nil {
				t.calls = int(min(max(math.Round(float64(roundTime)/median(a.NS)), 1), maxCalls))
			}
			return err
		})
	}
	for round := range m.rounds {
		if err != nil {
			break
		}
		m.progress.Show("%v: round %d of %d", row, round+1, m.rounds)
		order := slices.Clone(turns)
		m.rand.Shuffle(len(order), func(i, j int) { order[i], order[j] = order[j], order[i] })
		err = attempt(order, func(t *turn) error {
			a, err := t.ask(ctx, request{Calls: t.calls}, m.answerLimit)
			if err == nil {
				t.samples = append(t.samples, timings.Sample{Calls: t.calls, NS: median(a.NS)})
			}
			return err
		})
	}
	if err == nil && m.layers {
		err = attempt(slices.Clone(turns), func(t *turn) error {
			a, err := t.ask(ctx, request{Profile: profileCalls}, m.answerLimit)
			t.layers = a.Layers
			return err
		})
	}
	m.progress.Clear()
	if err != nil {
		return err
	}
	for _, t := range turns {
		m.run.Add(row, t.impl, t.samples...)
		for _, l := range t.layers {
			m.run.AddLayer(row, timings.LayerTime{Impl: t.impl, Layer: l.Name, Op: l.Op, Sample: timings.Sample{Calls: profileCalls, NS: l.NS}})
		}
	}
	return nil
}

// start starts the worker of a contestant.
func (m *measurer) start(ctx context.Context, row timings.Row, n network, c computation, p contestant) (*turn, error) {
	output := n.output(p.name)
	if err := os.Remove(output); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err // it would be another computation's
	}
	argv := slices.Concat(p.command, []string{p.name, c.model, c.typ, strconv.Itoa(row.Threads), n.image, output})
	client, err := start(ctx, p.name, argv)
	if err != nil {
		return nil, err
	}
	return &turn{client: client, agreement: p.agreement(c)}, nil
}

// median returns that of latencies, of which there is at least one.
func median(ns []float64) float64 {
	s := slices.Sorted(slices.Values(ns))
	return (s[(len(s)-1)/2] + s[len(s)/2]) / 2
}
