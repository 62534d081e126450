package samples

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"firebench/kernels"
	"firebench/net/compression"
	"firebench/net/graph"
	"firebench/net/layer"
)

// A Description is what is known about a layer beforehand. A benchmark file has it, in a comment
// before the results, for the layers of networks that are not in package models:
//
//	# layer net=NAME layer=NAME op=OP stage=NAME out=HxWxC macs=N params=N
//	  f32-activations=N f32-weights=N int8-activations=N int8-weights=N
//
// on one line, the last four in bytes.
type Description struct {
	Net, Layer, Op, Stage string

	Out  layer.Shape  // without a type
	F32  kernels.Cost // of one image; none for a layer that only converts types in int8, no bytes if there are int8 values alone
	Int8 kernels.Cost // the same in int8
}

// Limits on what is described, far above any real network. Sums of costs do not overflow.
const (
	maxNetworks = 16   // that files describe
	maxLayers   = 4096 // of all these networks together, and of those described before one result
	maxOwnName  = 200  // bytes of the name of a network or layer
	maxCost     = 1e15 // multiply-adds, parameters, bytes
)

// layerComment is how the comment with a Description begins.
const layerComment = "# layer "

// IsDescription reports whether a line of a benchmark file is the comment with a Description.
func IsDescription(line []byte) bool { return bytes.HasPrefix(line, []byte(layerComment)) }

// Describe returns the layers of a model, in the order in which they run, in float32 and in int8. Those of a
// quantized model are in int8 alone.
func Describe(m *graph.Model) ([]Description, error) {
	infos, err := m.Infer()
	if err != nil {
		return nil, err
	}
	costs := make(map[string]kernels.Cost) // in float32
	if compression.IsQuantized(infos) {
		for _, info := range infos {
			costs[info.Name] = kernels.Cost{MACs: info.Cost.MACs, Params: info.Cost.Params}
		}
	} else {
		for _, info := range infos {
			costs[info.Name] = info.Cost
		}
		if infos, err = quantize(m, infos); err != nil { // which has all layers of the other
			return nil, err
		}
	}
	var layers []Description
	for _, info := range infos {
		out := layer.Shape{H: info.Out.H, W: info.Out.W, C: info.Out.C}
		layers = append(layers, Description{m.Name, info.Name, info.Layer.Op(), info.Stage, out, costs[info.Name], info.Cost})
	}
	return layers, nil
}

// quantize returns the nodes of the quantized form of a model. They do not depend on the calibration.
func quantize(m *graph.Model, infos []graph.Info) ([]graph.Info, error) {
	c := &compression.Calibration{Model: m.Name, Method: compression.Default, Images: 1, Values: []compression.Value{{Name: graph.Input, Scale: 1}}}
	for _, info := range infos {
		c.Values = append(c.Values, compression.Value{Name: info.Name, Scale: 1})
	}
	q, _, err := compression.Quantize(c, compression.Options{})(m, nil)
	if err != nil {
		return nil, err
	}
	return q.Infer()
}

// String returns the comment.
func (d Description) String() string {
	return fmt.Sprintf(layerComment+"net=%s layer=%s op=%s stage=%s out=%s macs=%d params=%d "+
		"f32-activations=%d f32-weights=%d int8-activations=%d int8-weights=%d",
		d.Net, d.Layer, d.Op, d.Stage, shape(d.Out), d.Int8.MACs, d.Int8.Params,
		d.F32.Activations, d.F32.Weights, d.Int8.Activations, d.Int8.Weights)
}

const shapeFormat = "%dx%dx%d"

func shape(s layer.Shape) string { return fmt.Sprintf(shapeFormat, s.H, s.W, s.C) }

