package main

import (
	"fmt"
	"runtime"
	"runtime/debug"
	"time"

	"firebench/compare/peers/gonum"
	"firebench/compare/peers/timings"
	"firebench/kernels"
	"firebench/net/cli"
	"firebench/net/graph"
	"firebench/net/tensor"
)

// An engine is one of those in Go.
type engine interface {
	greet() greeting
	run() error
	logits() []float32
	profile(calls int) ([]profile, error) // nil without
}

// A job is what an engine is to compute.
type job struct {
	model   *graph.Model
	weights graph.Weights
	typ     string
	threads int
	image   *tensor.Tensor
}

const gonumName = "gonum"

// engines are those in Go, by name.
var engines = map[string]func(j job) (engine, error){
	timings.Firebench: newFirebench,
	gonumName:         newGonum,
}

// firebench is the engine of this module.
type firebench struct {
	job
	plan *graph.Plan
}

func newFirebench(j job) (engine, error) {
	if j.typ == train {
		return newTrainer(j)
	}
	p, err := j.compile(false)
	return &firebench{j, p}, err
}

// compile returns a plan with the image as its input.
func (j job) compile(keepAll bool) (*graph.Plan, error) {
	p, err := graph.Compile(j.model, j.weights, graph.Options{Threads: j.threads, KeepAll: keepAll})
	if err != nil {
		return nil, err
	}
	return p, j.image.ToView(p.Input())
}

func (f *firebench) greet() greeting {
	isa, _ := kernels.Best() // with which Compile has succeeded
	return greeting{runtime.Version(), fmt.Sprintf("instruction set %v, algorithms %s, GOMAXPROCS %d", isa, kernels.Auto, f.threads)}
}

func (f *firebench) run() error        { return f.plan.Run() }
func (f *firebench) logits() []float32 { return tensor.FromView(f.plan.Logits()).Data }

// profile runs the steps one by one, in their order, in a plan in which each can run alone.
func (f *firebench) profile(calls int) ([]profile, error) {
	p, err := f.compile(true)
	if err != nil {
		return nil, err
	}
	defer p.Close()
	var layers []profile
	for _, s := range p.Steps() {
		layers = append(layers, profile{Name: s.Name, Op: s.Op})
	}
	for call := range calls + 1 {
		for i := range layers {
			start := time.Now()
			if err := p.RunStep(i); err != nil {
				return nil, err
			}
			if call > 0 { // the first is for the caches
				layers[i].NS += float64(time.Since(start)) / float64(calls)
			}
		}
	}
	return layers, nil
}

// gonumEngine is what a program without assembly of its own would do.
type gonumEngine struct{ *gonum.Net }

func newGonum(j job) (engine, error) {
	if j.typ != cli.F32 {
		return nil, fmt.Errorf("no %s, only %s", j.typ, cli.F32)
	}
	n, err := gonum.New(j.model, j.weights)
	if err != nil {
		return nil, err
	}
	if len(n.Input) != len(j.image.Data) {
		return nil, fmt.Errorf("an image of %s, expected %v", j.image.Shape(), j.model.Input)
	}
	copy(n.Input, j.image.Data)
	return gonumEngine{n}, nil
}

func (g gonumEngine) greet() greeting {
	version := "unknown"
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, m := range info.Deps {
			if m.Path == "gonum.org/v1/gonum" {
				version = m.Version
			}
		}
	}
	return greeting{version, fmt.Sprintf("im2col and blas32, C×H×W, GOMAXPROCS %d", runtime.GOMAXPROCS(0))}
}

func (g gonumEngine) run() error {
	g.Run()
	return nil
}

func (g gonumEngine) logits() []float32              { return g.Logits }
func (g gonumEngine) profile(int) ([]profile, error) { return nil, nil }
