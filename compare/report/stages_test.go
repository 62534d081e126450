package report

import (
	"cmp"
	"fmt"
	"os"
	"slices"
	"strconv"
	"testing"

	"firebench/compare/samples"

	"golang.org/x/perf/benchfmt"
	"golang.org/x/perf/benchmath"
	"golang.org/x/perf/benchproc"
)

func TestStatistics(t *testing.T) {
	const stage27 = "Stage/net=%s/stage=27/isa=avx2"
	a, b := fmt.Sprintf(stage27, "squeezenet1.0"), fmt.Sprintf(stage27, "alexnet")

	// Six against six without overlap: 2 of the 12!/(6!·6!) orders are as extreme.
	r := rowsOf(t, lines(a, 6, 1, 5, 2, 4, 3)+lines(b, 17, 18, 19, 20, 21, 22))
	row := r.stages[0]
	near(t, "p", *row.p, 2.0/924)
	near(t, "ratio", *row.ratio, 3.5/19.5)
	near(t, "median", row.sides[0].time.ms.median, 3.5)
	near(t, "low", *row.sides[0].time.ms.lo, 1) // the whole range: 96.9% of six
	near(t, "high", *row.sides[0].time.ms.hi, 6)
	if row.sides[0].time.ms.n != 6 {
		t.Errorf("n = %d, want 6", row.sides[0].time.ms.n)
	}
	near(t, "GOP/s", *row.sides[1].time.gops, 2*float64(network(t, "alexnet").Find(samples.Stage, "27").Cost.MACs)/19.5e-3/1e9)

	// Ten: the second and the ninth, 97.9%.
	r = rowsOf(t, lines(a, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1))
	near(t, "low of ten", *r.stages[0].sides[0].time.ms.lo, 2)
	near(t, "high of ten", *r.stages[0].sides[0].time.ms.hi, 9)

	// Too few: no interval, no significance, and benchmath says so once.
	r = rowsOf(t, lines(a, 1, 2)+lines(b, 3, 4)+lines("Net/net=alexnet/isa=avx2", 5, 6))
	row = r.stages[0]
	if row.sides[0].time.ms.lo != nil || row.sides[0].time.ms.hi != nil {
		t.Errorf("an interval of two samples: %+v", row.sides[0].time.ms)
	}
	if row.p != nil {
		t.Errorf("p = %v of two and two samples, want none", *row.p)
	}
	near(t, "ratio of two", *row.ratio, 1.5/3.5)
	for _, n := range []int{1, 3, 4, 6} { // four are the fewest that 0.05 can be reached with
		times := []float64{1, 2, 3, 4, 5, 6}[:n]
		for _, second := range [][]float64{times, {11, 12, 13, 14, 15, 16}} {
			row := rowsOf(t, lines(a, times...)+lines(b, second[:n]...)).stages[0]
			if known := row.p != nil; known != (n >= 4) {
				t.Errorf("%d and %d samples: a p: %v", n, n, known)
			}
		}
	}
	for _, want := range []string{"samples for confidence interval at level 0.95", "samples to detect a difference at alpha level 0.05"} {
		if n := hasNote(r, want); n != 1 {
			t.Errorf("%d notes %q, want 1: %q", n, want, r.notes)
		}
	}

	r = rowsOf(t, lines(a, 1, 1, 1, 1, 1, 1)+lines(b, 1, 1, 1, 1, 1, 1))
	if near(t, "p of equals", *r.stages[0].p, 1); hasNote(r, "all samples are equal") != 1 {
		t.Errorf("notes %q", r.notes)
	}
}

func TestUnpaired(t *testing.T) {
	all := ""
	for _, s := range network(t, "squeezenet1.0").Stages {
		all += lines("Stage/net=squeezenet1.0/stage="+s.Name+"/isa=avx2", 2)
	}
	all += lines("Stage/net=alexnet-owt/stage=27/isa=avx2", 4) + lines("Stage/net=alexnet-owt/stage=27/isa=scalar", 40)
	r := rowsOfNets(t, []string{"squeezenet1.0", "alexnet-owt"}, all)
	for _, want := range []string{
		"stage 55 cannot be paired: only squeezenet1.0 has it",
		"stage stem is paired by its place, not its size: 111×111 in squeezenet1.0, 55×55 in alexnet-owt",
		"avx2, 1 thread: not measured of alexnet-owt: stage stem, 13, head",
		"no BenchmarkLayer of squeezenet1.0 or alexnet-owt",
		"no BenchmarkLayer with more than one algorithm",
	} {
		if hasNote(r, want) != 1 {
			t.Errorf("no note %q in %q", want, r.notes)
		}
	}
	var names []string
	for _, row := range r.stages {
		names = append(names, row.stage)
		if row.config.ISA.String() != "avx2" {
			t.Errorf("stage %s of %s, which is not the best", row.stage, row.config.ISA)
		}
		if paired := row.ratio != nil; paired != (row.stage == "27") {
			t.Errorf("stage %s: paired %v", row.stage, paired)
		}
	}
	if want := []string{"stem", "55", "27", "13", "head", "sum"}; !slices.Equal(names, want) {
		t.Errorf("stages %q, want %q", names, want)
	}
	sum := r.stages[len(r.stages)-1]
	if near(t, "sum", sum.sides[0].time.ms.median, 10); sum.sides[1].time != nil {
		t.Errorf("a sum of some of alexnet-owt's stages: %+v", sum.sides[1].time)
	}
	r = rowsOfNets(t, []string{"alexnet-owt", "squeezenet1.0"}, all)
	if hasNote(r, "stage 55 cannot be paired: only squeezenet1.0 has it") != 1 || r.stages[1].stage != "55" || r.stages[1].sides[0].time != nil {
		t.Errorf("the networks exchanged: notes %q, row %+v", r.notes, r.stages[1])
	}

	r = rowsOf(t, lines("Net/net=squeezenet1.1/isa=avx2", 3))
	if hasNote(r, "no BenchmarkStage of squeezenet1.0 or alexnet") != 1 || len(r.networks) != 1 {
		t.Errorf("notes %q", r.notes)
	}
}

