package training

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"hash/crc32"
	"io"
	"slices"

	"firebench/net/files"
	"firebench/net/graph"
	"firebench/net/weights"
)

// A Checkpoint is all that a training run needs to go on as if it had never stopped, see [Trainer.Checkpoint] and
// [Trainer.Restore]. In a file it is safetensors: other commands read the weights from it.
type Checkpoint struct {
	Params *Params
	Step   int             // how many steps have been made
	Seed   uint64          // of the run
	Run    json.RawMessage // what the caller wants to know again, or nil

	momentum [][]float32 // by layer
}

// The key of the state in the file's metadata, and the parts of the names of its tensors.
const (
	stateKey       = "training"
	momentumPrefix = "momentum/"
	codebookPrefix = "codebook/"
	codesPrefix    = "codes/"
	keptPrefix     = "kept/" // a byte for each weight, 0 for one that stays 0
)

// A state is what the file's metadata says.
type state struct {
	Model    string          `json:"model"` // see fingerprint
	Step     int             `json:"step"`
	Seed     uint64          `json:"seed"`
	Run      json.RawMessage `json:"run,omitempty"`
	Checksum uint32          `json:"checksum"` // of the rest and of all values
}

// Write replaces the file at path, or makes it. Until all has been written the old file stays, and if it cannot all be
// written, for ever. Weights that are not finite are an error, so that a checkpoint is always good to start from.
func (c *Checkpoint) Write(path string) error {
	f, err := files.Create(path)
	if err != nil {
		return err
	}
	defer f.Discard()
	if err := c.write(f); err != nil {
		return files.Error(path, err)
	}
	return f.Commit()
}

// write writes the file's content.
func (c *Checkpoint) write(w io.Writer) error {
	s := state{Model: fingerprint(c.Params.model), Step: c.Step, Seed: c.Seed, Run: c.Run}
	e := weights.Extra{Metadata: map[string]string{}, Floats: map[string][]float32{}, Bytes: map[string][]byte{}}
	for i, v := range c.Params.layers {
		e.Floats[momentumPrefix+v.Node] = c.momentum[i]
		if v.codes != nil {
			e.Floats[codebookPrefix+v.Node] = v.codebook
			e.Bytes[codesPrefix+v.Node] = v.codes
		}
		if v.kept != nil {
			kept := make([]byte, len(v.kept))
			for i, keep := range v.kept {
				if keep {
					kept[i] = 1
				}
			}
			e.Bytes[keptPrefix+v.Node] = kept
		}
	}
	s.Checksum = c.checksum(s)
	text, err := json.Marshal(s)
	if err != nil {
		return fmt.Errorf("checkpoint: %w", err)
	}
	e.Metadata[stateKey] = string(text)
	return weights.WriteWithExtra(w, c.Params.model, c.Params, e)
}

// ReadCheckpoint reads the file that [Checkpoint.Write] made, for m or for what its weights adapt it to. Files of other
// models, or that are damaged, are errors, which name the file.
func ReadCheckpoint(path string, m *graph.Model) (*Checkpoint, error) {
	return readCheckpoint(path, m, true)
}

// readCheckpoint is ReadCheckpoint. If the model need not be the same, its layers with weights must be.
func readCheckpoint(path string, m *graph.Model, same bool) (*Checkpoint, error) {
	w, e, err := weights.OpenWithExtra(path)
	if err != nil {
		return nil, err
	}
	fail := func(err error) (*Checkpoint, error) {
		return nil, files.Error(path, fmt.Errorf("checkpoint: %w", err))
	}
	text, ok := e.Metadata[stateKey]
	if !ok {
		return fail(errors.New("it has weights, but no state of training"))
	}
	var s state
	if err := json.Unmarshal([]byte(text), &s); err != nil {
		return fail(fmt.Errorf("state: %w", err))
	}
	c := &Checkpoint{Step: s.Step, Seed: s.Seed, Run: s.Run}
	if c.Params, err = NewParams(m, w); err != nil {
		return nil, err
	}
	if got := fingerprint(c.Params.model); same && got != s.Model {
		return fail(fmt.Errorf("it is of another model of the name %s, with the fingerprint %s, expected %s", m.Name, s.Model, got))
	}
	for i := range c.Params.layers {
		v := &c.Params.layers[i]
		momentum := e.Floats[momentumPrefix+v.Node]
		if len(momentum) != len(v.all) {
			return fail(fmt.Errorf("layer %s: momentum of %d values, expected %d", v.Node, len(momentum), len(v.all)))
		}
		c.momentum = append(c.momentum, momentum)
		if codes, ok := e.Bytes[codesPrefix+v.Node]; ok {
			if err := v.share(e.Floats[codebookPrefix+v.Node], codes); err != nil {
				return fail(fmt.Errorf("layer %s: %w", v.Node, err))
			}
		}
		if kept, ok := e.Bytes[keptPrefix+v.Node]; ok {
			if len(kept) != v.weights() || slices.ContainsFunc(kept, func(b byte) bool { return b > 1 }) {
				return fail(fmt.Errorf("layer %s: a mask of %d bytes, expected %d of 0 or 1", v.Node, len(kept), v.weights()))
			}
			v.kept = make([]bool, len(kept))
			for i := range kept {
				v.kept[i] = kept[i] == 1
			}
		}
	}
	if s.Step < 0 || s.Checksum != c.checksum(s) {
		return fail(errors.New("it is damaged: the values are not those that were written"))
	}
	return c, nil
}

// checksum returns that of s, its field Checksum aside, and of all values.
func (c *Checkpoint) checksum(s state) uint32 {
	s.Checksum = 0
	text, _ := json.Marshal(s) // where it fails, write fails
	h := crc32.New(crc32.MakeTable(crc32.Castagnoli))
	h.Write(text)
	for i, v := range c.Params.layers {
		sum(h, v.all, c.momentum[i], v.codebook)
		h.Write(v.codes)
		b, _ := binary.Append(nil, binary.LittleEndian, v.kept)
		h.Write(b)
	}
	return h.Sum32()
}

// sum adds floats to a checksum.
func sum(h hash.Hash, values ...[]float32) {
	var b []byte
	for _, all := range values {
		for part := range slices.Chunk(all, 1<<14) {
			b, _ = binary.Append(b[:0], binary.LittleEndian, part) // it fails on types without a size
			h.Write(b)
		}
	}
}

// fingerprint returns a short text that differs between models that compute other things.
func fingerprint(m *graph.Model) string {
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s %v %s %q\n", m.Name, m.Input, m.Preprocessor, m.Outputs)
	for _, n := range m.Nodes {
		fmt.Fprintf(&b, "%s %T%+v %q %s\n", n.Name, n.Layer, n.Layer, n.Inputs, n.Weights)
	}
	sum := sha256.Sum256(b.Bytes())
	return fmt.Sprintf("%x", sum[:8])
}
