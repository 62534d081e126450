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
	count  int  // of rounds
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
	reason, where := err.Error(), "everywhere"
	if errors.Is(err, errHung) {
		m.dropped[impl] = true
		reason += ", left out from here on"
	}
	if row != (timings.Row{}) {
		where = row.String()
	}
	if !slices.ContainsFunc(m.run.Skips, func(s timings.Skip) bool { return s.Impl == impl && s.Reason == reason }) {
		m.progress.Clear()
		m.say("skipped %s, %s: %s", impl, where, reason) // once for all that is refused alike
	}
	m.run.Skips = append(m.run.Skips, timings.Skip{Row: row, Impl: impl, Reason: reason})
}

// A group is a computation on so many threads, measured with all contestants side by side.
type group struct {
	*measurer
	network     network
	computation computation
	row         timings.Row
	turns       []*turn // of those that have not failed
}

// measure measures a computation on so many threads: all contestants live at once and wait, and one after
// the other calls the network for a while, in another order each round. A contestant that fails is
// skipped. Without Firebench there is nothing to compare with, and that is an error, as is the end of ctx.
func (m *measurer) measure(ctx context.Context, n network, c computation, threads int, contestants []contestant) error {
	g := &group{measurer: m, network: n, computation: c, row: timings.Row{Net: n.name, Type: c.typ, Threads: threads}}
	defer m.progress.Clear()
	defer g.close()
	if err := g.start(ctx, contestants); err != nil {
		return err
	}
	for _, phase := range []func(context.Context) error{g.greet, g.try, g.rounds, g.profiles} {
		if err := phase(ctx); err != nil {
			return err
		}
	}
	for _, t := range g.turns {
		m.run.Add(g.row, t.impl, t.samples...)
		for _, l := range t.layers {
			m.run.AddLayer(g.row, timings.LayerTime{Impl: t.impl, Layer: l.Name, Op: l.Op, Sample: timings.Sample{Calls: profileCalls, NS: l.NS}})
		}
	}
	return nil
}

// start starts the workers of the contestants that compute with the type.
func (g *group) start(ctx context.Context, contestants []contestant) error {
	g.progress.Show("%v: starting", g.row)
	for _, p := range contestants {
		if !p.runs(g.computation.typ) || g.dropped[p.name] {
			continue
		}
		output := g.network.output(p.name)
		if err := os.Remove(output); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err // it would be another computation's
		}
		argv := slices.Concat(p.command, []string{p.name, g.computation.model, g.computation.typ, strconv.Itoa(g.row.Threads), g.computation.image, output})
		c, err := start(ctx, p.name, argv)
		if err != nil {
			if err := g.failed(ctx, p.name, err); err != nil {
				return err
			}
			continue
		}
		g.turns = append(g.turns, &turn{client: c, agreement: p.agreement(g.computation)})
	}
	return nil
}

// failed skips an implementation, or returns the error that ends the group.
func (g *group) failed(ctx context.Context, impl string, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if impl == timings.Firebench {
		return fmt.Errorf("%v: %s: %w", g.row, impl, err)
	}
	g.skip(g.row, impl, err)
	return nil
}

// each lets all do something, in the given order, and takes leave of those that fail.
func (g *group) each(ctx context.Context, order []*turn, f func(t *turn) error) error {
	for _, t := range order {
		err := f(t)
		if err == nil {
			continue
		}
		t.kill()
		g.turns = slices.DeleteFunc(g.turns, func(other *turn) bool { return other == t })
		if err := g.failed(ctx, t.impl, err); err != nil {
			return err
		}
	}
	return nil
}

// greet waits until all are ready, and checks what they have computed.
func (g *group) greet(ctx context.Context) error {
	deadline := time.Now().Add(g.startLimit) // for all, who start at the same time
	return g.each(ctx, slices.Clone(g.turns), func(t *turn) error {
		hello, err := t.receive(ctx, time.Until(deadline))
		if err != nil {
			return err
		}
		theirs, err := tensor.ReadNPYFile(g.network.output(t.impl))
		if err != nil {
			return err
		}
		if err := t.agreement.check(theirs.Data); err != nil {
			return err
		}
		g.run.AddEngine(timings.Engine{Impl: t.impl, Version: hello.Version, Settings: hello.Settings})
		return nil
	})
}

// try finds out how many calls make a turn.
func (g *group) try(ctx context.Context) error {
	return g.each(ctx, slices.Clone(g.turns), func(t *turn) error {
		a, err := t.ask(ctx, request{Calls: trialCalls}, g.answerLimit)
		if err == nil {
			t.calls = int(min(max(math.Round(float64(roundTime)/median(a.NS)), 1), maxCalls))
		}
		return err
	})
}

// rounds lets all take their turns.
func (g *group) rounds(ctx context.Context) error {
	for round := range g.count {
		g.progress.Show("%v: round %d of %d", g.row, round+1, g.count)
		order := slices.Clone(g.turns)
		g.rand.Shuffle(len(order), func(i, j int) { order[i], order[j] = order[j], order[i] })
		err := g.each(ctx, order, func(t *turn) error {
			a, err := t.ask(ctx, request{Calls: t.calls}, g.answerLimit)
			if err == nil {
				t.samples = append(t.samples, timings.Sample{Calls: t.calls, NS: median(a.NS)})
			}
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// profiles asks for the times of layers. Who fails now has been measured all the same.
func (g *group) profiles(ctx context.Context) error {
	if !g.layers {
		return nil
	}
	for _, t := range g.turns {
		g.progress.Show("%v: layers of %s", g.row, t.impl)
		a, err := t.ask(ctx, request{Profile: profileCalls}, g.answerLimit)
		if err != nil {
			t.kill()
			g.run.Notes = append(g.run.Notes, fmt.Sprintf("no layers of %s, %v: %v", t.impl, g.row, err))
		}
		t.layers = a.Layers
	}
	return ctx.Err()
}

// close ends all workers that are left.
func (g *group) close() {
	for _, t := range g.turns {
		t.in.Close() // all begin to end
	}
	for _, t := range g.turns {
		t.close()
	}
}

// median returns that of latencies, of which there is at least one.
func median(ns []float64) float64 {
	s := slices.Sorted(slices.Values(ns))
	return (s[(len(s)-1)/2] + s[len(s)/2]) / 2
}
