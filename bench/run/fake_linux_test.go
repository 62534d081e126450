package main

import (
	"os/signal"
	"syscall"
)

// limitFiles makes writing behind so many bytes of any file fail, as a full disk does:
// with a part written.
func limitFiles(bytes int) error {
	signal.Ignore(syscall.SIGXFSZ)
	return syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: uint64(bytes), Max: uint64(bytes)})
}
