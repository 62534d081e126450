package main

import (
	"bytes"
	"encoding/xml"
	"io"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"firebench/bench/machine"
	"firebench/compare/peers/timings"
)

// TestREADME: README.md, its picture and the pages of the runs that it names are what make
// readme writes.
func TestREADME(t *testing.T) {
	const root = "../.."
	pages, err := generate(root, nil)
	if err != nil {
		t.Fatal(err)
	}
	readme, err := os.ReadFile(filepath.Join(root, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	paths := []string{"README.md", picture}
	for key, names := range map[string][]string{"runs": {"README.md", "compare.txt"}, "peers": {"README.md"}} {
		runs, err := nameRuns(strings.SplitAfter(string(readme), "\n"), key, nil)
		if err != nil {
			t.Fatal(err)
		}
		for _, run := range runs {
			for _, name := range names {
				paths = append(paths, filepath.Join(run, name))
			}
		}
	}
	for _, path := range paths {
		have, err := os.ReadFile(filepath.Join(root, path))
		if err != nil {
			t.Errorf("%v: make readme writes it", err)
			continue
		}
		want, ok := pages[path]
		if !ok {
			t.Errorf("%s is not generated", path)
		}
		haveLines, wantLines := strings.Split(string(have), "\n"), strings.Split(string(want), "\n")
		for i := range min(len(haveLines), len(wantLines)) {
			if haveLines[i] != wantLines[i] {
				t.Errorf("%s:%d: make readme writes something else\nhave %q\nwant %q", path, i+1, haveLines[i], wantLines[i])
				break
			}
		}
		if len(haveLines) != len(wantLines) {
			t.Errorf("%s: %d lines, make readme writes %d", path, len(haveLines), len(wantLines))
		}
	}
}

// Outside of the generated regions README.md has no measured figures.
func TestNoFiguresByHand(t *testing.T) {
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	figure := regexp.MustCompile(`[0-9] (ms|GFLOP/s|GB/s|images/s|times)\b|[0-9] ?%|[0-9] ×( |$)`)
	generated := false
	for i, line := range strings.Split(string(readme), "\n") {
		switch {
		case beginLine.MatchString(line + "\n"):
			generated = true
		case line+"\n" == endLine:
			generated = false
		case !generated && figure.MatchString(line):
			t.Errorf("README.md:%d: a figure by hand: %s", i+1, line)
		}
	}
}

// The files of a project that has all that is quoted.
func project(t *testing.T) (root string) {
	t.Helper()
	root = t.TempDir()
	samples, err := os.ReadFile("../report/testdata/bench.txt")
	if err != nil {
		t.Fatal(err)
	}
	header := "# recorded 2026-11-24T03:45:57Z, commit ca78fc9d\n"
	for path, text := range map[string]string{
		"README.md":                      "# X\n<!-- runs: results/m/a -->\n<!-- peers: -->\n" + regions("answer", "networks", "picture", "recipe", "accuracy", "compression", "training", "example") + "The end.\n",
		"results/m/a/bench.txt":          header + string(samples),
		"results/m/other/bench.txt":      strings.Replace(header, "ca78fc9d", "11112222", 1) + string(samples),
		"results/accuracy.md":            "# Accuracy\n\n| arithmetic | top-1 |\n|---|---:|\n| int8 | 1/2 |\n\nBrackets\n",
		"results/training.md":            "# Training\n\n| what | target |\n|---|---:|\n| a step | 1 |\n\nBrackets\n",
		"results/compression.md":         "# Compression\n\n| | bytes |\n|---|---:|\n| AlexNet | 240 MB |\n\n| step | bytes on disk | smaller | in memory | ms | × as fast | top-1 as the first |\n|---|---:|---:|---:|---:|---:|---:|\n| int8 | 9 | 7× | 8 | 0.5 | 2 | 1/2 |\n\n| step |\n",
		"asmgen/recipes/maxpool.go":      "package recipes\n\n\teachVector(m, n, func() {\n\t\tm.Store()\n\t})\n\tafter()\n",
		"kernels/avx512/maxpool_amd64.s": "before:\n\tRET\nvector:\n\tVMAXPS Z0, Z1, Z0\n\tVMOVUPS Z0, (AX)\n\tRET\n",
		"kernels/neon/maxpool_arm64.s":   "vector:\n\tWORD $1 // fmax v0.4s\n\tWORD $2 // str q0, [x0]\n\tRET\n",
		"net/preprocess/example_test.go": "package p\n\n// top explains.\nfunc top() {\n\tcall()\n}\n\nfunc Example() { top() }\n",
	} {
		write(t, root, path, text)
	}
	return root
}

func regions(names ...string) string {
	var b strings.Builder
	for _, n := range names {
		b.WriteString("<!-- generated: " + n + " -->\nold\n<!-- end -->\n")
	}
	return b.String()
}

func write(t *testing.T, root, path, text string) {
	t.Helper()
	path = filepath.Join(root, path)
	if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o666); err != nil {
		t.Fatal(err)
	}
}

func TestGenerate(t *testing.T) {
	root := project(t)
	pages, err := generate(root, nil)
	if err != nil {
		t.Fatal(err)
	}
	got := string(pages["README.md"])
	for _, want := range []string{
		"# X\n<!-- runs: results/m/a -->\n<!-- peers: -->\n<!-- generated: answer -->\n",
		// The medians of the golden file: 454.6 ms scalar, 7.219 direct and 4.906 auto with 92.28 % of the peak.
		"squeezenet1.0 runs at **92 %** of the machine's peak", "63.0 times as fast as portable Go;", "**4.91 ms instead of 7.22**",
		// 2.087 ms are 2.351 times as fast.
		"In int8, whose results have the same bits on every instruction set, it takes **2.09 ms**: 2.35 times as fast.",
		"| ms per image | scalar | avx512, direct | avx512, auto | avx512, auto, 2 threads | × scalar | × float32 |\n",
		"\n| squeezenet1.0 | 455 | 7.22 | 4.91 | 2.52 | 92.7 | - |\n| squeezenet1.0, int8 | 649 | 2.26 | 2.09 | 1.07 | 218 | 2.35 |\n",
		"\n| alexnet | 395 | 13.4 | 11.3 | 7.62 | 35.1 | - |\n| alexnet, int8 | 562 | 4.05 | 3.88 | 2.63 | 102 | 2.91 |\n",
		"; int8 runs on avx512-vnni where the column says avx512.\n",
		"Medians of 6 samples", "at commit ca78fc9d", "[a](results/m/a)",
		"squeezenet1.0: stem 1.17, 55×55 1.23", "squeezenet1.0, int8 on avx512-vnni: stem 0.53, 55×55 0.56", "(results/stages.svg)",
		"```go\neachVector(m, n, func() {\n    m.Store()\n})\n```", "```asm\nvector:\n    VMAXPS Z0, Z1, Z0\n    VMOVUPS Z0, (AX)\n```", "    WORD $2 // str q0, [x0]\n```",
		"<!-- generated: accuracy -->\n| arithmetic | top-1 |\n|---|---:|\n| int8 | 1/2 |\n\n<!-- end -->\n",
		"<!-- generated: training -->\n| what | target |\n|---|---:|\n| a step | 1 |\n\n<!-- end -->\n",
		"<!-- generated: compression -->\n| step | bytes on disk | smaller | ms | × as fast | top-1 as the first |\n| --- | ---: | ---: | ---: | ---: | ---: |\n| int8 | 9 | 7× | 0.5 | 2 | 1/2 |\n\n<!-- end -->\n",
		"```go\n// top explains.\nfunc top() {\n    call()\n}\n```\n<!-- end -->\nThe end.\n",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in\n%s", want, got)
		}
	}
	if strings.Contains(got, "old\n") {
		t.Errorf("old text is left in\n%s", got)
	}
	want := []string{"README.md", picture}
	for _, run := range []string{"a", "other"} {
		want = append(want, filepath.Join("results", "m", run, "README.md"), filepath.Join("results", "m", run, "compare.txt"))
	}
	slices.Sort(want)
	if paths := slices.Sorted(maps.Keys(pages)); !slices.Equal(paths, want) {
		t.Errorf("pages %q, want %q", paths, want)
	}

	// What it has written it would write again, and another run can be named.
	write(t, root, "README.md", got)
	again, err := generate(root, nil)
	if err != nil || !bytes.Equal(again["README.md"], pages["README.md"]) {
		t.Errorf("again: error %v,\n%s", err, again["README.md"])
	}
	other, err := generate(root, []string{"results/m/other/"})
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"<!-- runs: results/m/other -->\n", "at commit 11112222"} {
		if !strings.Contains(string(other["README.md"]), want) {
			t.Errorf("no %q in\n%s", want, other["README.md"])
		}
	}
}

