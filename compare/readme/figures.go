package main

import (
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"firebench/compare/peers/timings"
	"firebench/compare/report"
	"firebench/compare/samples"
	"firebench/kernels"
)

// maxNetworks is how many rows the table of networks has at most.
const maxNetworks = 10

// figures are what README.md says about recorded runs.
type figures struct {
	*samples.Data
	dirs    []string // of the runs, relative to README.md
	run     *samples.Run
	vectors []kernels.ISA               // all that were measured in float32 but the scalar one, slowest first
	int8    map[kernels.ISA]kernels.ISA // the best that were measured in int8, by the one that is compared with them
	threads int                         // the most
	peers   *timings.Run                // nil for none
	beside  string                      // the folder of peers
}

// read returns the figures of runs, folders below root, and of one of peers at most.
func read(root string, runs, peers []string) (*figures, error) {
	nets, err := samples.Networks()
	if err != nil {
		return nil, err
	}
	f := &figures{Data: samples.New(nets, false), dirs: runs, threads: 1}
	var log strings.Builder
	for _, dir := range runs {
		if err := f.ReadFile(filepath.Join(root, filepath.FromSlash(dir), "bench.txt"), &log); err != nil {
			return nil, err
		}
	}
	if log.Len() > 0 {
		return nil, errors.New(strings.TrimSpace(log.String()))
	}
	if f.Results == 0 {
		return nil, errors.New("README.md names no runs")
	}
	f.run = f.Runs[0]
	isas := make(map[kernels.ISA]bool)
	f.int8 = make(map[kernels.ISA]kernels.ISA)
	for k := range f.Cells {
		if k.Part == nil || k.Part.Kind != samples.Net || k.Pass != "" || k.ISA == kernels.Scalar {
			continue
		}
		if f.threads = max(f.threads, k.Threads); k.Type == samples.Int8 {
			f.int8[k.ISA.Float32()] = max(f.int8[k.ISA.Float32()], k.ISA)
		} else {
			isas[k.ISA] = true
		}
	}
	if len(isas) == 0 {
		return nil, fmt.Errorf("%s: no network on vector instructions", strings.Join(runs, ", "))
	}
	f.vectors = slices.Sorted(maps.Keys(isas))
	return f, f.readPeers(root, peers)
}

// readPeers reads the run of the peers, if there is one.
func (f *figures) readPeers(root string, peers []string) (err error) {
	if len(peers) > 1 {
		return fmt.Errorf("%s: expected one run of peers", strings.Join(peers, ", "))
	}
	for _, dir := range peers {
		f.beside = dir
		if f.peers, err = timings.ReadFile(filepath.Join(root, filepath.FromSlash(dir), peersFile)); err != nil {
			return err
		}
		if err := f.peers.SameMachine(func(key string) string { return f.run.Facts[key] }); err != nil {
			return fmt.Errorf("%s: %w", dir, err)
		}
	}
	return nil
}

// besides returns the numbers of threads with which networks were timed beside peers.
func (f *figures) besides() []int {
	var threads []int
	if f.peers != nil {
		for _, row := range f.peers.Rows {
			if !slices.Contains(threads, row.Threads) {
				threads = append(threads, row.Threads)
			}
		}
	}
	slices.Sort(threads)
	return threads
}

// bestPeer is the fastest peer of a row, with its ms and how many times as long it takes.
func (f *figures) bestPeer(row timings.Row) string {
	peer, ok := f.peers.Best(row)
	if !ok {
		return "-"
	}
	ms, _ := f.peers.MS(row, peer)
	ratio, _ := f.peers.Ratio(row, peer)
	return fmt.Sprintf("%s %s (%s)", peer, digits3(ms), digits3(ratio.Median))
}

// best is the best instruction set that was measured in float32.
func (f *figures) best() kernels.ISA { return f.vectors[len(f.vectors)-1] }

// config is one image in float32 on an instruction set.
func (f *figures) config(isa kernels.ISA, threads int, algo string) samples.Config {
	return samples.Config{ISA: isa, Threads: threads, Batch: 1, Type: samples.F32, Algo: algo}
}

// typed is c with a type, on the best instruction set for it that is compared with that of c.
func (f *figures) typed(c samples.Config, typ string) samples.Config {
	if isa, ok := f.int8[c.ISA]; ok && typ == samples.Int8 {
		c.ISA = isa
	}
	c.Type = typ
	return c
}

// ms returns the median time of a part in milliseconds.
func (f *figures) ms(p *samples.Part, c samples.Config) (ms float64, ok bool) {
	cell := f.Cells[samples.Key{Part: p, Config: c}]
	if cell == nil {
		return 0, false
	}
	return 1e3 * samples.Median(cell.Values), true
}

