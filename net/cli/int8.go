package cli

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"firebench/kernels"
	"firebench/net/compression"
	"firebench/net/files"
	"firebench/net/graph"
)

// The values of -type.
const (
	F32  = "f32"
	Int8 = "int8"
)

const (
	calibrationExt  = ".json"  // of files that a calibration is in
	calibrationAlgo = "direct" // of the network that is calibrated
)

// ErrInterrupted is the error of what the command's context ended.
var ErrInterrupted = errors.New("interrupted")

// A quantization is what the flags for -type int8 say.
type quantization struct {
	calibrate   string // a folder or a file
	method      compression.Method
	save        string // a file, or ""
	Compression compression.Options
}

// int8Flags are the names of the flags that need -type int8.
var int8Flags = []string{"calibrate", "method", "save", "keep", "weight-bits"}

// typeFlags defines -type, and the flags that it brings.
func (n *Network) typeFlags(fs *flag.FlagSet) {
	n.Type, n.method = F32, compression.Default
	fs.Func("type", "compute with values of the `TYPE` "+F32+", or "+Int8+", which needs -calibrate unless the model's file is quantized (default "+F32+", or what the file has)", func(s string) error {
		n.Type = s
		if s != F32 && s != Int8 {
			return fmt.Errorf("expected %s or %s", F32, Int8)
		}
		return nil
	})
	fs.StringVar(&n.calibrate, "calibrate", "", "take the scales of values from the pictures in the folder `DIR`, or from the file that -save has written, whose name ends in "+calibrationExt)
	var methods []string
	for _, m := range compression.Methods() {
		methods = append(methods, m.String())
	}
	fs.TextVar(&n.method, "method", compression.Default, "how scales follow from pictures: the `NAME` "+strings.Join(methods, ", "))
	fs.StringVar(&n.save, "save", "", "save the scales to `FILE"+calibrationExt+"`")
	fs.Func("keep", "layers `A,B,…` that stay float32", func(s string) error {
		n.Compression.Keep = strings.Split(s, ",")
		if slices.Contains(n.Compression.Keep, "") {
			return errors.New("expected names with commas between them")
		}
		return nil
	})
	fs.IntVar(&n.Compression.WeightBits, "weight-bits", 8, "`BITS` of a weight, 8 or 7")
}

// checkType returns an error for flags of -type int8 that make no sense. Of a model in a file, adoptType
// checks the rest.
func (n *Network) checkType() error {
	for _, name := range int8Flags {
		switch {
		case n.given[name] && n.Type != Int8 && !(n.Calibrates && name == "calibrate"):
			return fmt.Errorf("-%s without -type %s", name, Int8)
		case n.given[name] && isCalibration(n.calibrate) && (name == "method" || name == "save"):
			return fmt.Errorf("-%s with -calibrate %s: the scales are there, expected a folder of pictures", name, n.calibrate)
		}
	}
	switch {
	case n.save != "" && !isCalibration(n.save):
		return fmt.Errorf("-save %s: expected a name that ends in %s", n.save, calibrationExt)
	case n.Compression.WeightBits != 8 && n.Compression.WeightBits != 7:
		return fmt.Errorf("-weight-bits %d: expected 8 or 7", n.Compression.WeightBits)
	case n.file != "":
		return nil
	}
	return n.checkCalibrate()
}

// checkCalibrate returns an error for a float32 model that is to be quantized by nothing.
func (n *Network) checkCalibrate() error {
	if n.Type == Int8 && n.calibrate == "" {
		return fmt.Errorf("-type %s without -calibrate", Int8)
	}
	return nil
}

// isCalibration reports whether a file has a calibration, by its name.
func isCalibration(path string) bool { return strings.EqualFold(filepath.Ext(path), calibrationExt) }

// HasPictures reports whether -calibrate names pictures, and not a file with a calibration.
func (n *Network) HasPictures() bool { return n.calibrate != "" && !isCalibration(n.calibrate) }

