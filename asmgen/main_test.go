package main

import (
	"bytes"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"firebench/asmgen/recipes"
	"firebench/asmgen/vec"
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
	if testing.Short() {
		t.Skip("short mode: it generates many times, which takes minutes in emulation, and depends on no processor")
	}
	defer func(all []row) { catalog = all }(catalog)
	catalog = slices.DeleteFunc(slices.Clone(catalog), func(r row) bool { return r.families[0].Table != "" })
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

	// Nothing but a regular file is replaced.
	elsewhere := filepath.Join(t.TempDir(), "elsewhere")
	write(elsewhere, nil)
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(elsewhere, path); err == nil { // not everybody may make one on Windows
		var stderr bytes.Buffer
		if code := run([]string{"-dir", dir}, &stderr); code != 1 || !strings.Contains(stderr.String(), path+": is a symbolic link") {
			t.Errorf("exit status %d, expected 1 and the symbolic link's name: %s", code, &stderr)
		}
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
	}

	// Writing mends it all and deletes what is stale.
	if code := run([]string{"-dir", dir}, os.Stderr); code != 0 {
		t.Fatalf("exit status %d", code)
	}
	check(0, "")
	if again, err := onDisk(dir); err != nil || !slices.Equal(again, paths) {
		t.Errorf("files %v, %v, expected %v", again, err, paths)
	}
}

// TestComments: each generated .s can be read alone. A map above a function's instructions
// names all of their registers and no other, and a comment stands above each loop.
func TestComments(t *testing.T) {
	const dir = "../kernels" // TestUpToDate says that recipes write what is there
	paths, err := onDisk(dir)
	if err != nil {
		t.Fatal(err)
	}
	functions := 0
	for _, path := range paths {
		if filepath.Ext(path) != ".s" {
			continue
		}
		content, err := os.ReadFile(filepath.Join(dir, path))
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range strings.Split(string(content), "\nTEXT ")[1:] {
			functions++
			if err := readable(f); err != nil {
				t.Errorf("%s: %v", path, err)
			}
		}
	}
	if functions == 0 {
		t.Error("no functions")
	}
}

var (
	// Registers as Go's assembler writes them, and in the comments of words as GNU's does.
	registerName = regexp.MustCompile(`\b(?:[ABCD]X|[SD]I|R\d+|[XYZVFK]\d+|[vqx]\d+)\b`)
	mapEntry     = regexp.MustCompile(`^([A-Z]+\d*)(?:-([A-Z])(\d+))? .`)
	branch       = regexp.MustCompile(`^\t[JB][A-Z]+ +(\w+)$`)
)

// readable reports an error if a function, from behind its TEXT on, lacks comments.
func readable(function string) error {
	lines := strings.Split(function, "\n")
	name, _, _ := strings.Cut(lines[0], "(")
	if len(lines) < 2 || !strings.HasPrefix(lines[1], "\t// Registers") {
		return fmt.Errorf("%s begins without a map of registers", name)
	}
	listed := map[string]bool{}
	body := 2
	for ; strings.HasPrefix(lines[body], "\t// "); body++ {
		text := strings.TrimPrefix(lines[body], "\t// ")
		for _, e := range strings.Split(strings.TrimSuffix(text, ","), ", ") {
			f := mapEntry.FindStringSubmatch(e)
			switch {
			case f == nil:
				return fmt.Errorf("%s: %q is not an entry of a map of registers", name, e)
			case f[2] == "":
				listed[f[1]] = true
			default:
				first, err1 := strconv.Atoi(f[1][1:])
				last, err2 := strconv.Atoi(f[3])
				if err1 != nil || err2 != nil || f[1][:1] != f[2] || first >= last {
					return fmt.Errorf("%s: %q is not a range of registers", name, e)
				}
				for i := first; i <= last; i++ {
					listed[f[2]+strconv.Itoa(i)] = true
				}
			}
		}
	}
	used := map[string]bool{}
	labels := map[string]bool{} // so far; whether a comment stands above
	for i, line := range lines[body:] {
		if f := branch.FindStringSubmatch(line); f != nil {
			if commented, back := labels[f[1]]; back && !commented {
				return fmt.Errorf("%s: no comment above the loop %s", name, f[1])
			}
			continue
		}
		if label, ok := strings.CutSuffix(line, ":"); ok {
			labels[label] = strings.HasPrefix(lines[body+i-1], "\t// ")
		}
		if !strings.HasPrefix(line, "\t") || strings.HasPrefix(line, "\t//") {
			continue
		}
		for _, r := range registerName.FindAllString(line, -1) {
			r = strings.ToUpper(r)
			if strings.Contains(line, "WORD") {
				r = strings.NewReplacer("Q", "V", "X", "R").Replace(r)
			} else if n, ok := strings.CutPrefix(r, "X"); ok { // the low bits of one of another name
				r = "Y" + n
				if listed["Z"+n] {
					r = "Z" + n
				}
			}
			used[strings.Replace(r, "F", "V", 1)] = true
		}
	}
	if !maps.Equal(used, listed) {
		return fmt.Errorf("%s uses registers %v, its map lists %v", name,
			slices.Sorted(maps.Keys(used)), slices.Sorted(maps.Keys(listed)))
	}
	return nil
}

