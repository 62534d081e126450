package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"firebench/asmgen/arm64"
	"firebench/asmgen/recipes"
	"firebench/asmgen/vec"
)

const kernels = "../../kernels"

// TestLoops checks that the inner loop of every tile is found, as bytes, for each
// target.
func TestLoops(t *testing.T) {
	for _, target := range targets {
		full := 0
		var loops []loop
		for _, family := range target.families {
			l, err := target.loops(filepath.Join(kernels, target.isa, family+"_"+target.arch+".s"))
			if err != nil {
				t.Fatal(err)
			}
			loops = append(loops, l...)
		}
		for _, l := range loops {
			if l.full {
				full++
			}
			if len(l.code) == 0 || (target.arch == "arm64") != (len(l.words) > 0) {
				t.Errorf("%s %s: %d bytes, %d words", target.isa, l.name, len(l.code), len(l.words))
			}
		}
		if want := len(target.limits); full != want {
			t.Errorf("%s: %d tiles, expected the %d that have limits", target.isa, full, want)
		}
	}
}

// write puts the kernels of a NEON tile where mca looks for them, changed by edit.
func write(t *testing.T, tile recipes.Tile, edit func(string) string) (dir string) {
	t.Helper()
	dir = t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, "neon"), 0o777); err != nil {
		t.Fatal(err)
	}
	for _, r := range []recipes.Recipe{recipes.Conv, recipes.BatchMatMul} {
		m := arm64.New(arm64.NEON, "arm64")
		r.Emit(m, vec.F32, tile)
		asm, _, err := m.Print("test", "neon")
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, "neon", r.File+"_arm64.s"), []byte(edit(string(asm))), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// TestJudge: a tile with too few accumulators, and a word that is not what its
// comment says, must fail.
func TestJudge(t *testing.T) {
	l, err := find()
	if err != nil {
		t.Skip(err)
	}
	same := func(s string) string { return s }
	lane := func(s string) string { return strings.ReplaceAll(s, ".s[3]\n", ".s[2]\n") }
	for _, c := range []struct {
		tile recipes.Tile
		edit func(string) string
		want string
	}{
		{recipes.Tile{Rows: 8, Cols: 8}, same, ""},
		{recipes.Tile{Rows: 4, Cols: 4}, same, "Conv4x4 on neoverse-n1"},
		{recipes.Tile{Rows: 8, Cols: 8}, lane, "its comment says"},
	} {
		var out bytes.Buffer
		target := targets[0]
		target.families = []string{recipes.Conv.File, recipes.BatchMatMul.File}
		err := target.judge(l, write(t, c.tile, c.edit), false, &out)
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("tile %v: error %v, expected one with %q", c.tile, err, c.want)
		}
	}
}