// CalibrationPictures returns the pictures by which Calibrate finds scales: none if they are in a file
// already, or if nothing is to be quantized.
func (n *Network) CalibrationPictures() ([]string, error) {
	if !n.HasPictures() {
		return nil, nil
	}
	return Pictures([]string{n.calibrate})
}

// Calibrate returns the scales for the network's values, of a file or by pictures, which it then saves
// if -save says so. It is nil if nothing is to be quantized.
func (n *Network) Calibrate(ctx context.Context, w graph.Weights, progress *Progress) (*compression.Calibration, error) {
	if n.calibrate == "" {
		return nil, nil
	}
	m, err := w.Adapt(n.Model)
	if err != nil {
		return nil, err
	}
	// What Compile will ask for is checked now, and the file is opened: pictures take long.
	if err := n.Compression.Check(m); err != nil {
		return nil, fmt.Errorf("%s: %w", m.Name, err)
	}
	if isCalibration(n.calibrate) {
		return compression.Load(n.calibrate, m)
	}
	var out *files.Pending
	if n.save != "" {
		if out, err = files.Create(n.save); err != nil {
			return nil, err
		}
		defer out.Discard()
	}
	pictures, err := n.CalibrationPictures()
	if err != nil {
		return nil, err
	}
	c, err := n.CalibrateWith(ctx, w, pictures, progress)
	if err != nil || out == nil {
		return c, err
	}
	if err := c.Write(out); err != nil {
		return nil, files.Error(n.save, err)
	}
	return c, out.Commit()
}

// CalibrateWith returns the scales for the network's values by the pictures at paths.
func (n *Network) CalibrateWith(ctx context.Context, w graph.Weights, paths []string, progress *Progress) (*compression.Calibration, error) {
	m, err := w.Adapt(n.Model)
	if err != nil {
		return nil, err
	}
	p, err := n.Preprocessor(m)
	if err != nil {
		return nil, err
	}
	defer progress.Clear()
	// All vector kernels agree on the bits of direct convolutions, and so on the scales by minimum and
	// maximum or percentiles. KL takes logarithms, whose last bit may differ between architectures.
	o := n.Options()
	o.Algo = calibrationAlgo
	c, err := compression.Calibrate(m, w, n.method, Images(ctx, p, m.Input, paths, progress, "calibrated with"), o)
	if ctx.Err() != nil {
		return nil, ErrInterrupted
	}
	return c, err
}

// Quantize returns the network that runs, and its weights: it is quantized if there is a calibration.
func (n *Network) Quantize(w graph.Weights, c *compression.Calibration) (*graph.Model, graph.Weights, error) {
	if c == nil {
		return n.Model, w, nil
	}
	return compression.Quantize(c, n.Compression).Apply(n.Model, w)
}

// Compile compiles the network. It is quantized if there is a calibration.
func (n *Network) Compile(w graph.Weights, c *compression.Calibration) (*graph.Plan, error) {
	m, w, err := n.Quantize(w, c)
	if err != nil {
		return nil, err
	}
	p, err := graph.Compile(m, w, n.Options())
	if err == nil && n.WeightsType != kernels.Float32Weights && RoundedWeights(p) == "" {
		p.Close()
		return nil, fmt.Errorf("%s: -weights-type %v, but no float32 layer with weights has one pixel as its result", m.Name, n.WeightsType)
	}
	return p, err
}

// RoundedWeights says which layers of a plan have weights of another type than float32, and how large
// the rounding is beside the weights, as "i8 weights in fc6 (off by 0.91 %), fc7 (off by 0.87 %)". It is ""
// if there are none.
func RoundedWeights(p *graph.Plan) string {
	var layers []string
	var t kernels.WeightsType
	for _, s := range p.Steps() {
		if s.WeightsType != kernels.Float32Weights {
			t = s.WeightsType
			layers = append(layers, fmt.Sprintf("%s (off by %.2g %%)", s.Name, 100*s.WeightsError))
		}
	}
	if layers == nil {
		return ""
	}
	return fmt.Sprintf("%v weights in %s", t, strings.Join(layers, ", "))
}
