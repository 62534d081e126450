// Mca predicts how close the inner loops of the tiles, of convolutions and of
// products, come to the multiply-add bound of processors that LLVM has models of: llvm-mca, on the bytes
// that Go's assembler emits. It fails where a loop stays below its limit.
//
//	go run ./asmgen/mca            the full height of each tile
//	go run ./asmgen/mca -all       every height; the limits hold for the full ones only
//
// The models assume hits in the level-1 cache and know nothing of fetching and
// decoding: what is printed is a prediction of structure, not a speed.
package main

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"firebench/net/files"
)

// oldest is the first version of LLVM whose models are used: older ones take the
// Neoverse cores for a Cortex-A57.
const oldest = 19

// multiplyAdd matches the instructions of multiply-adds. The exact products of AVX2 and AVX-512
// take two.
var multiplyAdd = regexp.MustCompile(`^\s*(fmla|smlal2?|sdot|vfmadd231ps|vpmaddwd|vpaddd|vpdpbusd|vpdpwssd)\s`)

// A target is a package of generated files and the processors that it is judged
// for.
type target struct {
	isa, arch, triple, features string
	families                    []string             // the kernels that come in tiles, by the names of their files
	cores                       []string             // each with a model of its own in LLVM
	limits                      map[string][]float64 // by function, least shares of the multiply-add bound
}

