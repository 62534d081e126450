package report

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"firebench/compare/samples"
)

func TestLayersByOutput(t *testing.T) {
	layer := func(net, layer string) string {
		return lines("Layer/net="+net+"/layer="+layer+"/op=any/isa=avx2", 1)
	}
	r := rowsOf(t, layer("alexnet", "conv3")+layer("alexnet", "conv1")+layer("squeezenet1.0", "conv10")+
		layer("squeezenet1.0", "fire9.expand3x3")+layer("squeezenet1.0", "conv1")+layer("squeezenet1.1", "conv1")+layer("alexnet", "fc6"))
	var got []string
	for _, l := range r.layers {
		got = append(got, fmt.Sprint(l.part.Out.H, " ", l.part.Net.Name, " ", l.part.Name, " ", l.part.Op))
	}
	want := []string{
		"111 squeezenet1.0 conv1 conv7x7",
		"55 alexnet conv1 conv11x11",
		"13 squeezenet1.0 fire9.expand3x3 conv3x3",
		"13 squeezenet1.0 conv10 conv1x1",
		"13 alexnet conv3 conv3x3",
		"1 alexnet fc6 dense",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
	if hasNote(r, "cannot be paired: no such layer of alexnet was measured") != 1 || hasNote(r, "no such layer of squeezenet1.0") != 2 {
		t.Errorf("notes %q", r.notes)
	}
}

// Layers that multiply nothing have no algorithm, whatever the names of their benchmarks say.
func TestLayersWithoutAlgorithm(t *testing.T) {
	in := ""
	for _, net := range DefaultNets {
		for _, l := range network(t, net).Layers {
			in += marked("net="+net+"/layer="+l.Name, "direct", 1, 1)
		}
	}
	d, _ := load(t, false, []byte(header+in))
	made := layersTable.make(newBuilder(d, nil))
	key, op, head := slices.Index(made.keys, "algo"), slices.Index(made.keys, "op"), slices.Index(made.head, "algo")
	got := make(map[string]bool)
	i := 0
	for _, g := range made.groups {
		for _, row := range g.rows {
			got[fmt.Sprintf("%v %q %s", made.records[i][op], made.records[i][key], row[head])] = true
			i++
		}
	}
	for have := range got {
		multiplies := strings.HasPrefix(have, "conv") || strings.HasPrefix(have, "dense ")
		if want := map[bool]string{true: ` "direct" direct`, false: ` "" -`}[multiplies]; !strings.HasSuffix(have, want) {
			t.Errorf("%s, want %s", have, want)
		}
	}
	if len(got) < 6 {
		t.Errorf("only %v", got)
	}
}

// Networks are shown with every algorithm, stages and layers as auto runs them.
func TestAlgorithms(t *testing.T) {
	timed := func(name, algo string, ms float64) string { return lines(name+"/algo="+algo+"/isa=avx2", ms) }
	in := ""
	for i, algo := range []string{"winograd", "direct", "auto"} {
		in += timed("Net/net=squeezenet1.0", algo, 10*float64(i+1)) + timed("Stage/net=squeezenet1.0/stage=27", algo, float64(i+1))
	}
	for i, algo := range []string{"winograd", "direct"} {
		in += timed("Net/net=alexnet", algo, 40*float64(i+1)) + timed("Stage/net=alexnet/stage=27", algo, float64(i+4))
	}
	in += timed("Stage/net=alexnet/stage=13", "winograd", 9) +
		marked("net=squeezenet1.0/layer=conv1", "direct", 0, 6) + marked("net=squeezenet1.0/layer=conv1", "winograd", 1, 3) +
		marked("net=squeezenet1.0/layer=conv10", "direct", 1, 3) +
		marked("net=squeezenet1.0/layer=fire9.expand3x3", "direct", 0, 2) + // the pick is missing
		lines("Layer/net=squeezenet1.0/layer=pool10/algo=direct/isa=avx2", 1.5) +
		marked("net=alexnet/layer=conv2", "winograd", 1, 10) + marked("net=alexnet/layer=conv2", "direct", 0, 8)
	r := rowsOf(t, in)

	var got []string
	for _, n := range r.networks {
		got = append(got, fmt.Sprint(n.net.Name, " ", n.config.Algo, " ", n.ms.median))
	}
	for _, s := range r.stages {
		for _, side := range s.sides {
			if side.time != nil {
				got = append(got, fmt.Sprint(side.net.Name, " ", s.stage, " ", side.algo, " ", side.time.ms.median))
			}
		}
		if want := "avx2, 1 thread, auto (A) and direct (B)"; s.title != want {
			t.Errorf("title %q, want %q", s.title, want)
		}
	}
	for _, l := range r.layers {
		got = append(got, fmt.Sprint(l.part.Net.Name, " ", l.part.Name, " ", l.config.Algo, " ", l.ms.median, ", ", *l.netPct, " % net"))
	}
	want := []string{
		"squeezenet1.0 auto 30",
		"squeezenet1.0 direct 20",
		"squeezenet1.0 winograd 10",
		"alexnet direct 80",
		"alexnet winograd 40",
		"squeezenet1.0 27 auto 3",
		"alexnet 27 direct 5",
		"squeezenet1.0 net auto 30",
		"alexnet net direct 80",
		"squeezenet1.0 conv1 winograd 3, 10 % net",
		"alexnet conv2 winograd 10, 25 % net", // auto was not timed
		"squeezenet1.0 fire9.expand3x3 direct 2, 10 % net",
		"squeezenet1.0 conv10 direct 3, 10 % net",
		"squeezenet1.0 pool10 direct 1.5, 5 % net",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	for _, want := range []string{
		"avx2, 1 thread, auto: not measured of squeezenet1.0: stage stem, 55, 13, head",
		"avx2, 1 thread, direct: not measured of alexnet: stage stem, 55, 13, head",
	} {
		if hasNote(r, want) != 1 {
			t.Errorf("no note %q in %q", want, r.notes)
		}
	}
	for algos, want := range map[[2]string]string{
		{"", ""}: "x", {"auto", "auto"}: "x, auto", {"", "direct"}: "x, direct", {"direct", ""}: "x, direct",
	} {
		if got := withAlgo("x", sideAlgos([]samples.Config{{Algo: algos[0]}, {Algo: algos[1]}})); got != want {
			t.Errorf("%q: %q, want %q", algos, got, want)
		}
	}
}
