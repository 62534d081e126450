package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"syscall"
	"time"

	"firebench/bench/process"
	"firebench/compare/samples"
)

// maxAnswer is the size in bytes of the longest line that a worker may answer with.
const maxAnswer = 32 << 20

// errHung is the error of a worker that does not answer in time.
var errHung = errors.New("no answer in time")

// A client is the other end of a worker: the process that has been started. It lives until close, or
// until the context of start ends.
type client struct {
	impl      string
	cmd       *exec.Cmd
	cancel    context.CancelFunc // kills it
	in        io.WriteCloser
	lines     chan []byte // closed when there are no more
	complaint tail
}

// start starts a worker.
func start(ctx context.Context, impl string, argv []string) (*client, error) {
	ctx, cancel := context.WithCancel(ctx)
	c := &client{impl: impl, cancel: cancel, lines: make(chan []byte)}
	c.cmd = exec.CommandContext(ctx, argv[0], argv[1:]...)
	c.cmd.Stderr = &c.complaint
	c.cmd.WaitDelay = 5 * time.Second // for what it has left behind and still holds the pipes
	process.Group(c.cmd, syscall.SIGKILL)
	var out io.ReadCloser
	var err error
	if c.in, err = c.cmd.StdinPipe(); err == nil {
		if out, err = c.cmd.StdoutPipe(); err == nil {
			err = c.cmd.Start()
		}
	}
	if err != nil {
		cancel()
		return nil, err
	}
	go func() {
		defer close(c.lines)
		s := bufio.NewScanner(out)
		s.Buffer(nil, maxAnswer)
		for s.Scan() {
			select {
			case c.lines <- append([]byte(nil), s.Bytes()...):
			case <-ctx.Done():
				return
			}
		}
	}()
	return c, nil
}

// ask sends a request and waits for its answer.
func (c *client) ask(ctx context.Context, r request, limit time.Duration) (answer, error) {
	line, err := json.Marshal(r)
	if err != nil {
		return answer{}, err
	}
	// If it has ended, it says why, or the end of its output does.
	_, _ = c.in.Write(append(line, '\n'))
	a, err := c.receive(ctx, limit)
	if err == nil && len(a.NS) != r.Calls {
		err = fmt.Errorf("%d latencies, expected %d", len(a.NS), r.Calls)
	}
	for _, ns := range a.NS {
		if err == nil && !(ns > 0) {
			err = fmt.Errorf("a latency of %v ns", ns)
		}
	}
	return a, err
}

// receive waits for a line. One that is there already is taken even when the time is over: another
// worker may have used it up.
func (c *client) receive(ctx context.Context, limit time.Duration) (answer, error) {
	select {
	case line, ok := <-c.lines:
		return c.read(line, ok)
	default:
	}
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return answer{}, ctx.Err()
	case <-timer.C:
		return answer{}, errHung
	case line, ok := <-c.lines:
		return c.read(line, ok)
	}
}

// read reads a line; ok is false if there are no more.
func (c *client) read(line []byte, ok bool) (answer, error) {
	if !ok {
		return answer{}, c.ended()
	}
	var a answer
	if err := json.Unmarshal(line, &a); err != nil {
		return answer{}, fmt.Errorf("it said %.80q, expected JSON", line)
	}
	if a.Error != "" {
		return answer{}, errors.New(samples.Clean(strings.Join(strings.Fields(a.Error), " ")))
	}
	return a, nil
}

// ended says why a worker has ended that should not have.
func (c *client) ended() error {
	if err := c.wait(); err != nil {
		return fmt.Errorf("%w%s", err, c.complaint.suffix())
	}
	return errors.New("it ended without an answer")
}

// close ends the worker, by force if it does not listen.
func (c *client) close() { _ = c.wait() } // its answers have been read

// wait waits for the end of the worker, for which there are no more requests.
func (c *client) wait() error {
	c.in.Close()
	timer := time.AfterFunc(2*time.Second, c.cancel)
	defer timer.Stop()
	defer c.cancel()
	for range c.lines { // until its output ends
	}
	return c.cmd.Wait()
}

// kill ends the worker by force.
func (c *client) kill() {
	c.cancel()
	c.close()
}