// The limits of the AVX tiles are gates against getting worse, a little under what the
// models say: those tiles were chosen by measuring. Why znver4's model is so far from
// the bound was not looked into; tiles one vector wide load as often as they multiply. QConv
// of int16 inputs widens its weights, on one port of Intel's; the models give that port to
// additions first. SpMM loads a vector for each multiply-add, and two values more. F16Conv and
// S8Conv make float32 values of weights, which takes one to three instructions for every two
// multiply-adds: they wait for memory, not for these.
var targets = []target{
	{"neon", "arm64", "aarch64-linux-gnu", "+neon", allFamilies,
		[]string{"neoverse-n1", "neoverse-v1", "neoverse-v2", "cortex-a55"}, map[string][]float64{
			// Cortex-A55 works in order: a load costs two multiply-adds, 16 of them go with 64.
			"Conv8x8": {0.97, 0.97, 0.97, 0.65},
			// The inputs of a step are loaded one by one.
			"RowConv8x8":        {0.97, 0.97, 0.97, 0.35},
			"SpMM16x4":          {0.72, 0.62, 0.64, 0.30},
			"SpMMAdd16x4":       {0.72, 0.62, 0.64, 0.30},
			"F16Conv2x16":       {0.46, 0.39, 0.39, 0.27},
			"S8Conv2x16":        {0.34, 0.35, 0.35, 0.23},
			"BatchMatMul8x8":    {0.97, 0.97, 0.97, 0.65},
			"WeightGradient8x8": {0.97, 0.97, 0.97, 0.65},
			"QConv8x8":          {0.97, 0.97, 0.97, 0.72},
			"QBatchMatMul8x8":   {0.97, 0.97, 0.97, 0.80},
		}},
	{"neondotprod", "arm64", "aarch64-linux-gnu", "+neon,+dotprod", []string{"qconv"},
		[]string{"neoverse-n1", "neoverse-v1", "neoverse-v2", "cortex-a55"}, map[string][]float64{
			// Making the inputs signed takes an instruction for every eight multiply-adds.
			"QConv8x8": {0.85, 0.84, 0.85, 0.62},
		}},
	{"avx2", "amd64", "x86_64-linux-gnu", "+avx2,+fma,+f16c", allFamilies,
		[]string{"znver4", "skylake-avx512", "icelake-server", "sapphirerapids"}, map[string][]float64{
			"Conv6x16":           {0.95, 0.97, 0.97, 0.97},
			"Conv14x8":           {0.69, 0.81, 0.81, 0.97},
			"RowConv6x16":        {0.97, 0.93, 0.93, 0.81},
			"RowConv14x8":        {0.71, 0.64, 0.64, 0.70},
			"SpMM8x8":            {0.87, 0.75, 0.75, 0.65},
			"SpMMAdd8x8":         {0.87, 0.75, 0.75, 0.65},
			"F16Conv2x32":        {0.81, 0.61, 0.61, 0.64},
			"S8Conv2x32":         {0.45, 0.65, 0.65, 0.65},
			"BatchMatMul6x16":    {0.95, 0.97, 0.97, 0.97},
			"BatchMatMul14x8":    {0.69, 0.81, 0.81, 0.97},
			"WeightGradient6x16": {0.95, 0.97, 0.97, 0.97},
			"WeightGradient14x8": {0.69, 0.81, 0.81, 0.97},
			"QConv6x16":          {0.58, 0.53, 0.53, 0.56},
			"QConv14x8":          {0.57, 0.53, 0.53, 0.58},
			"QBatchMatMul6x16":   {0.63, 0.73, 0.73, 0.73},
			"QBatchMatMul14x8":   {0.64, 0.73, 0.73, 0.73},
		}},
	{"avx512", "amd64", "x86_64-linux-gnu", "+avx512f,+avx512bw", allFamilies,
		[]string{"znver4", "skylake-avx512", "icelake-server", "sapphirerapids"}, map[string][]float64{
			"Conv14x32":           {0.66, 0.92, 0.97, 0.97},
			"Conv28x16":           {0.97, 0.89, 0.97, 0.97},
			"RowConv14x32":        {0.66, 0.86, 0.97, 0.97},
			"RowConv28x16":        {0.97, 0.79, 0.97, 0.97},
			"SpMM4x16":            {0.78, 0.49, 0.97, 0.65},
			"SpMMAdd4x16":         {0.78, 0.49, 0.97, 0.65},
			"F16Conv2x64":         {0.76, 0.75, 0.97, 0.64},
			"S8Conv2x64":          {0.68, 0.41, 0.97, 0.65},
			"BatchMatMul14x32":    {0.66, 0.92, 0.97, 0.97},
			"BatchMatMul28x16":    {0.97, 0.89, 0.97, 0.97},
			"WeightGradient14x32": {0.66, 0.92, 0.97, 0.97},
			"WeightGradient28x16": {0.97, 0.89, 0.97, 0.97},
			"QConv14x32":          {0.70, 0.50, 0.50, 0.86},
			"QConv28x16":          {0.66, 0.46, 0.46, 0.89},
			"QBatchMatMul14x32":   {0.69, 0.55, 0.55, 0.97},
			"QBatchMatMul28x16":   {0.65, 0.48, 0.48, 0.97},
		}},
	{"avx512vnni", "amd64", "x86_64-linux-gnu", "+avx512f,+avx512bw,+avx512vnni", []string{"qconv", "qbatchmatmul"},
		[]string{"znver4", "icelake-server", "sapphirerapids"}, map[string][]float64{
			"QConv14x32":        {0.79, 0.92, 0.97},
			"QConv28x16":        {0.71, 0.69, 0.97},
			"QBatchMatMul14x32": {0.79, 0.92, 0.97},
			"QBatchMatMul28x16": {0.97, 0.93, 0.97},
		}},
}

// allFamilies are the kernels that come in tiles, or for rows of some vectors.
var allFamilies = []string{"conv", "rowconv", "spmm", "wconv", "batchmatmul", "weightgradient", "qconv", "qbatchmatmul"}

// limitsOf returns the limits of a loop. Those without their own must reach the
// bound.
func (t target) limitsOf(l loop) []float64 {
	if l := t.limits[l.name]; l != nil {
		return l
	}
	return slices.Repeat([]float64{0.97}, len(t.cores))
}

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

func run(args []string, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet("mca", flag.ContinueOnError)
	flags.SetOutput(stderr)
	all := flags.Bool("all", false, "show every height of the tiles")
	dir := flags.String("dir", "kernels", "folder of the generated packages")
	file := flags.String("o", "", "also write the predictions to this file")
	if err := flags.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return 0
		}
		return 2
	}
	if flags.NArg() > 0 {
		fmt.Fprintf(stderr, "mca: unexpected argument %q\n", flags.Arg(0))
		return 2
	}
	l, err := find()
	if err == nil {
		var text bytes.Buffer
		fmt.Fprintf(&text, header, l.version)
		for _, t := range targets {
			err = errors.Join(err, t.judge(l, *dir, *all, &text))
		}
		stdout.Write(text.Bytes())
		if *file != "" {
			err = errors.Join(err, files.Write(*file, text.Bytes()))
		}
	}
	if err != nil {
		fmt.Fprintf(stderr, "mca: %v\n", err)
		return 1
	}
	return 0
}

