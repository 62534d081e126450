package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// A server offers content, badly if broken says so.
type server struct {
	*httptest.Server
	content []byte
	broken  func(w http.ResponseWriter, r *http.Request) bool // reports whether it has answered
	ranges  []string                                          // asked for, "" for all
}

func newServer(t *testing.T) *server {
	s := &server{content: bytes.Repeat([]byte("weights "), 40000)}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.ranges = append(s.ranges, r.Header.Get("Range"))
		if s.broken == nil || !s.broken(w, r) {
			http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(s.content))
		}
	}))
	t.Cleanup(s.Close)
	return s
}

// file returns what the table would say of the content.
func (s *server) file() published {
	sum := sha256.Sum256(s.content)
	return published{name: "net.bin", url: s.URL, size: int64(len(s.content)), sha256: hex.EncodeToString(sum[:])}
}

// fetch downloads the file to dir as the command does, and returns what the command prints.
func (s *server) fetch(t *testing.T, dir string, f published) (stdout, stderr string) {
	t.Helper()
	var out, log strings.Builder
	o := options{dir: dir, files: []published{f}}
	if err := o.run(t.Context(), s.Client(), &out, &log); err != nil {
		fmt.Fprintln(&log, err)
	}
	return out.String(), log.String()
}

// wantFile fails unless the folder has the complete file and nothing else.
func (s *server) wantFile(t *testing.T, dir string) {
	t.Helper()
	got, err := os.ReadFile(filepath.Join(dir, "net.bin"))
	if err != nil || !bytes.Equal(got, s.content) {
		t.Errorf("%d bytes, %v, expected %d", len(got), err, len(s.content))
	}
	wantNames(t, dir, "net.bin")
}

// wantNames fails unless these are the files in a folder.
func wantNames(t *testing.T, dir string, want ...string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, e := range entries {
		got = append(got, e.Name())
	}
	if !slices.Equal(got, want) {
		t.Errorf("the folder has %q, expected %q", got, want)
	}
}

// TestFetch: a file is downloaded into a folder that is made, and not again if it is there.
func TestFetch(t *testing.T) {
	s, dir := newServer(t), filepath.Join(t.TempDir(), "a", "b")
	for range 2 {
		stdout, stderr := s.fetch(t, dir, s.file())
		if stdout != filepath.Join(dir, "net.bin")+"\n" || stderr != "" {
			t.Errorf("output %q, errors %q", stdout, stderr)
		}
		s.wantFile(t, dir)
	}
	if !slices.Equal(s.ranges, []string{""}) {
		t.Errorf("asked for %q, expected one request", s.ranges)
	}
}

// TestResume: after an answer that ends early, the next run asks for the rest, and for all where
// the server knows no ranges.
func TestResume(t *testing.T) {
	for _, ranges := range []bool{true, false} {
		s, dir := newServer(t), t.TempDir()
		s.broken = func(w http.ResponseWriter, r *http.Request) bool {
			w.Header().Set("Content-Length", fmt.Sprint(len(s.content)))
			w.Write(s.content[:100000])
			return true
		}
		stdout, stderr := s.fetch(t, dir, s.file())
		if stdout != "" || !strings.Contains(stderr, "after 100000 of 320000 bytes: unexpected EOF; the next run goes on from there") {
			t.Errorf("output %q, errors %q", stdout, stderr)
		}
		wantNames(t, dir, "net.bin.part")
		s.broken = nil
		if !ranges {
			s.broken = func(w http.ResponseWriter, r *http.Request) bool { w.Write(s.content); return true }
		}
		s.fetch(t, dir, s.file())
		s.wantFile(t, dir)
		if !slices.Equal(s.ranges, []string{"", "bytes=100000-"}) {
			t.Errorf("asked for %q", s.ranges)
		}
	}
}

// TestComplete: a complete part needs no request, and one that is too long is begun anew.
func TestComplete(t *testing.T) {
	for extra, want := range map[string]int{"": 0, "!": 1} {
		s, dir := newServer(t), t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "net.bin.part"), append(bytes.Clone(s.content), extra...), 0o666); err != nil {
			t.Fatal(err)
		}
		s.fetch(t, dir, s.file())
		s.wantFile(t, dir)
		if len(s.ranges) != want {
			t.Errorf("%d requests, expected %d", len(s.ranges), want)
		}
	}
}

// TestRefused: what is not the file of the table is an error, and leaves no file under its name.
func TestRefused(t *testing.T) {
	for _, test := range []struct {
		name   string
		break_ func(s *server, f *published)
		want   string
		left   []string
	}{
		{"404", func(s *server, f *published) {
			s.broken = func(w http.ResponseWriter, r *http.Request) bool { http.NotFound(w, r); return true }
		}, "the server says 404 Not Found; without a connection, bring the file from elsewhere as ", []string{"net.bin.part"}},
		{"offline", func(s *server, f *published) { s.Close() }, "refused; without a connection, bring the file from elsewhere as ", []string{"net.bin.part"}},
		{"hash", func(s *server, f *published) { f.sha256 = strings.Repeat("0", 64) }, ", expected 0000", nil},
		{"shorter", func(s *server, f *published) { f.size++ }, `the server sends "bytes 4-319999/320000", expected "bytes 4-320000/320001"`, []string{"net.bin.part"}},
		{"longer", func(s *server, f *published) { f.size-- }, `the server sends "bytes 4-319999/320000", expected "bytes 4-319998/319999"`, []string{"net.bin.part"}},
		{"longer than it says", func(s *server, f *published) {
			s.broken = func(w http.ResponseWriter, r *http.Request) bool {
				for {
					if _, err := w.Write(s.content); err != nil {
						return true
					}
				}
			}
		}, "more than 320000 bytes", []string{"net.bin.part"}},
		{"another place", func(s *server, f *published) {
			s.broken = func(w http.ResponseWriter, r *http.Request) bool {
				w.Header().Set("Content-Range", "bytes 5-10/320000")
				w.WriteHeader(http.StatusPartialContent)
				return true
			}
		}, `the server sends "bytes 5-10/320000", expected "bytes 4-319999/320000"`, []string{"net.bin.part"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			s, dir := newServer(t), t.TempDir()
			f := s.file()
			test.break_(s, &f)
			if err := os.WriteFile(filepath.Join(dir, "net.bin.part"), s.content[:4], 0o666); err != nil {
				t.Fatal(err)
			}
			stdout, stderr := s.fetch(t, dir, f)
			if stdout != "" || !strings.Contains(stderr, test.want) || !strings.HasSuffix(stderr, "\n1 of 1 files are missing\n") {
				t.Errorf("output %q, errors %q, expected %q", stdout, stderr, test.want)
			}
			wantNames(t, dir, test.left...)
		})
	}
}

