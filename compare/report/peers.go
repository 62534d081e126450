package report

import (
	"fmt"
	"math"
	"slices"

	"firebench/compare/peers/timings"
	"firebench/compare/samples"
)

// peersTable shows each network beside the fastest of the other engines that were timed with it.
var peersTable = tableKind{"peers", func(b *builder) *table {
	var rows []peerRow
	for _, run := range b.peers {
		rows = append(rows, peerRows(run)...)
	}
	steps := ""
	if slices.ContainsFunc(rows, func(r peerRow) bool { return r.row.Type == timings.Train }) {
		steps = fmt.Sprintf(", of type %s per step on %d images", timings.Train, timings.TrainBatch)
	}
	ratio := func(r peerRow) *estimate { return r.ratio }
	t := newTable("Networks beside their fastest peer", rows, func(r peerRow) string { return r.title },
		[]column[peerRow]{
			{key: "net", head: "network", left: true, value: func(r peerRow) any { return r.row.Net }},
			{key: "type", head: "type", left: true, value: func(r peerRow) any { return r.row.Type }},
			{key: "threads", value: func(r peerRow) any { return r.row.Threads }},
			{key: "ms", head: "ms", value: func(r peerRow) any { return r.ms }, show: digits4},
			{key: "peer", head: "fastest peer", left: true, value: func(r peerRow) any { return r.peer }},
			{key: "peer_ms", head: "its ms", value: func(r peerRow) any { return r.peerMS }, show: digits4},
		},
		estimateColumns("over_firebench", "× Firebench", ratio),
	)
	t.explainColumns(
		explanation{"its ms", "ms and its ms are the medians of the rounds in which Firebench and its peers took turns: milliseconds per image" + steps + "."},
		explanation{"× Firebench", "× Firebench is the time of the fastest peer over that of Firebench, the median of the ratios within the rounds: below 1 the peer is faster."},
		explainInterval)
	return t
}}

// A peerRow is a network that was timed with other engines.
type peerRow struct {
	row    timings.Row
	title  string // threads and, where there are several, the recording, in words
	ms     number // of Firebench
	peer   string
	peerMS number
	ratio  *estimate
}

// peerRows returns the rows of a run that a peer has.
func peerRows(run *timings.Run) []peerRow {
	var rows []peerRow
	for _, row := range run.Rows {
		ours, _ := run.MS(row, timings.Firebench)
		peer, ok := run.Best(row)
		if !ok {
			continue
		}
		theirs, _ := run.MS(row, peer)
		ratio, _ := run.Ratio(row, peer)
		e := &estimate{median: number(ratio.Median), n: len(run.Samples[row][peer])}
		if !math.IsInf(ratio.Hi, 1) {
			e.lo, e.hi = known(ratio.Lo), known(ratio.Hi)
		}
		rows = append(rows, peerRow{row, fmt.Sprintf("%s, recorded %s, commit %s", samples.Plural(row.Threads, "thread"), run.Recorded, run.Commit), number(ours), peer, number(theirs), e})
	}
	slices.SortStableFunc(rows, func(x, y peerRow) int { return x.row.Threads - y.row.Threads })
	return rows
}