const header = `# Predictions by llvm-mca, LLVM %s

Share of the multiply-add bound that the models of LLVM predict for the inner loops of the
tiles of convolutions and products, on the bytes that Go's assembler emits, and in brackets the
least share that mca accepts. Nothing here is measured: the models assume level-1 hits and perfect fetching.
Written by asmgen/mca.
`

// judge prints the target's table. The error names every loop below its limit.
func (t target) judge(l llvm, dir string, all bool, w io.Writer) error {
	var loops []loop
	for _, family := range t.families {
		l, err := t.loops(filepath.Join(dir, t.isa, family+"_"+t.arch+".s"))
		if err != nil {
			return err
		}
		loops = append(loops, l...)
	}
	fmt.Fprintf(w, "\n## %s\n\n| tile | multiply-adds |", t.isa)
	for _, c := range t.cores {
		fmt.Fprintf(w, " %s |", c)
	}
	fmt.Fprintf(w, "\n|---|---|%s\n", strings.Repeat("---|", len(t.cores)))
	var below error
	for _, loop := range loops {
		if !loop.full && !all {
			continue
		}
		lines, err := l.disassemble(t, loop.code)
		if err != nil {
			return fmt.Errorf("%s %s: %w", t.isa, loop.name, err)
		}
		if err := loop.check(lines); err != nil {
			return fmt.Errorf("%s %s: %w", t.isa, loop.name, err)
		}
		var macs []string
		for _, line := range lines {
			if multiplyAdd.MatchString(line) {
				macs = append(macs, line)
			}
		}
		if len(macs) == 0 {
			return fmt.Errorf("%s %s: no multiply-adds in the inner loop", t.isa, loop.name)
		}
		fmt.Fprintf(w, "| %s | %d |", loop.name, len(macs))
		limits := t.limitsOf(loop)
		for i, c := range t.cores {
			bound, err := l.analyze(t, c, macs)
			if err != nil {
				return err
			}
			got, err := l.analyze(t, c, lines)
			if err != nil {
				return err
			}
			share := bound.throughput / got.cycles
			fmt.Fprintf(w, " %.1f %%", 100*share)
			if loop.full {
				fmt.Fprintf(w, " (%.0f)", 100*limits[i])
			}
			fmt.Fprint(w, " |")
			if loop.full && share < limits[i] {
				below = errors.Join(below, fmt.Errorf("%s %s on %s: %.1f %% of the multiply-add bound predicted, the limit is %.0f %%",
					t.isa, loop.name, c, 100*share, 100*limits[i]))
			}
		}
		fmt.Fprintln(w)
	}
	return below
}

// A loop is the inner loop of a tile.
type loop struct {
	name       string // of the function
	rows, cols int
	full       bool // the tile's greatest height
	code       []byte
	words      map[int]string // comments of raw words by their offset in code
}

var (
	functionName = regexp.MustCompile(`^TEXT ·(\w+?(\d+)x(\d+))\(SB\)`)
	listingLine  = regexp.MustCompile(`^\t0x[0-9a-f]+ (\d+) \(.*:(\d+)\)\t(\S+)`)
	listingBytes = regexp.MustCompile(`^\t0x([0-9a-f]+)((?: [0-9a-f]{2})+)  `)
	rawWord      = regexp.MustCompile(`^\tWORD .* // (.*)$`)
)