// Our pairs are those of go tool benchstat -filter /algo:auto -col /net -row /stage, a table for each type, with its p-values.
func TestPairsLikeBenchstat(t *testing.T) {
	f, err := os.Open(bench)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	filter, err := benchproc.NewFilter(".name:Stage /algo:auto")
	if err != nil {
		t.Fatal(err)
	}
	var parser benchproc.ProjectionParser
	project := func(s string) *benchproc.Projection {
		p, err := parser.Parse(s, filter)
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	tableBy, rowBy, colBy := project(".config,.name,/algo,/isa,/gomaxprocs,/type"), project("/stage"), project("/net")
	residue := parser.Residue()
	type place struct{ table, row, col benchproc.Key }
	values := make(map[place][]float64)
	residues := make(map[place]map[benchproc.Key]bool)
	in := benchfmt.NewReader(f, bench)
	for in.Scan() {
		switch rec := in.Result().(type) {
		case *benchfmt.SyntaxError:
			t.Fatal(rec)
		case *benchfmt.Result:
			if ok, _ := filter.Apply(rec); !ok {
				continue
			}
			at := place{tableBy.Project(rec), rowBy.Project(rec), colBy.Project(rec)}
			sec, ok := rec.Value("sec/op")
			if !ok {
				t.Fatalf("%s: no sec/op", rec.Name)
			}
			values[at] = append(values[at], sec)
			if residues[at] == nil {
				residues[at] = make(map[benchproc.Key]bool)
			}
			residues[at][residue.Project(rec)] = true
		}
	}
	pairs := make(map[[4]string][2][]float64) // by stage, isa, threads and type
	for at, v := range values {
		if len(residues[at]) != 1 {
			t.Errorf("%v: benchstat would merge rows that vary in %v", at.row, residues[at])
		}
		threads := at.table.Get(tableBy.Fields()[4])
		if threads == "" {
			threads = "1"
		}
		typ := cmp.Or(at.table.Get(tableBy.Fields()[5]), samples.F32)
		key := [4]string{at.row.StringValues(), at.table.Get(tableBy.Fields()[3]), threads, typ}
		p := pairs[key]
		p[slices.Index([]string{"squeezenet1.0", "alexnet"}, at.col.StringValues())] = v
		pairs[key] = p
	}

	d, _ := load(t, false, readFile(t, bench))
	compared := 0
	for _, row := range newBuilder(d, nil).stages() {
		if row.stage == "sum" || row.stage == "net" {
			continue
		}
		key := [4]string{row.stage, row.config.ISA.String(), strconv.Itoa(row.config.Threads), row.config.Type}
		p, ok := pairs[key]
		if !ok {
			t.Errorf("benchstat has no row for %v", key)
			continue
		}
		delete(pairs, key)
		if p[0] == nil || p[1] == nil {
			if row.ratio != nil || row.p != nil {
				t.Errorf("%v: paired, but benchstat has nothing to pair", key)
			}
			continue
		}
		a := benchmath.NewSample(p[0], &benchmath.DefaultThresholds)
		b := benchmath.NewSample(p[1], &benchmath.DefaultThresholds)
		sa, sb := benchmath.AssumeNothing.Summary(a, 0.95), benchmath.AssumeNothing.Summary(b, 0.95)
		near(t, row.stage+" a", row.sides[0].time.ms.median, 1e3*sa.Center)
		near(t, row.stage+" b low", *row.sides[1].time.ms.lo, 1e3*sb.Lo)
		near(t, row.stage+" b high", *row.sides[1].time.ms.hi, 1e3*sb.Hi)
		near(t, row.stage+" ratio", *row.ratio, sa.Center/sb.Center)
		near(t, row.stage+" p", *row.p, benchmath.AssumeNothing.Compare(a, b).P)
		compared++
	}
	if len(pairs) > 0 || compared == 0 {
		t.Errorf("%d pairs compared, not in the report: %v", compared, pairs)
	}
}
