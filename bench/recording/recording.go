// Package recording says how a recording of benchmarks came about, and names its folder in results.
package recording

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"

	"firebench/bench/machine"
)

// A Header says how a recording came about.
type Header struct {
	Time    time.Time
	Commit  string
	ISA     string // FIREBENCH_ISA
	Command string
}

// NewHeader describes a recording that begins now, by the command in the folder program of the module,
// which also depends on these variables of the environment.
func NewHeader(ctx context.Context, program string, args []string, variables ...string) Header {
	return Header{time.Now().UTC(), commit(ctx), os.Getenv("FIREBENCH_ISA"), commandLine(program, args, variables)}
}

// String returns the first lines of the samples: comments, because benchstat splits its
// tables by everything else.
func (h Header) String() string {
	return fmt.Sprintf("# recorded %s, commit %s\n# command: %s\n", h.Stamp(), h.Commit, h.Command)
}

// Stamp is the time as records have it.
func (h Header) Stamp() string { return h.Time.Format(time.RFC3339) }

// Folder names a record of this machine, below results.
func (h Header) Folder() string {
	name := h.Time.Format("2006-01-02T150405") + "-" + h.Commit // without colons, for Windows
	if h.ISA != "" {
		name += "-" + h.ISA
	}
	return filepath.Join("results", machine.Name(), name)
}

// MakeFolder makes a new folder of that name, or of that name and a number.
func MakeFolder(name string) (string, error) {
	if err := os.MkdirAll(filepath.Dir(name), 0o777); err != nil {
		return "", err
	}
	dir := name
	for i := 2; ; i++ {
		err := os.Mkdir(dir, 0o777)
		if err == nil || !errors.Is(err, fs.ErrExist) {
			return dir, err
		}
		dir = fmt.Sprintf("%s-%d", name, i)
	}
}

// commandLine returns the command that records the same, for a shell, with these variables of the
// environment and those that decide which kernels run.
func commandLine(program string, args, variables []string) string {
	var words []string
	for _, key := range append(variables, "FIREBENCH_ISA", "GODEBUG") {
		if value := os.Getenv(key); value != "" {
			words = append(words, key+"="+quote(value))
		}
	}
	words = append(words, "go", "run", program)
	for _, arg := range args {
		words = append(words, quote(arg))
	}
	return strings.Join(words, " ")
}

var plain = regexp.MustCompile(`^[\w@%+=:,./-]+$`)

// quote puts what a shell would take apart in quotes, and keeps it on one line.
func quote(word string) string {
	if plain.MatchString(word) {
		return word
	}
	return strconv.Quote(word)
}

// commit names the source, "-dirty" with changes, "unknown" outside git.
func commit(ctx context.Context) string {
	out, err := exec.CommandContext(ctx, "git", "describe", "--always", "--dirty", "--abbrev=8", "--exclude=*").Output()
	if err != nil {
		return "unknown"
	}
	return strings.TrimSpace(string(out))
}