// TestCommentsMutated: what TestComments must notice.
func TestCommentsMutated(t *testing.T) {
	const function = "·F(SB), NOSPLIT, $0-8\n" +
		"\t// Registers, a slash between what one of them holds by turns:\n" +
		"\t// AX n\n" +
		"\t// Y0 zero, Y1-Y2 sum[0:2]\n" +
		"\tMOVQ n+0(FP), AX\n\tVXORPS Y0, Y0, Y0\n\tJZ done\n" +
		"\n\t// For each round.\nround:\n" +
		"\tVADDPS Y0, Y1, Y1\n\tVADDPS Y0, Y2, Y2\n\tDECQ AX\n\tJNZ  round\n\ndone:\n\tRET\n"
	if err := readable(function); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ old, new, want string }{
		{"\t// Registers, a slash between what one of them holds by turns:\n", "", "without a map"},
		{"Y1-Y2 sum[0:2]", "Y1 sum[0]", "uses registers"},
		{"Y0 zero", "Y0 zero, Y3 nothing", "uses registers"},
		{"AX n", "AX", "not an entry"},
		{"Y1-Y2", "Y2-Y1", "not a range"},
		{"Y0, Y2, Y2", "Y0, Y2, Y9", "uses registers"},
		{"MOVQ n+0(FP), AX", "MOVQ n+0(FP), R8", "uses registers"},
		{"\t// For each round.\n", "", "no comment above the loop round"},
	} {
		changed := strings.Replace(function, c.old, c.new, 1)
		if err := readable(changed); changed == function || err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q instead of %q: error %v, expected one with %q", c.new, c.old, err, c.want)
		}
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
		isa    string
		recipe recipes.Recipe
		inputs vec.Element
		tile   recipes.Tile
	}{
		{"avx2", recipes.Conv, vec.F32, recipes.Tile{Rows: 7, Cols: 16}}, {"avx2", recipes.Conv, vec.F32, recipes.Tile{Rows: 15, Cols: 8}},
		{"avx512", recipes.Conv, vec.F32, recipes.Tile{Rows: 15, Cols: 32}}, {"avx512", recipes.Conv, vec.F32, recipes.Tile{Rows: 32, Cols: 16}},
		{"neon", recipes.Conv, vec.F32, recipes.Tile{Rows: 12, Cols: 8}}, {"neon", recipes.Conv, vec.F32, recipes.Tile{Rows: 24, Cols: 4}},
		{"avx2", recipes.WeightGradient, vec.F32, recipes.Tile{Rows: 7, Cols: 16}}, {"avx512", recipes.WeightGradient, vec.F32, recipes.Tile{Rows: 32, Cols: 16}},
		{"avx2", recipes.QConv, vec.S16, recipes.Tile{Rows: 7, Cols: 16}}, {"avx2", recipes.QConv, vec.S16, recipes.Tile{Rows: 15, Cols: 8}},
		{"avx512", recipes.QBatchMatMul, vec.S16, recipes.Tile{Rows: 15, Cols: 32}}, {"avx512vnni", recipes.QConv, vec.U8, recipes.Tile{Rows: 15, Cols: 32}},
	} {
		func() {
			defer func() {
				if message, ok := recover().(string); !ok || !strings.Contains(message, "vector registers, the machine has") {
					t.Errorf("%s, %s, tile %v: panic %q", c.isa, c.recipe.File, c.tile, message)
				}
			}()
			c.recipe.Emit(targets[c.isa].new("test"), c.inputs, c.tile)
		}()
	}
}