// loops assembles a file of tiles and returns the inner loop of each function:
// the block of several steps, or where there is none the single step.
func (t target) loops(path string) ([]loop, error) {
	content, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	source := strings.Split(string(content), "\n")
	tmp, err := os.MkdirTemp("", "mca")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(tmp)
	root, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		return nil, fmt.Errorf("go env GOROOT: %w", err)
	}
	cmd := exec.Command("go", "tool", "asm", "-S", "-p", t.isa, "-I", filepath.Join(strings.TrimSpace(string(root)), "pkg", "include"),
		"-o", filepath.Join(tmp, "tiles.o"), path)
	cmd.Env = append(os.Environ(), "GOOS=linux", "GOARCH="+t.arch)
	listing, err := output(cmd, nil)
	if err != nil {
		return nil, err
	}

	// The listing has, function by function, the offset of each source line's code,
	// then all bytes.
	var code []byte // of the current function
	codes := map[int][]byte{}
	offsets := map[int]int{} // in the function, by line
	first := 0               // line of the current function
	for _, line := range strings.Split(string(listing), "\n") {
		if f := listingLine.FindStringSubmatch(line); f != nil {
			offset, n := atoi(f[1]), atoi(f[2])
			if f[3] == "TEXT" {
				first, code = n, nil
			}
			if _, ok := offsets[n]; !ok {
				offsets[n] = offset
			}
		} else if f := listingBytes.FindStringSubmatch(line); f != nil && first > 0 {
			offset, err := strconv.ParseInt(f[1], 16, 0)
			if err != nil || int(offset) != len(code) {
				continue // another symbol's
			}
			for _, b := range strings.Fields(f[2]) {
				v, err := strconv.ParseUint(b, 16, 8)
				if err != nil {
					return nil, err
				}
				code = append(code, byte(v))
			}
			codes[first] = code
		}
	}

	var loops []loop
	for i, line := range source {
		f := functionName.FindStringSubmatch(line)
		if f == nil {
			continue
		}
		end := i + 1
		for end < len(source) && !strings.HasPrefix(source[end], "TEXT ") {
			end++
		}
		start, stop := body(source[i:end], "k_block")
		if start == 0 {
			start, stop = body(source[i:end], "k_one")
		}
		if start == 0 {
			return nil, fmt.Errorf("%s: no inner loop in %s", path, f[1])
		}
		// Lines count from 1, and code ends where the next line's begins.
		from, ok1 := offsets[i+start+1]
		to, ok2 := offsets[nextLine(offsets, i+stop+1)]
		c := codes[i+1]
		if !ok1 || !ok2 || from >= to || to > len(c) {
			return nil, fmt.Errorf("%s: the assembler's listing does not show the inner loop of %s", path, f[1])
		}
		l := loop{name: f[1], rows: atoi(f[2]), cols: atoi(f[3]), code: c[from:to], words: map[int]string{}}
		for n := i + start; n <= i+stop; n++ {
			if f := rawWord.FindStringSubmatch(source[n]); f != nil {
				l.words[offsets[n+1]-from] = f[1]
			}
		}
		loops = append(loops, l)
	}
	for i := range loops {
		higher := func(l loop) bool { return l.cols == loops[i].cols && l.rows > loops[i].rows }
		loops[i].full = !slices.ContainsFunc(loops, higher)
	}
	if len(loops) == 0 {
		return nil, fmt.Errorf("%s: no tiles", path)
	}
	return loops, nil
}

// body returns the first and the last line of the loop that a label begins, 0 if
// there is none.
func body(lines []string, label string) (first, last int) {
	back := regexp.MustCompile(`^\t\S+ +` + label + `$`)
	for i, line := range lines {
		switch {
		case line == label+":":
			first = i + 1
		case first > 0 && back.MatchString(line):
			return first, i
		}
	}
	return 0, 0
}

// nextLine returns the first line behind n that has code.
func nextLine(offsets map[int]int, n int) int {
	next := 0
	for line := range offsets {
		if line > n && (next == 0 || line < next) {
			next = line
		}
	}
	return next
}

// shiftBy0 is what LLVM writes for sxtl and sxtl2.
var shiftBy0 = regexp.MustCompile(`^sshll(2?) (.*), #0$`)

