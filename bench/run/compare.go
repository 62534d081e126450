package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
)

// pair returns the networks that the comparison sets side by side, none for its default.
func (o *options) pair() []string { return o.nets[:min(2, len(o.nets))] }

// compare writes the pages of the record and prints its comparison.
func (r *record) compare(pair []string, stdout, stderr io.Writer) error {
	var table bytes.Buffer
	_, err := command(context.Background(), &table, stderr, "go", "run", "./compare", r.dir+"/bench.txt")
	stdout.Write(table.Bytes())
	return err
}

func (o *options) printLast(stdout, stderr io.Writer) error { return fmt.Errorf("todo") }