// peakPct returns the median share of the peak that a part reached, in percent.
func (f *figures) peakPct(p *samples.Part, c samples.Config) (pct float64, ok bool) {
	cell := f.Cells[samples.Key{Part: p, Config: c}]
	if cell == nil || len(cell.OwnPeak) == 0 {
		return 0, false
	}
	return samples.Median(cell.OwnPeak), true
}

// answer answers the question how close Go can come to the machine.
func (f *figures) answer() (string, error) {
	net, err := samples.Lookup(f.Networks, report.DefaultNets[0])
	if err != nil {
		return "", err
	}
	direct, auto := f.config(f.best(), 1, samples.Direct), f.config(f.best(), 1, kernels.Auto)
	pct, okPct := f.peakPct(net.Whole, direct)
	directMs, okDirect := f.ms(net.Whole, direct)
	autoMs, okAuto := f.ms(net.Whole, auto)
	scalarMs, okScalar := f.ms(net.Whole, direct.Scalar())
	if !okPct || !okDirect || !okAuto || !okScalar {
		return "", fmt.Errorf("%s: %s was not measured with %s and %s on %v and the scalar kernels",
			strings.Join(f.dirs, ", "), net.Name, samples.Direct, kernels.Auto, f.best())
	}
	text := fmt.Sprintf("On one core, %s runs at **%.0f %%** of the machine's peak, the speed of a loop of nothing but multiply-adds, while it computes every\n"+
		"product, %s times as fast as portable Go; with Winograd's algorithm, which needs fewer products, a picture takes **%s ms instead of %s**.\n",
		net.Name, pct, digits3(scalarMs/directMs), digits3(autoMs), digits3(directMs))
	if ms, ok := f.ms(net.Whole, f.typed(auto, samples.Int8)); ok {
		text += fmt.Sprintf("In int8, whose results have the same bits on every instruction set, it takes **%s ms**: %s times as fast.\n", digits3(ms), digits3(autoMs/ms))
	}
	return text, nil
}

// networks is the table of networks and where its figures come from.
func (f *figures) networks() (string, error) {
	type column struct {
		head   string
		config samples.Config
	}
	columns := []column{{"scalar", f.config(kernels.Scalar, 1, samples.Direct)}}
	for _, isa := range f.vectors {
		columns = append(columns,
			column{fmt.Sprintf("%v, %s", isa, samples.Direct), f.config(isa, 1, samples.Direct)},
			column{fmt.Sprintf("%v, %s", isa, kernels.Auto), f.config(isa, 1, kernels.Auto)})
	}
	if f.threads > 1 {
		columns = append(columns, column{fmt.Sprintf("%v, %s, %d threads", f.best(), kernels.Auto, f.threads), f.config(f.best(), f.threads, kernels.Auto)})
	}

	columns = slices.DeleteFunc(columns, func(c column) bool {
		return !slices.ContainsFunc(f.Networks, func(n *samples.Network) bool { _, ok := f.ms(n.Whole, c.config); return ok })
	})
	types := samples.Types()
	if len(f.int8) == 0 {
		types = types[:1]
	}

	var b strings.Builder
	b.WriteString("| ms per image |")
	rule := "| --- |"
	for _, c := range columns {
		fmt.Fprintf(&b, " %s |", c.head)
		rule += " ---: |"
	}
	for _, head := range []string{"× scalar", "× float32"}[:len(types)] {
		fmt.Fprintf(&b, " %s |", head)
		rule += " ---: |"
	}
	for _, threads := range f.besides() {
		head := "best peer"
		if threads > 1 {
			head += ", " + samples.Plural(threads, "thread")
		}
		fmt.Fprintf(&b, " %s |", head)
		rule += " --- |"
	}
	fmt.Fprintf(&b, "\n%s\n", rule)
	rows := 0
	for _, net := range f.Networks {
		scalar, ok := f.ms(net.Whole, f.config(kernels.Scalar, 1, samples.Direct))
		if !ok {
			continue
		}
		if rows++; rows > maxNetworks {
			return "", fmt.Errorf("more than %d networks", maxNetworks)
		}
		for _, typ := range types {
			fmt.Fprintf(&b, "| %s |", withType(net.Name, typ))
			speedup := []string{"-", "-"}[:len(types)]
			for _, c := range columns {
				cell := "-"
				if ms, ok := f.ms(net.Whole, f.typed(c.config, typ)); ok {
					cell = digits3(ms)
					if c.config.Threads == 1 {
						speedup[0] = digits3(scalar / ms)
						if float32, ok := f.ms(net.Whole, c.config); ok && typ != samples.F32 {
							speedup[1] = digits3(float32 / ms)
						}
					}
				}
				fmt.Fprintf(&b, " %s |", cell)
			}
			for _, threads := range f.besides() {
				speedup = append(speedup, f.bestPeer(timings.Row{Net: net.Name, Type: typ, Threads: threads}))
			}
			fmt.Fprintf(&b, " %s |\n", strings.Join(speedup, " | "))
		}
	}

	var links []string
	for _, dir := range f.dirs {
		links = append(links, fmt.Sprintf("[%s](%s)", filepath.Base(dir), dir))
	}
	machine := f.run.Facts["cpu"]
	if id := f.run.Facts["cpu-id"]; id != "" {
		machine += ", family/model/stepping " + id
	}
	fmt.Fprintf(&b, "\nMedians of %s, one image at a time, on one thread unless the column says more; × scalar is the time of `scalar` in float32 over that of the\n"+
		"last column of one thread", f.sampleCount())
	if len(types) > 1 {
		b.WriteString(", × float32 the time in float32 over that in int8, both of that column")
		for _, isa := range f.vectors {
			if best, ok := f.int8[isa]; ok && best != isa {
				fmt.Fprintf(&b, "; int8 runs on %v where the column says %v", best, isa)
			}
		}
	}
	if f.peers != nil {
		var names []string
		for _, e := range f.peers.Engines {
			if name := e.Impl + " " + e.Version; e.Impl != timings.Firebench && !slices.Contains(names, name) {
				names = append(names, name)
			}
		}
		fmt.Fprintf(&b, ".\nThe best peer is the fastest of %s, with its ms and, in brackets, its time over that of\n"+
			"Firebench, which took turns with it: below 1 the peer is faster. All of them, with intervals and settings: [%s](%s)",
			strings.Join(names, ", "), filepath.Base(f.beside), f.beside)
	}
	fmt.Fprintf(&b, ".\nMeasured on %s with %s cores (%s/%s, caches %s) at commit %s;\nall samples and tables: %s.\n",
		machine, f.run.Facts["cores"], f.run.Facts["goos"], f.run.Facts["goarch"], f.run.Facts["caches"], f.run.Commit, strings.Join(links, ", "))
	return b.String(), nil
}

