package main

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/perf/benchfmt"

	"firebench/compare/samples"
	"firebench/net/files"
	"firebench/net/layer"
	"firebench/net/models"
)

// A config is what a benchmark measures: Train, Layer or Net, and the keys of its name.
type config struct {
	kind, net, layer, pass, algo, isa string
	batch, threads                    int
}

// A benchmark is the samples of a config.
type benchmark struct {
	config
	sec, peak, images []float64
}

// ms returns the median time.
func (b *benchmark) ms() float64 { return 1e3 * samples.Median(slices.Clone(b.sec)) }

// benchmarks are those of float32 in some files.
type benchmarks map[config]*benchmark

// readBenchmarks reads files in Go's benchmark format.
func readBenchmarks(paths []string) (benchmarks, error) {
	all := benchmarks{}
	for _, path := range paths {
		if err := all.read(path); err != nil {
			return nil, err
		}
	}
	return all, nil
}

func (all benchmarks) read(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return files.Error(path, err)
	}
	defer f.Close()
	r, n := benchfmt.NewReader(f, path), 0
	for r.Scan() {
		switch rec := r.Result().(type) {
		case *benchfmt.SyntaxError:
			return rec
		case *benchfmt.Result:
			c, ok := configOf(rec.Name)
			if !ok {
				continue
			}
			b := all[c]
			if b == nil {
				b = &benchmark{config: c}
				all[c] = b
			}
			n++
			for unit, to := range map[string]*[]float64{"sec/op": &b.sec, "peak-%": &b.peak, "images/s": &b.images} {
				if v, ok := rec.Value(unit); ok {
					*to = append(*to, v)
				}
			}
		}
	}
	if err := r.Err(); err != nil {
		return files.Error(path, err)
	}
	if n == 0 {
		return fmt.Errorf("%s: no benchmark of Train, of passes of a Layer, or of a Net", path)
	}
	return nil
}

// configOf returns what the name of a benchmark says. It is not ok for one that the page does not need.
func configOf(name benchfmt.Name) (c config, ok bool) {
	base, parts := name.Parts()
	c = config{kind: string(base), threads: 1, batch: 1}
	for _, part := range parts {
		if n, ok := strings.CutPrefix(string(part), "-"); ok {
			c.threads, _ = strconv.Atoi(n)
			continue
		}
		key, value, _ := strings.Cut(strings.TrimPrefix(string(part), "/"), "=")
		switch key {
		case "net":
			c.net = value
		case "layer":
			c.layer = value
		case "pass":
			c.pass = value
		case "algo":
			c.algo = value
		case "isa":
			c.isa = value
		case "batch":
			c.batch, _ = strconv.Atoi(value)
		case "type":
			if value != samples.F32 {
				return c, false
			}
		}
	}
	switch c.kind {
	case "Train":
		return c, c.pass != ""
	case "Layer":
		return c, c.pass == string(layer.GradInput) || c.pass == string(layer.GradWeight)
	}
	return c, c.kind == "Net"
}

// sorted returns the benchmarks that fit.
func (all benchmarks) sorted(fit func(*benchmark) bool) (list []*benchmark) {
	for _, c := range slices.SortedFunc(maps.Keys(all), func(a, b config) int {
		return cmp.Or(cmp.Compare(a.net, b.net), cmp.Compare(a.layer, b.layer), cmp.Compare(a.pass, b.pass), cmp.Compare(a.threads, b.threads), cmp.Compare(a.algo, b.algo), cmp.Compare(a.isa, b.isa), cmp.Compare(a.batch, b.batch))
	}) {
		if b := all[c]; len(b.sec) > 0 && fit(b) {
			list = append(list, b)
		}
	}
	return list
}

// A stepRatio is the time of a step for an image over three times that of the network's result.
type stepRatio struct {
	net, isa       string
	threads        int
	step, forward  float64 // ms per image
	images, ratio  float64
	batch, inBatch int
}

// ratios relates the steps of all networks to their own results, on the same threads and instruction set. Of several algorithms
// the fastest counts, and of several batches of results that of 8 images.
func (all benchmarks) ratios() (list []stepRatio) {
	fastest := func(kind, pass, net, isa string, threads, batch int) *benchmark {
		return least(all.sorted(func(b *benchmark) bool {
			return b.kind == kind && b.pass == pass && b.net == net && b.isa == isa && b.threads == threads && b.batch == batch
		}))
	}
	seen := map[stepRatio]bool{}
	for _, b := range all.sorted(func(b *benchmark) bool { return b.kind == "Train" && b.pass == "step" }) {
		key := stepRatio{net: b.net, isa: b.isa, threads: b.threads, batch: b.batch}
		if seen[key] {
			continue
		}
		seen[key] = true
		step := fastest("Train", "step", b.net, b.isa, b.threads, b.batch)
		r := key
		r.step = step.ms() / float64(b.batch)
		r.images = 1000 / r.step
		if forward := fastest("Net", "", b.net, b.isa, b.threads, 8); forward != nil {
			r.inBatch = 8
			r.forward = forward.ms() / 8
			r.ratio = r.step / (3 * r.forward)
		}
		list = append(list, r)
	}
	return list
}

// least returns the fastest, or nil.
func least(list []*benchmark) *benchmark {
	if len(list) == 0 {
		return nil
	}
	return slices.MinFunc(list, func(a, b *benchmark) int { return cmp.Compare(a.ms(), b.ms()) })
}

// A gradient is how close a gradient of a layer comes to the peak, with its fastest algorithm.
type gradient struct {
	*benchmark
	channels int // of the layer's input
	peak     float64
}

// gradients returns those of convolutions with at least so many input channels, the lowest first, on each number of threads.
func (all benchmarks) gradients(channels int) (list []gradient, err error) {
	best := map[config]gradient{}
	inputs := map[string]map[string]int{}
	for _, b := range all.sorted(func(b *benchmark) bool { return b.kind == "Layer" && len(b.peak) > 0 }) {
		if inputs[b.net] == nil {
			if inputs[b.net], err = inputChannels(b.net); err != nil {
				return nil, err
			}
		}
		n := inputs[b.net][b.layer]
		if n < channels {
			continue
		}
		key := b.config
		key.algo = ""
		g := gradient{b, n, samples.Median(slices.Clone(b.peak))}
		if old, ok := best[key]; !ok || g.ms() < old.ms() {
			best[key] = g
		}
	}
	return slices.SortedFunc(maps.Values(best), func(a, b gradient) int { return cmp.Or(cmp.Compare(a.peak, b.peak), cmp.Compare(a.layer, b.layer)) }), nil
}

// inputChannels returns how many channels the inputs of a network's convolutions have, for each output of a group.
func inputChannels(net string) (map[string]int, error) {
	m, err := models.Lookup(net)
	if err != nil {
		return nil, errors.New("benchmarks: " + err.Error())
	}
	infos, err := m.Infer()
	if err != nil {
		return nil, err
	}
	channels := map[string]int{}
	for _, i := range infos {
		if c, ok := i.Layer.(layer.Conv); ok {
			channels[i.Name] = i.In[0].C / max(1, c.Groups)
		}
	}
	return channels, nil
}