// TestPeers: the first table has the fastest peer of each row, of the run that README.md names.
func TestPeers(t *testing.T) {
	root := project(t)
	const dir = "results/m/p"
	run := &timings.Run{
		Recorded: "2026-11-24T05:00:00Z", Commit: "33334444",
		Facts: []machine.Fact{{Key: "cpu", Value: "Example CPU 3000 @ 2.40GHz"}, {Key: "cores", Value: "2"}},
		Engines: []timings.Engine{
			{Impl: "firebench", Version: "go1.26"}, {Impl: "onnxruntime", Version: "1.2.3", Settings: "1 thread"},
			{Impl: "onnxruntime", Version: "1.2.3", Settings: "2 threads"}, {Impl: "ncnn", Version: "4.5"},
		},
	}
	for threads, ours := range map[int]float64{1: 5e6, 2: 3e6} {
		row := timings.Row{Net: "squeezenet1.0", Type: "f32", Threads: threads}
		run.Add(row, timings.Firebench, timings.Sample{Calls: 20, NS: ours})
		run.Add(row, "onnxruntime", timings.Sample{Calls: 20, NS: 6e6})
		run.Add(row, "ncnn", timings.Sample{Calls: 20, NS: 2e6 * float64(threads*threads)})
	}
	save := func() {
		var text bytes.Buffer
		if err := run.Write(&text); err != nil {
			t.Fatal(err)
		}
		write(t, root, dir+"/peers.txt", text.String())
	}
	save()
	pages, err := generate(root, []string{dir})
	if err != nil {
		t.Fatal(err)
	}
	got := string(pages["README.md"])
	for _, want := range []string{
		"<!-- runs: results/m/a -->\n<!-- peers: results/m/p -->\n",
		" | × scalar | × float32 | best peer | best peer, 2 threads |\n",
		"\n| squeezenet1.0 | 455 | 7.22 | 4.91 | 2.52 | 92.7 | - | ncnn 2.00 (0.40) | onnxruntime 6.00 (2.00) |\n",
		"\n| squeezenet1.0, int8 | 649 | 2.26 | 2.09 | 1.07 | 218 | 2.35 | - | - |\n",
		"The best peer is the fastest of onnxruntime 1.2.3, ncnn 4.5, with its ms", "settings: [p](results/m/p).\nMeasured on ",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in\n%s", want, got)
		}
	}
	var page bytes.Buffer
	if err := run.WriteMarkdown(&page); err != nil {
		t.Fatal(err)
	}
	if got := pages[filepath.Join("results", "m", "p", "README.md")]; !bytes.Equal(got, page.Bytes()) {
		t.Errorf("the page is\n%s\nexpected\n%s", got, &page)
	}
	run.Facts[1].Value = "64"
	save()
	if _, err := generate(root, []string{dir}); err == nil || !strings.Contains(err.Error(), `results/m/p: times of peers on another machine: its cores is "64", that of the other results "2"`) {
		t.Errorf("another machine: error %v", err)
	}
}

