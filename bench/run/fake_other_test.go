//go:build !linux

package main

import "errors"

func limitFiles(int) error { return errors.ErrUnsupported }