// withType names a type beside a network where it is another one than float32.
func withType(net, typ string) string {
	if typ == samples.F32 {
		return net
	}
	return net + ", " + typ
}

// sampleCount says how many samples the networks have on one thread.
func (f *figures) sampleCount() string {
	least, most := 0, 0
	for k, c := range f.Cells {
		if k.Part != nil && k.Part.Kind == samples.Net && k.Pass == "" && k.Threads == 1 && k.Batch == 1 {
			if n := len(c.Values); least == 0 || n < least {
				least = n
			}
			most = max(most, len(c.Values))
		}
	}
	if least == most {
		return samples.Plural(most, "sample")
	}
	return fmt.Sprintf("%d to %d samples", least, most)
}

// digits3 shows a positive number with three digits.
func digits3(v float64) string {
	switch {
	case v >= 99.95:
		return fmt.Sprintf("%.0f", v)
	case v >= 9.995:
		return fmt.Sprintf("%.1f", v)
	}
	return fmt.Sprintf("%.2f", v)
}

// A panel is one network of the picture.
type panel struct {
	net  string
	bars []bar
}

// A bar is one stage of the picture. Bars of one panel add up to the network.
type bar struct {
	stage     string
	ms, limit float64 // limit is the time of the direct algorithm at the peak
	pct       float64 // of the peak; 0 without multiply-adds
}

// panels returns what the picture shows: the stages of the networks that are compared by
// default, as auto runs them on one thread, in int8 if the network was measured so.
func (f *figures) panels() ([]panel, error) {
	c := f.config(f.best(), 1, kernels.Auto)
	var panels []panel
	for _, name := range report.DefaultNets {
		net, err := samples.Lookup(f.Networks, name)
		if err != nil {
			return nil, err
		}
		for _, typ := range samples.Types() {
			c := f.typed(c, typ)
			if _, ok := f.ms(net.Whole, c); !ok && typ != samples.F32 {
				continue
			}
			p := panel{net: withType(name, typ)}
			if c.ISA != f.best() {
				p.net += fmt.Sprintf(" on %v", c.ISA)
			}
			for _, s := range net.Stages {
				ms, ok := f.ms(s, c)
				if !ok {
					return nil, fmt.Errorf("%s: stage %s of %s was not measured with %v, %s", strings.Join(f.dirs, ", "), s.Name, name, c, kernels.Auto)
				}
				pct, _ := f.peakPct(s, c)
				stage := s.Name
				if size, err := strconv.Atoi(stage); err == nil {
					stage = fmt.Sprintf("%d×%d", size, size) // of its outputs
				}
				p.bars = append(p.bars, bar{stage, ms, ms * pct / 100, pct})
			}
			panels = append(panels, p)
		}
	}
	return panels, nil
}

