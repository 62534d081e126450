package main

import (
	"bytes"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"firebench/asmgen/recipes"
)

func TestUpToDate(t *testing.T) {
	var stderr bytes.Buffer
	if code := run([]string{"-check", "-dir", "../kernels"}, &stderr); code != 0 {
		t.Errorf("exit status %d: %s", code, &stderr)
	}
}

func TestDeterministic(t *testing.T) {
	if testing.Short() {
		t.Skip("short mode: TestUpToDate compares one run with the files of another")
	}
	a, err := generate()
	if err != nil {
		t.Fatal(err)
	}
	b, err := generate()
	if err != nil {
		t.Fatal(err)
	}
	if !maps.EqualFunc(a, b, bytes.Equal) {
		t.Error("two runs differ")
	}
}

// TestCheck changes the written files in every way that -check must notice. It does
// without the tiles, which come in many heights: the files of the other kernels will do.
func TestCheck(t *testing.T) {
	defer func(all []row) { catalog = all }(catalog)
	catalog = slices.DeleteFunc(slices.Clone(catalog), func(r row) bool { return r.recipe.Table != "" })
	dir := t.TempDir()
	if code := run([]string{"-dir", dir}, os.Stderr); code != 0 {
		t.Fatalf("exit status %d", code)
	}
	paths, err := onDisk(dir)
	if err != nil || len(paths) == 0 {
		t.Fatalf("nothing written: %v", err)
	}
	check := func(want int, message string) {
		t.Helper()
		var stderr bytes.Buffer
		if code := run([]string{"-check", "-dir", dir}, &stderr); code != want || !strings.Contains(stderr.String(), message) {
			t.Errorf("exit status %d, expected %d with %q: %s", code, want, message, &stderr)
		}
	}
	check(0, "")

	path := filepath.Join(dir, paths[0])
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	write := func(path string, content []byte) {
		t.Helper()
		if err := os.WriteFile(path, content, 0o666); err != nil {
			t.Fatal(err)
		}
	}
	changed := bytes.Clone(content)
	changed[len(changed)/2] ^= 1
	write(path, changed)
	check(1, paths[0]+": line")
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	check(1, paths[0]+": missing")
	write(path, content)
	stale := filepath.Join("avx2", "stale_amd64.s")
	write(filepath.Join(dir, stale), nil)
	check(1, stale+": no recipe")

	// Writing mends it all and deletes what is stale.
	if code := run([]string{"-dir", dir}, os.Stderr); code != 0 {
		t.Fatalf("exit status %d", code)
	}
	check(0, "")
	if again, err := onDisk(dir); err != nil || !slices.Equal(again, paths) {
		t.Errorf("files %v, %v, expected %v", again, err, paths)
	}
}

func TestUsage(t *testing.T) {
	for _, args := range [][]string{{"-nonsense"}, {"extra"}, {"-check=maybe"}} {
		var stderr bytes.Buffer
		if code := run(args, &stderr); code != 2 || stderr.Len() == 0 {
			t.Errorf("%v: exit status %d, %q", args, code, &stderr)
		}
	}
}

// TestTileTooLarge: a tile that does not fit into the registers is the recipe's
// mistake, found when generating and not as a slow kernel or an illegal register.
func TestTileTooLarge(t *testing.T) {
	for _, c := range []struct {
		isa  string
		tile recipes.Tile
	}{
		{"avx2", recipes.Tile{Rows: 7, Cols: 16}}, {"avx2", recipes.Tile{Rows: 15, Cols: 8}},
		{"avx512", recipes.Tile{Rows: 15, Cols: 32}}, {"avx512", recipes.Tile{Rows: 32, Cols: 16}},
		{"neon", recipes.Tile{Rows: 12, Cols: 8}}, {"neon", recipes.Tile{Rows: 24, Cols: 4}},
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s, tile %v: no panic", c.isa, c.tile)
				}
			}()
			recipes.Conv.Emit(targets[c.isa].new("test"), c.tile)
		}()
	}
}
