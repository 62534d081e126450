package training

import (
	"errors"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
)

// TestCheckpointFull: a file that the system does not let grow, as on a full disk, leaves the old checkpoint alone in its
// place.
func TestCheckpointFull(t *testing.T) {
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
	c.Step++

	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &limit); err != nil {
		t.Skip(err)
	}
	signal.Ignore(syscall.SIGXFSZ)
	low := limit
	low.Cur = uint64(len(old) - 1)
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &low); err != nil {
		t.Skip(err)
	}
	err = c.Write(path)
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &limit); err != nil {
		t.Fatal(err)
	}
	if !errors.Is(err, syscall.EFBIG) || err.Error() != path+": file too large" {
		t.Error(err)
	}
	if got, err := os.ReadFile(path); err != nil || !slices.Equal(got, old) {
		t.Errorf("the old checkpoint has changed: %v", err)
	}
	if entries, _ := os.ReadDir(folder); len(entries) != 1 {
		t.Errorf("%v, want the checkpoint alone", entries)
	}
	if err := c.Write(path); err != nil {
		t.Error(err)
	}
}