// picture shows the picture and says what it shows.
func (f *figures) picture() (string, error) {
	panels, err := f.panels()
	if err != nil {
		return "", err
	}
	var alt []string
	for _, p := range panels {
		var stages []string
		for _, b := range p.bars {
			stages = append(stages, fmt.Sprintf("%s %s", b.stage, digits3(b.ms)))
		}
		alt = append(alt, fmt.Sprintf("%s: %s", p.net, strings.Join(stages, ", ")))
	}
	return fmt.Sprintf("![Milliseconds per image by stage, %v on one thread. %s](%s)\n", f.best(), strings.Join(alt, "; "), picture), nil
}

// svg draws the picture. It needs no fonts and suits light and dark pages.
func (f *figures) svg() ([]byte, error) {
	panels, err := f.panels()
	if err != nil {
		return nil, err
	}
	const (
		width, left, right = 860, 70, 160 // pixels; text stands left and right of the bars
		pitch, height      = 24, 15       // of bars
		above              = 34           // of each panel, for its title
		below              = 44           // the picture's legend
	)
	longest, rows := 0.0, 0
	for _, p := range panels {
		rows += len(p.bars)
		for _, b := range p.bars {
			longest = max(longest, b.ms, b.limit)
		}
	}
	scale := (width - left - right) / longest
	total := len(panels)*above + rows*pitch + below

	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" viewBox="0 0 %[1]d %[2]d" role="img" font-family="system-ui, sans-serif" font-size="13">
<style>
text { fill: #1f2328 } .quiet { fill: #59636e } .bar { fill: #2f81f7 } .limit { fill: #bc4c00 }
@media (prefers-color-scheme: dark) { text { fill: #e6edf3 } .quiet { fill: #9198a1 } .limit { fill: #f0883e } }
</style>
`, width, total)
	fmt.Fprintf(&b, "<title>Milliseconds per image by stage, %v on one thread</title>\n", f.best())
	y := 0
	for _, p := range panels {
		y += above
		sum := 0.0
		for _, s := range p.bars {
			sum += s.ms
		}
		fmt.Fprintf(&b, "<text x=\"0\" y=\"%d\"><tspan font-weight=\"bold\">%s</tspan><tspan class=\"quiet\" dx=\"20\">%s ms in all stages</tspan></text>\n", y-10, p.net, digits3(sum))
		for _, s := range p.bars {
			fmt.Fprintf(&b, "<text x=\"%d\" y=\"%d\" text-anchor=\"end\">%s</text>", left-10, y+height-3, s.stage)
			fmt.Fprintf(&b, "<rect class=\"bar\" x=\"%d\" y=\"%d\" width=\"%.1f\" height=\"%d\"/>", left, y, s.ms*scale, height)
			label := digits3(s.ms) + " ms"
			if s.pct > 0 {
				fmt.Fprintf(&b, "<rect class=\"limit\" x=\"%.1f\" y=\"%d\" width=\"3\" height=\"%d\"/>", left+s.limit*scale-1.5, y-3, height+6)
				label += fmt.Sprintf(", %.0f %% of peak", s.pct)
			}
			fmt.Fprintf(&b, "<text class=\"quiet\" x=\"%.1f\" y=\"%d\">%s</text>\n", left+max(s.ms, s.limit)*scale+8, y+height-3, label)
			y += pitch
		}
	}
	fmt.Fprintf(&b, "<rect class=\"bar\" x=\"%d\" y=\"%d\" width=\"24\" height=\"%d\"/><text x=\"%d\" y=\"%d\">measured, %v on one thread</text>", left, y+18, height, left+32, y+18+height-3, f.best())
	fmt.Fprintf(&b, "<rect class=\"limit\" x=\"%d\" y=\"%d\" width=\"3\" height=\"%d\"/><text x=\"%d\" y=\"%d\">the time of the direct algorithm at the peak</text>\n</svg>\n", left+270, y+15, height+6, left+282, y+18+height-3)
	return []byte(b.String()), nil
}