func TestPicture(t *testing.T) {
	pages, err := generate(project(t), nil)
	if err != nil {
		t.Fatal(err)
	}
	text := string(pages[picture])
	bars := 0
	for d := xml.NewDecoder(strings.NewReader(text)); ; {
		token, err := d.Token()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatalf("%v in\n%s", err, text)
		}
		if e, ok := token.(xml.StartElement); ok && e.Name.Local == "rect" && slices.Contains(e.Attr, xml.Attr{Name: xml.Name{Local: "class"}, Value: "bar"}) {
			bars++
		}
	}
	if bars != 21 { // five stages of each network in each type, and the legend
		t.Errorf("%d bars, want 21:\n%s", bars, text)
	}
	for _, want := range []string{">squeezenet1.0</tspan>", ">5.16 ms in all stages<", ">alexnet, int8 on avx512-vnni</tspan>", ">1.17 ms, 119 % of peak<", "prefers-color-scheme: dark"} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
	if strings.Contains(text, "%!") || strings.Count(text, "http") != 1 { // the name space
		t.Errorf("not fit for a page:\n%s", text)
	}
}

// What cannot be quoted is an error that says where.
func TestErrors(t *testing.T) {
	all := []string{"answer", "networks", "picture", "recipe", "example", "accuracy", "compression", "training"}
	readme := func(runs string, names ...string) string {
		return "<!-- runs: " + runs + " -->\n<!-- peers: -->\n" + regions(names...)
	}
	for name, test := range map[string]struct{ path, text, want string }{
		"no runs line":    {"README.md", regions(all...), "README.md: no line <!-- runs: RUN... -->"},
		"no runs":         {"README.md", "<!-- runs: -->\n<!-- peers: -->\n" + regions(all...), "names no runs"},
		"no peers line":   {"README.md", "<!-- runs: results/m/a -->\n" + regions(all...), "README.md: no line <!-- peers: RUN... -->"},
		"no such peers":   {"README.md", "<!-- runs: results/m/a -->\n<!-- peers: results/m/a -->\n" + regions(all...), filepath.Join("results", "m", "a", "peers.txt")},
		"two of peers":    {"README.md", "<!-- runs: results/m/a -->\n<!-- peers: x y -->\n" + regions(all...), "x, y: expected one run of peers"},
		"bad peers":       {"results/m/p/peers.txt", "PASS\n", "no usable result of BenchmarkPeer"},
		"run not there":   {"README.md", readme("results/m/b", all...), filepath.Join("results", "m", "b", "bench.txt")},
		"two commits":     {"README.md", readme("results/m/a results/m/other", all...), "different commits"},
		"region missing":  {"README.md", readme("results/m/a", all[1:]...), "no line <!-- generated: answer -->"},
		"region twice":    {"README.md", readme("results/m/a", "answer", "answer"), `line 6: generated region "answer", expected each of`},
		"unknown region":  {"README.md", readme("results/m/a", "advert"), `line 3: generated region "advert", expected each of`},
		"region open":     {"README.md", readme("results/m/a") + "<!-- generated: answer -->\n", `line 3: generated region "answer" has no line "<!-- end -->"`},
		"no samples":      {"results/m/a/bench.txt", "PASS\n", "no usable result of"},
		"no scalar":       {"results/m/a/bench.txt", "BenchmarkNet/net=alexnet/algo=auto/isa=avx2 1 5000000 ns/op\n", "results/m/a: squeezenet1.0 was not measured with direct and auto on avx2 and the scalar kernels"},
		"no vectors":      {"results/m/a/bench.txt", "BenchmarkNet/net=alexnet/algo=auto/isa=scalar 1 5000000 ns/op\n", "results/m/a: no network on vector instructions"},
		"bad samples":     {"results/m/a/bench.txt", "BenchmarkNet/net=alexnet/algo=auto/isa=avx2 1 5000000 ns/op\nBenchmarkNet/net=x/isa=avx2 1 1 ns/op\n", "unknown network \"x\""},
		"recipe changed":  {"asmgen/recipes/maxpool.go", "package recipes\n", `asmgen/recipes/maxpool.go: no line matches`},
		"assembly cut":    {"kernels/neon/maxpool_arm64.s", "vector:\n\tRET\n", `kernels/neon/maxpool_arm64.s: no line after "vector:" matches`},
		"no accuracy":     {"results/accuracy.md", "# Accuracy\n", "results/accuracy.md: no line matches"},
		"no ladder":       {"results/compression.md", "# Compression\n", "results/compression.md: no line matches"},
		"no targets":      {"results/training.md", "# Training\n", "results/training.md: no line matches"},
		"no column":       {"results/compression.md", "| step | ms |\n|---|---:|\n\n", `results/compression.md: no column "bytes on disk" in its table`},
		"short row":       {"results/compression.md", "| step | bytes on disk | smaller | ms | × as fast | top-1 as the first |\n|---|\n\n", "results/compression.md: a row of its table is too short: |---|"},
		"no example":      {"net/preprocess/example_test.go", "package p\n\nfunc top() {}\n", "net/preprocess/example_test.go: no function Example"},
		"broken example":  {"net/preprocess/example_test.go", "package\n", "net/preprocess/example_test.go:1:"},
		"example missing": {"net/preprocess/example_test.go", "", "example_test.go"},
	} {
		root := project(t)
		if write(t, root, test.path, test.text); test.text == "" {
			os.Remove(filepath.Join(root, test.path))
		}
		if _, err := generate(root, nil); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: error %v, want %q", name, err, test.want)
		}
	}
}

// The command writes what has changed and nothing else.
func TestRun(t *testing.T) {
	t.Chdir(project(t))
	var stderr bytes.Buffer
	if status := run(nil, &stderr); status != 0 || strings.Count(stderr.String(), "wrote ") != 6 {
		t.Errorf("status %d, stderr %q", status, stderr.String())
	}
	stderr.Reset()
	if status := run(nil, &stderr); status != 0 || stderr.Len() > 0 {
		t.Errorf("again: status %d, stderr %q", status, stderr.String())
	}
	if status := run([]string{"results/m/b"}, &stderr); status != 1 || !strings.HasPrefix(stderr.String(), "readme: ") {
		t.Errorf("no such run: status %d, stderr %q", status, stderr.String())
	}
	if status := run([]string{"-x"}, &stderr); status != 2 {
		t.Errorf("-x: status %d, stderr %q", status, stderr.String())
	}
}