// TestSize: a server that says another size than the table has another file. It leaves nothing.
func TestSize(t *testing.T) {
	s, dir := newServer(t), t.TempDir()
	f := s.file()
	f.size++
	if _, stderr := s.fetch(t, dir, f); !strings.Contains(stderr, "the server has 320000 bytes, expected 320001") {
		t.Errorf("errors %q", stderr)
	}
	wantNames(t, dir)
}

// TestWrongFile: a file under the name that is not it stays, and is no result.
func TestWrongFile(t *testing.T) {
	s, dir := newServer(t), t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "net.bin"), []byte("mine"), 0o666); err != nil {
		t.Fatal(err)
	}
	stdout, stderr := s.fetch(t, dir, s.file())
	if stdout != "" || !strings.Contains(stderr, "4 bytes, expected 320000; remove it") || len(s.ranges) > 0 {
		t.Errorf("output %q, errors %q, requests %q", stdout, stderr, s.ranges)
	}
	if got, err := os.ReadFile(filepath.Join(dir, "net.bin")); string(got) != "mine" {
		t.Errorf("%q, %v", got, err)
	}
}

// TestInterrupted: what has arrived stays for the next run.
func TestInterrupted(t *testing.T) {
	s, dir := newServer(t), t.TempDir()
	ctx, cancel := context.WithCancel(t.Context())
	s.broken = func(w http.ResponseWriter, r *http.Request) bool {
		w.Write(s.content[:1000])
		w.(http.Flusher).Flush()
		for { // until it has been written
			if info, err := os.Stat(filepath.Join(dir, "net.bin.part")); err == nil && info.Size() == 1000 {
				break
			}
			time.Sleep(time.Millisecond)
		}
		cancel()
		<-r.Context().Done()
		return true
	}
	var out, log strings.Builder
	o := options{dir: dir, files: []published{s.file()}}
	if err := o.run(ctx, s.Client(), &out, &log); err == nil || err.Error() != "interrupted" {
		t.Errorf("%v, expected interrupted", err)
	}
	if out.Len()+log.Len() > 0 {
		t.Errorf("output %q, errors %q", &out, &log)
	}
	s.broken = nil
	s.fetch(t, dir, s.file())
	s.wantFile(t, dir)
	if s.ranges[1] != "bytes=1000-" {
		t.Errorf("asked for %q", s.ranges)
	}
}

// TestTable: every entry can be right, and none stands twice.
func TestTable(t *testing.T) {
	seen := map[string]bool{}
	for _, f := range table {
		u, err := url.Parse(f.url)
		if err != nil || u.Scheme != "https" {
			t.Errorf("%s: address %s", f.name, f.url)
		}
		if b, err := hex.DecodeString(f.sha256); err != nil || len(b) != sha256.Size || f.size < 1 || f.what == "" {
			t.Errorf("%s: %+v", f.name, f)
		}
		if filepath.Base(f.name) != f.name || seen[f.name] || seen[f.sha256] {
			t.Errorf("%s: not a name, or twice", f.name)
		}
		seen[f.name], seen[f.sha256] = true, true
	}
}

// TestShared: the table describes the files that tests use.
func TestShared(t *testing.T) {
	shared := os.Getenv("FIREBENCH_SHARED")
	if shared == "" {
		shared = filepath.Join("..", "..", "..", "shared")
	}
	for _, f := range table[:2] {
		path := filepath.Join(shared, "weights", f.name)
		if _, err := os.Stat(path); err != nil {
			t.Skipf("no %s", path)
		}
		if err := check(path, f); err != nil {
			t.Error(err)
		}
	}
}

// TestUsage: the command line.
func TestUsage(t *testing.T) {
	for _, test := range []struct {
		args   []string
		status int
		want   string // in the output, or in the error
	}{
		{[]string{"-help"}, 0, "usage: download"},
		{[]string{"-list"}, 0, "\nsqueezenet1.1_fp16.onnx\t2484091\t21f25e3d"},
		{[]string{"-list", "x"}, 2, "-list with x"},
		{[]string{"x.onnx"}, 2, `unknown file "x.onnx", expected one of compressed_SqueezeNet.net, `},
		{[]string{"-x"}, 2, "-x"},
	} {
		var stdout, stderr bytes.Buffer
		status := run(t.Context(), test.args, nil, &stdout, &stderr)
		out := &stdout
		if status != 0 {
			out = &stderr
		}
		if status != test.status || !strings.Contains(out.String(), test.want) || stdout.Len() > 0 && stderr.Len() > 0 {
			t.Errorf("%q: status %d, output %q, errors %q", test.args, status, &stdout, &stderr)
		}
	}
}