// check compares what the bytes of raw words mean with the comments beside them.
func (l loop) check(lines []string) error {
	for offset, want := range l.words {
		if offset/4 >= len(lines) {
			return fmt.Errorf("%d instructions, expected one at offset %d", len(lines), offset)
		}
		got := strings.Join(strings.Fields(lines[offset/4]), " ")
		if got = shiftBy0.ReplaceAllString(got, "sxtl$1 $2"); got != want {
			return fmt.Errorf("a word is %s, its comment says %s", got, want)
		}
	}
	return nil
}

// atoi converts digits that a regular expression has matched.
func atoi(s string) int {
	n, err := strconv.Atoi(s)
	if err != nil {
		panic(err)
	}
	return n
}

// llvm names the tools and their version.
type llvm struct{ mca, mc, version string }

// find returns the newest tools whose names have a version, else those without.
func find() (llvm, error) {
	var names []string
	for _, dir := range filepath.SplitList(os.Getenv("PATH")) {
		m, err := filepath.Glob(filepath.Join(dir, "llvm-mca-[0-9]*"))
		if err != nil {
			return llvm{}, err
		}
		names = append(names, m...)
	}
	suffix := func(name string) string { return strings.TrimPrefix(filepath.Base(name), "llvm-mca") }
	slices.SortFunc(names, func(a, b string) int {
		x, _ := strconv.Atoi(strings.TrimPrefix(suffix(a), "-"))
		y, _ := strconv.Atoi(strings.TrimPrefix(suffix(b), "-"))
		return cmp.Compare(y, x)
	})
	for _, name := range append(names, "llvm-mca") {
		l := llvm{mca: name, mc: strings.TrimSuffix(name, "llvm-mca"+suffix(name)) + "llvm-mc" + suffix(name)}
		text, err := exec.Command(l.mca, "--version").Output()
		if err != nil {
			continue
		}
		f := regexp.MustCompile(`LLVM version ((\d+)\S*)`).FindSubmatch(text)
		if f == nil || atoi(string(f[2])) < oldest {
			continue
		}
		l.version = string(f[1])
		return l, nil
	}
	return llvm{}, fmt.Errorf("no llvm-mca of version %d or newer (package llvm-%d); older ones lack models", oldest, oldest)
}

// output runs a command and returns what it prints, or an error with what it
// complains about.
func output(cmd *exec.Cmd, stdin io.Reader) ([]byte, error) {
	var stdout, stderr bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = stdin, &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("%s: %w\n%.2000s", cmd.Path, err, &stderr)
	}
	return stdout.Bytes(), nil
}

// disassemble returns the instructions, one a line.
func (l llvm) disassemble(t target, code []byte) ([]string, error) {
	var hex strings.Builder
	for _, b := range code {
		fmt.Fprintf(&hex, "%#02x ", b)
	}
	out, err := output(exec.Command(l.mc, "--disassemble", "-triple="+t.triple, "-mattr="+t.features), strings.NewReader(hex.String()))
	if err != nil {
		return nil, err
	}
	var lines []string
	for _, line := range strings.Split(string(out), "\n") {
		line, _, _ = strings.Cut(line, "//")
		if s := strings.TrimSpace(line); s != "" && !strings.HasPrefix(s, ".") {
			lines = append(lines, line)
		}
	}
	return lines, nil
}

// An analysis is what the model says about one iteration.
type analysis struct{ cycles, throughput float64 }

func (l llvm) analyze(t target, core string, lines []string) (analysis, error) {
	out, err := output(exec.Command(l.mca, "-mtriple="+t.triple, "-mcpu="+core, "-iterations=1000", "-json"),
		strings.NewReader(strings.Join(lines, "\n")+"\n"))
	if err != nil {
		return analysis{}, err
	}
	var report struct {
		CodeRegions []struct {
			SummaryView struct {
				BlockRThroughput        float64
				Iterations, TotalCycles float64
			}
		}
	}
	if err := json.Unmarshal(out, &report); err != nil {
		return analysis{}, fmt.Errorf("%s: %w", l.mca, err)
	}
	if len(report.CodeRegions) != 1 {
		return analysis{}, fmt.Errorf("%s: %d regions, expected 1", l.mca, len(report.CodeRegions))
	}
	s := report.CodeRegions[0].SummaryView
	return analysis{s.TotalCycles / s.Iterations, s.BlockRThroughput}, nil
}
