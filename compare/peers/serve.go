package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"runtime"
	"runtime/debug"
	"strconv"
	"time"

	"firebench/net/onnx"
	"firebench/net/tensor"
)

// A worker is a process that runs a network on one engine and times its calls. Its arguments are
//
//	IMPL MODEL.onnx TYPE THREADS INPUT.npy OUTPUT.npy
//
// When the engine is warm and its logits are in OUTPUT.npy it writes a greeting. Then each request on
// its standard input has an answer; the end of the input ends it. All are JSON, one a line. A failure
// is an answer with an error, and exit status 1. Between requests it is idle.

// A greeting says which engine it is.
type greeting struct {
	Version  string `json:"version"`
	Settings string `json:"settings"`
}

// A request asks for so many calls or, with Profile, for the layers' mean times over so many.
type request struct {
	Calls   int `json:"calls,omitempty"`
	Profile int `json:"profile,omitempty"`
}

// An answer has the latency of each call in nanoseconds, or the layers, which may be null where the
// engine has no profile.
type answer struct {
	greeting
	NS     []float64 `json:"ns"`
	Layers []profile `json:"layers"`
	Error  string    `json:"error"`
}

// A profile is the mean time of a layer.
type profile struct {
	Name string  `json:"name"`
	Op   string  `json:"op"`
	NS   float64 `json:"ns"`
}

// What a worker does before its greeting. Caches, page tables and branch predictors have settled then.
const warmupCalls = 5

var warmupTime = 500 * time.Millisecond // tests take none

// maxCalls bounds a request.
const maxCalls = 1 << 20

// worker is the command's part that runs an engine in Go, a process of its own like those of the
// peers. It returns the exit status.
func worker(args []string, stdin io.Reader, stdout io.Writer) int {
	out := json.NewEncoder(stdout)
	if err := serve(args, stdin, out); err != nil {
		_ = out.Encode(map[string]string{"error": err.Error()}) // or nobody listens any more
		return 1
	}
	return 0
}

func serve(args []string, stdin io.Reader, out *json.Encoder) error {
	if len(args) != 6 {
		return fmt.Errorf("%d arguments, expected IMPL MODEL.onnx TYPE THREADS INPUT.npy OUTPUT.npy", len(args))
	}
	impl, path, typ, input, output := args[0], args[1], args[2], args[4], args[5]
	threads, err := strconv.Atoi(args[3])
	if err != nil || threads < 1 {
		return fmt.Errorf("%q threads, expected a positive number", args[3])
	}
	runtime.GOMAXPROCS(threads)
	m, w, err := onnx.Open(path)
	if err != nil {
		return err
	}
	image, err := tensor.ReadNPYFile(input)
	if err != nil {
		return err
	}
	newEngine, ok := engines[impl]
	if !ok {
		return fmt.Errorf("unknown engine %q", impl)
	}
	e, err := newEngine(job{m, w, typ, threads, image})
	if err != nil {
		return err
	}
	debug.FreeOSMemory() // what loading has left is not for the first calls to collect
	start := time.Now()
	for calls := 0; calls < warmupCalls || time.Since(start) < warmupTime; calls++ {
		if err := e.run(); err != nil {
			return err
		}
	}
	logits := e.logits()
	if err := tensor.WriteNPYFile(output, &tensor.Tensor{Dims: []int{1, len(logits)}, Data: logits}); err != nil {
		return err
	}
	if err := out.Encode(e.greet()); err != nil {
		return err
	}
	for in := bufio.NewScanner(stdin); in.Scan(); {
		var r request
		if err := json.Unmarshal(in.Bytes(), &r); err != nil {
			return err
		}
		if err := reply(e, r, out); err != nil {
			return err
		}
	}
	return nil
}

// reply answers a request.
func reply(e engine, r request, out *json.Encoder) error {
	switch {
	case r.Calls > 0 && r.Calls <= maxCalls && r.Profile == 0:
		ns := make([]int64, r.Calls)
		for i := range ns {
			start := time.Now()
			if err := e.run(); err != nil {
				return err
			}
			ns[i] = time.Since(start).Nanoseconds()
		}
		return out.Encode(map[string]any{"ns": ns})
	case r.Profile > 0 && r.Profile <= maxCalls && r.Calls == 0:
		layers, err := e.profile(r.Profile)
		if err != nil {
			return err
		}
		return out.Encode(map[string]any{"layers": layers})
	}
	return errors.New("expected a request for calls or for a profile")
}
