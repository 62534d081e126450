// Asmgen writes the generated kernels: one package per instruction set under
// kernels, one .s file with its Go declarations per recipe.
//
//	go run ./asmgen          rewrite every generated file, delete those that no recipe writes any more
//	go run ./asmgen -check   compare instead, and fail on any difference
//
// Its output depends on nothing but its source.
package main

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"go/format"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"firebench/asmgen/recipes"
	"firebench/net/files"
)

func main() { os.Exit(run(os.Args[1:], os.Stderr)) }

func run(args []string, stderr io.Writer) int {
	flags := flag.NewFlagSet("asmgen", flag.ContinueOnError)
	flags.SetOutput(stderr)
	check := flags.Bool("check", false, "compare with the files on disk instead of writing; exit 1 on a difference")
	dir := flags.String("dir", "kernels", "folder of the generated packages")
	if err := flags.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return 0
		}
		return 2
	}
	if flags.NArg() > 0 {
		fmt.Fprintf(stderr, "asmgen: unexpected argument %q\n", flags.Arg(0))
		return 2
	}
	files, err := generate()
	if err == nil {
		if *check {
			err = compare(*dir, files)
		} else {
			err = write(*dir, files)
		}
	}
	if err != nil {
		fmt.Fprintf(stderr, "asmgen: %v\n", err)
		return 1
	}
	return 0
}

// generate returns the content of every generated file by its path below the
// folder of the packages.
func generate() (map[string][]byte, error) {
	// A file is a family on an instruction set, with all tiles that the catalog has of it.
	type file struct {
		isa, family string
	}
	machines := map[file]printer{}
	tables := map[file]*bytes.Buffer{}
	for _, row := range catalog {
		for _, recipe := range row.families {
			for _, isa := range row.isas {
				f := file{isa, recipe.File}
				if machines[f] == nil {
					machines[f], tables[f] = targets[isa].new(targets[isa].arch+",!purego"), new(bytes.Buffer)
				}
				names := recipe.Emit(machines[f], row.element, row.tile)
				if recipe.Table != "" {
					table(tables[f], recipe, names, fmt.Sprintf("%s_%s_%dx%d_%s", recipe.File, row.element.Name, row.tile.Rows, row.tile.Cols, isa))
				}
			}
		}
	}
	files := map[string][]byte{}
	for f, m := range machines {
		asm, stubs, err := m.Print("asmgen from recipes/"+f.family+".go", f.isa)
		if err == nil {
			stubs, err = format.Source(append(stubs, tables[f].Bytes()...))
		}
		if err != nil {
			return nil, fmt.Errorf("%s for %s: %w", f.family, f.isa, err)
		}
		base := filepath.Join(f.isa, f.family+"_"+targets[f.isa].arch)
		files[base+".s"], files[base+".go"] = asm, stubs
	}
	return files, nil
}

// table declares the list of a tile's functions, lowest first.
func table(w *bytes.Buffer, r recipes.Recipe, functions []string, tile string) {
	name := strings.Replace(functions[0], "1x", "X", 1) // ConvX16 of Conv1x16 and so on
	fmt.Fprintf(w, "\n// %s lists the heights of the tile %s.\n", name, tile)
	fmt.Fprintf(w, "var %s = [...]%s{\n", name, r.Table)
	for _, f := range functions {
		fmt.Fprintf(w, "\t%s,\n", f)
	}
	fmt.Fprintf(w, "}\n")
}

// onDisk lists the generated files below dir: every Go and assembly file of the
// packages, but for doc.go.
func onDisk(dir string) ([]string, error) {
	var paths []string
	for isa := range targets {
		err := filepath.WalkDir(filepath.Join(dir, isa), func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || d.Name() == "doc.go" {
				return err
			}
			if ext := filepath.Ext(path); ext == ".go" || ext == ".s" {
				rel, err := filepath.Rel(dir, path)
				paths = append(paths, rel)
				return err
			}
			return nil
		})
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
	}
	slices.Sort(paths)
	return paths, nil
}

func compare(dir string, files map[string][]byte) error {
	var drift []string
	paths, err := onDisk(dir)
	if err != nil {
		return err
	}
	for _, path := range paths {
		if files[path] == nil {
			drift = append(drift, path+": no recipe writes it")
		}
	}
	for path, want := range files {
		got, err := os.ReadFile(filepath.Join(dir, path))
		switch {
		case errors.Is(err, fs.ErrNotExist):
			drift = append(drift, path+": missing")
		case err != nil:
			return err
		case !bytes.Equal(got, want):
			drift = append(drift, fmt.Sprintf("%s: line %d differs from what its recipe writes", path, firstDifference(got, want)))
		}
	}
	if len(drift) == 0 {
		return nil
	}
	slices.Sort(drift)
	return fmt.Errorf("generated files in %s are not up to date (go run ./asmgen):\n\t%s", dir, strings.Join(drift, "\n\t"))
}

// firstDifference is the number of the first line that differs.
func firstDifference(a, b []byte) int {
	n := 0
	for n < len(a) && n < len(b) && a[n] == b[n] {
		n++
	}
	return 1 + bytes.Count(a[:n], []byte("\n"))
}

func write(dir string, generated map[string][]byte) error {
	paths, err := onDisk(dir)
	if err != nil {
		return err
	}
	for _, path := range paths {
		if generated[path] == nil {
			if err := os.Remove(filepath.Join(dir, path)); err != nil {
				return err
			}
		}
	}
	for path, content := range generated {
		full := filepath.Join(dir, path)
		if got, err := os.ReadFile(full); err == nil && bytes.Equal(got, content) {
			continue // keep the build cache's time stamps
		}
		if err := os.MkdirAll(filepath.Dir(full), 0o777); err != nil {
			return err
		}
		if err := files.Write(full, content); err != nil {
			return err
		}
	}
	return nil
}