// parseDescription reads a comment, without its beginning.
func parseDescription(text string) (Description, error) {
	var d Description
	words := strings.Fields(text)
	next := func(key string) string { // the value of the next word
		if len(words) == 0 {
			return ""
		}
		v, ok := strings.CutPrefix(words[0], key+"=")
		if !ok {
			return ""
		}
		words = words[1:]
		return v
	}
	var errs []error
	check := func(key string, ok bool, v, want string) {
		if !ok {
			errs = append(errs, fmt.Errorf("%s= in the comment: %q, expected %s", key, v, want))
		}
	}
	name := func(key string, to *string) {
		*to = next(key)
		bad := func(r rune) bool { return r == '/' || !unicode.IsPrint(r) || r == unicode.ReplacementChar }
		check(key, *to != "" && len(*to) <= maxOwnName && !strings.ContainsFunc(*to, bad), *to, "a name")
	}
	word := func(key string, to *string) {
		*to = next(key)
		check(key, *to != "" && isWord(*to), *to, "a short word")
	}
	number := func(key string, to *int64) {
		v := next(key)
		n, err := strconv.ParseInt(v, 10, 64)
		*to = n
		check(key, err == nil && n >= 0 && n <= maxCost, v, fmt.Sprintf("a number from 0 to %d", int64(maxCost)))
	}
	name("net", &d.Net)
	name("layer", &d.Layer)
	word("op", &d.Op)
	word("stage", &d.Stage)
	out := next("out")
	fmt.Sscanf(out, shapeFormat, &d.Out.H, &d.Out.W, &d.Out.C)
	check("out", out == shape(d.Out) && d.Out.Check() == nil, out, "a shape")
	number("macs", &d.Int8.MACs)
	number("params", &d.Int8.Params)
	number("f32-activations", &d.F32.Activations)
	number("f32-weights", &d.F32.Weights)
	number("int8-activations", &d.Int8.Activations)
	number("int8-weights", &d.Int8.Weights)
	d.F32.MACs, d.F32.Params = d.Int8.MACs, d.Int8.Params
	switch {
	case len(errs) > 0:
		return Description{}, errs[0]
	case len(words) > 0:
		return Description{}, fmt.Errorf("%q in the comment of a layer", words[0])
	}
	return d, nil
}

// A description is what a file has said about layers since its last result.
type description struct {
	layers []Description
	place  map[[2]string]int // in layers, by network and layer
	bad    map[string]error  // why a network is not described
}

// add adds a layer. It may be there already: a file that holds the output of several processes has the
// description of each.
func (d *description) add(text string) error {
	l, err := parseDescription(text)
	if err != nil {
		return err
	}
	key := [2]string{l.Net, l.Layer}
	if i, ok := d.place[key]; ok {
		if d.layers[i] != l {
			d.bad[l.Net] = fmt.Errorf("layer %s of %s is described in two ways", l.Layer, l.Net)
		}
		return nil
	}
	if len(d.layers) == maxLayers {
		d.bad[l.Net] = fmt.Errorf("more than %d layers are described", maxLayers)
		return d.bad[l.Net]
	}
	if d.layers == nil {
		d.place, d.bad = make(map[[2]string]int), make(map[string]error)
	}
	d.place[key] = len(d.layers)
	d.layers = append(d.layers, l)
	return nil
}

// describe adds the networks that a file describes, before its next result. The results of one that
// cannot be added are left out, see Data.refused.
func (d *Data) describe(desc *description, file string) {
	byNet := make(map[string][]Description)
	var names []string // in the order of the file
	for _, l := range desc.layers {
		if byNet[l.Net] == nil {
			names = append(names, l.Net)
		}
		byNet[l.Net] = append(byNet[l.Net], l)
	}
	for _, name := range names {
		err, known := desc.bad[name], d.byName[name]
		switch {
		case err != nil:
		case known == nil && len(d.described) == maxNetworks:
			err = fmt.Errorf("more than %d networks are described", maxNetworks)
		case known == nil && d.layers+len(byNet[name]) > maxLayers:
			err = fmt.Errorf("more than %d layers are described", maxLayers)
		case known == nil:
			known = newNetwork(byNet[name])
			d.Networks = append(d.Networks, known)
			d.byName[name], d.described[name] = known, file
			d.layers += len(known.layers)
		case !slices.Equal(known.layers, byNet[name]):
			err = errors.New("it is described otherwise than the network that this suite has by that name")
			if from, ok := d.described[name]; ok {
				err = fmt.Errorf("it is described otherwise than in %s", from)
			}
		}
		d.refused[name] = err
	}
	*desc = description{}
}
