package training

import (
	"encoding/json"
	"errors"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"firebench/net/graph"
	"firebench/net/layer"
	"firebench/net/weights"
)

// checkpoint returns one in the middle of training a network with a mask and a codebook.
func checkpoint(t *testing.T) *Checkpoint {
	t.Helper()
	w := shared{stored{
		"fc1": {Values: []float32{2, 0, -1, 2, -1, 2}, Bias: []float32{1, 1}},
		"fc2": {Values: []float32{1, 2, 3, 4}, Bias: []float32{5, 6}},
		"fc3": {Values: []float32{1, 2}, Bias: []float32{3}},
	}, []float32{0, -1, 2}, []uint8{2, 0, 1, 2, 1, 2}}
	p := newParams(t, dense(3, 2, 2, 1), w)
	if err := p.Mask(map[string][]bool{"fc2": {true, false, true, true}}); err != nil {
		t.Fatal(err)
	}
	o := optimize(t, p, SGD{Momentum: 0.9, WeightDecay: 0.1}, 1, one)
	o.step(gradientsOf(p, 1), 1, 0.1)
	return &Checkpoint{Params: p, Step: 7, Seed: 1 << 63, Run: json.RawMessage(`{"data":"<flowers> & more"}`), momentum: o.momentum}
}

// TestCheckpoint: what is read is what was written, and other commands read the weights.
func TestCheckpoint(t *testing.T) {
	path := filepath.Join(t.TempDir(), "last.safetensors")
	c := checkpoint(t)
	if err := c.Write(path); err != nil {
		t.Fatal(err)
	}
	got, err := ReadCheckpoint(path, dense(3, 2, 2, 1))
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got.Params.layers, c.Params.layers) || !reflect.DeepEqual(got.momentum, c.momentum) ||
		got.Step != c.Step || got.Seed != c.Seed {
		t.Errorf("%+v, want %+v", got, c)
	}
	var run struct{ Data string }
	if err := json.Unmarshal(got.Run, &run); err != nil || run.Data != "<flowers> & more" {
		t.Errorf("run %s", got.Run)
	}
	again := filepath.Join(t.TempDir(), "again")
	if err := got.Write(again); err != nil {
		t.Fatal(err)
	}
	a, _ := os.ReadFile(path)
	b, _ := os.ReadFile(again)
	if !slices.Equal(a, b) {
		t.Error("written again, the file has other bytes")
	}
	w, err := weights.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	p := newParams(t, dense(3, 2, 2, 1), w)
	for i, l := range p.layers {
		if !slices.Equal(l.all, c.Params.layers[i].all) {
			t.Errorf("layer %s: other weights", l.Node)
		}
	}
}

// limited is a disk with room for so many bytes.
type limited struct{ room int }

var errFull = errors.New("no space left on device")

func (d *limited) Write(b []byte) (int, error) {
	if d.room -= len(b); d.room < 0 {
		return 0, errFull
	}
	return len(b), nil
}

// TestCheckpointFails: wherever the disk is full, write says so; a checkpoint that cannot be written leaves the old one
// in its place, and nothing else.
func TestCheckpointFails(t *testing.T) {
	folder := t.TempDir()
	path := filepath.Join(folder, "last.safetensors")
	c := checkpoint(t)
	if err := c.Write(path); err != nil {
		t.Fatal(err)
	}
	old, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for room := 0; room < len(old); room += 13 {
		if err := c.write(&limited{room}); !errors.Is(err, errFull) {
			t.Fatalf("room for %d of %d bytes: %v", room, len(old), err)
		}
	}
	if err := c.write(&limited{len(old)}); err != nil {
		t.Error(err)
	}
	c.Params.layers[2].all[0] = float32(math.NaN())
	if err := c.Write(path); err == nil || err.Error() != path+": safetensors: dense: layer fc3: weights: value 0 is NaN, expected a finite value" {
		t.Error(err)
	}
	if got, err := os.ReadFile(path); err != nil || !slices.Equal(got, old) {
		t.Errorf("the old checkpoint has changed: %v", err)
	}
	if entries, _ := os.ReadDir(folder); len(entries) != 1 {
		t.Errorf("%v, want the checkpoint alone", entries)
	}
}

// TestCheckpointDamaged: a file that is cut off or has one bit changed is refused, or that bit does not matter: the name of a
// tool's key, for example, that the model has no use for.
func TestCheckpointDamaged(t *testing.T) {
	path := filepath.Join(t.TempDir(), "last.safetensors")
	c := checkpoint(t)
	if err := c.Write(path); err != nil {
		t.Fatal(err)
	}
	good, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	try := func(what string, at int, data []byte) (same bool) {
		t.Helper()
		if err := os.WriteFile(path, data, 0o666); err != nil {
			t.Fatal(err)
		}
		got, err := ReadCheckpoint(path, dense(3, 2, 2, 1))
		if err != nil {
			if !strings.Contains(err.Error(), path+": ") {
				t.Errorf("%s %d: %v, which does not name the file", what, at, err)
			}
			return false
		}
		if !reflect.DeepEqual(got.Params.layers, c.Params.layers) || !reflect.DeepEqual(got.momentum, c.momentum) || got.Step != c.Step || got.Seed != c.Seed || got.Run == nil {
			t.Errorf("%s %d: no error", what, at)
		}
		return true
	}
	stride := 7
	if testing.Short() {
		stride = 61
	}
	values := 8 + int(good[0]) + int(good[1])<<8 // behind the header
	for i := 0; i < len(good); i += stride {
		bad := slices.Clone(good)
		bad[i] ^= 1 << (i % 8)
		if try("bit of byte", i, bad) && i >= values {
			t.Errorf("bit of byte %d: no error", i)
		}
	}
	for i := 0; i < len(good); i += 7 * stride {
		if try("first bytes", i, good[:i]) {
			t.Errorf("first bytes %d: no error", i)
		}
	}
}

// TestCheckpointOfAnother: a checkpoint of another model, weights without a state, and a state that does not fit are refused.
func TestCheckpointOfAnother(t *testing.T) {
	folder := t.TempDir()
	path := filepath.Join(folder, "last.safetensors")
	if err := checkpoint(t).Write(path); err != nil {
		t.Fatal(err)
	}
	renamed, rectified := dense(3, 2, 2, 1), dense(3, 2, 2, 1)
	renamed.Name = "other"
	rectified.Nodes = append(rectified.Nodes, graph.Node{Name: "relu", Layer: layer.ReLU{}})
	for _, c := range []struct {
		m    *graph.Model
		want string
	}{
		{renamed, path + ": weights of dense do not fit the model other"},
		{dense(3, 2, 2, 2), path + `: weights of dense: tensor "fc3.weight" is 1×2, expected 2×2×1×1`},
		{rectified, path + ": checkpoint: it is of another model of the name dense, with the fingerprint " + fingerprint(dense(3, 2, 2, 1)) + ", expected " + fingerprint(rectified)},
	} {
		if _, err := ReadCheckpoint(path, c.m); err == nil || err.Error() != c.want {
			t.Errorf("%v, want %s", err, c.want)
		}
	}
	bare := filepath.Join(folder, "weights.safetensors")
	f, err := os.Create(bare)
	if err != nil {
		t.Fatal(err)
	}
	if err := weights.WriteSafetensors(f, dense(3, 2), weights.Random(1)); err != nil {
		t.Fatal(err)
	}
	f.Close()
	if _, err := ReadCheckpoint(bare, dense(3, 2)); err == nil || err.Error() != bare+": checkpoint: it has weights, but no state of training" {
		t.Error(err)
	}
}
