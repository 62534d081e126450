package main

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"path"
	"strconv"
	"strings"

	"firebench/net/compression"
)

// pairs calls set with the keys and values of "key=value,word,…"; a word alone has the value "".
func pairs(s string, set func(key, value string) error) error {
	seen := map[string]bool{}
	for item := range strings.SplitSeq(s, ",") {
		key, value := item, ""
		if i := strings.LastIndexByte(item, '='); i >= 0 { // a layer's name may have one, too
			key, value = item[:i], item[i+1:]
			if value == "" {
				return fmt.Errorf("%q: expected a value behind =", item)
			}
		}
		if key == "" {
			return fmt.Errorf("%q: expected KEY=VALUE,…", s)
		}
		if seen[key] {
			return fmt.Errorf("%s is there twice", key)
		}
		seen[key] = true
		if err := set(key, value); err != nil {
			return fmt.Errorf("%s: %w", item, err)
		}
	}
	return nil
}

// parseSVD reads the value of -svd.
func parseSVD(s string) (*compression.FactorizeOptions, error) {
	o := &compression.FactorizeOptions{Ranks: map[string]compression.Rank{}}
	err := pairs(s, func(key, value string) error {
		switch {
		case key == "tucker" && value == "":
			o.Tucker = true
			return nil
		case key == "energy":
			return parseShare(value, false, &o.Energy)
		case key == "budget":
			return parseShare(value, false, &o.Budget)
		}
		var r compression.Rank
		err := r.UnmarshalText([]byte(value))
		o.Ranks[key] = r
		return err
	})
	if err == nil && one(len(o.Ranks) > 0, o.Energy != 0, o.Budget != 0) {
		return o, nil
	}
	return nil, cmp.Or(err, errors.New("expected one of LAYER=RANK,…, energy=E and budget=B"))
}

// parsePrune reads the value of -prune.
func parsePrune(s string) (*compression.PruneOptions, error) {
	o := &compression.PruneOptions{Layers: map[string]float64{}}
	err := pairs(s, func(key, value string) error {
		switch key {
		case "density":
			return parseShare(value, true, &o.Density)
		case "threshold":
			v, err := strconv.ParseFloat(value, 32)
			if err != nil || !(v > 0 && v <= math.MaxFloat32) {
				return errors.New("expected a positive number")
			}
			o.Threshold = v
			return nil
		}
		if _, err := path.Match(key, ""); err != nil {
			return err
		}
		var d float64
		err := parseShare(value, true, &d)
		o.Layers[key] = d
		return err
	})
	if err == nil && one(len(o.Layers) > 0, o.Density != 0, o.Threshold != 0) {
		return o, nil
	}
	return nil, cmp.Or(err, errors.New("expected one of density=D, LAYER=D,… and threshold=T"))
}

// A sharing is the value of -share.
type sharing struct {
	compression.ShareOptions
	plain bool // by the weights alone, whatever -calibrate says
}

// parseSharing reads the value of -share.
func parseSharing(s string) (*sharing, error) {
	o := &sharing{ShareOptions: compression.ShareOptions{Layers: map[string]int{}}}
	err := pairs(s, func(key, value string) (err error) {
		switch {
		case key == "plain" && value == "":
			o.plain = true
		case key == "init":
			return o.Init.UnmarshalText([]byte(value))
		case key == "bytes":
			if o.Bytes, err = strconv.Atoi(value); err != nil || o.Bytes < 1 {
				return errors.New("expected a number of bytes")
			}
		default:
			bits, err := strconv.Atoi(value)
			if err != nil || bits < 1 || bits > 8 {
				return errors.New("expected 1 to 8 bits")
			}
			if key == "bits" {
				o.Bits = bits
			} else {
				o.Layers[key] = bits
			}
		}
		return nil
	})
	switch {
	case err != nil:
		return nil, err
	case o.Bits == 0 && o.Bytes == 0:
		return nil, errors.New("expected bits=B or bytes=N")
	case o.plain && o.Bytes > 0:
		return nil, errors.New("bytes with plain: bits are chosen by what an error in each layer does to the outputs")
	}
	return o, nil
}

// parseShare reads a number between 0 and 1, or 1 too.
func parseShare(s string, one bool, v *float64) error {
	x, err := strconv.ParseFloat(s, 64)
	switch {
	case one && (err != nil || !(x > 0 && x <= 1)):
		return errors.New("expected more than 0 and at most 1")
	case !one && (err != nil || !(x > 0 && x < 1)):
		return errors.New("expected a number between 0 and 1")
	}
	*v = x
	return nil
}

// one reports whether exactly one of its arguments is true.
func one(all ...bool) bool {
	n := 0
	for _, b := range all {
		if b {
			n++
		}
	}
	return n == 1
}
