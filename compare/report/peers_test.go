package report

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"firebench/bench/machine"
	"firebench/compare/peers/timings"
)

// beside returns times of peers from the machine of the golden file.
func beside() *timings.Run {
	r := &timings.Run{Recorded: "2026-11-24T03:04:05Z", Commit: "ca78fc9d", Facts: []machine.Fact{{Key: "cpu-id", Value: "25/17/1"}, {Key: "cores", Value: "2"}}}
	for threads, factor := range []float64{1.5, 0.5} {
		row := timings.Row{Net: "squeezenet1.0", Type: "f32", Threads: 2 - threads}
		for range 6 {
			r.Add(row, timings.Firebench, timings.Sample{Calls: 10, NS: 4e6})
			r.Add(row, "ncnn", timings.Sample{Calls: 10, NS: 40e6})
			r.Add(row, "openvino", timings.Sample{Calls: 10, NS: 4e6 * factor})
		}
	}
	r.Add(timings.Row{Net: "alexnet", Type: "f32", Threads: 1}, timings.Firebench, timings.Sample{Calls: 1, NS: 1})
	return r
}

// TestPeers: the files with times of peers give a table with the fastest of each row, in order of threads.
func TestPeers(t *testing.T) {
	path := filepath.Join(t.TempDir(), "peers.txt")
	save := func(r *timings.Run) {
		t.Helper()
		f, err := os.Create(path)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		if err := r.Write(f); err != nil {
			t.Fatal(err)
		}
	}
	save(beside())
	var log strings.Builder
	r, err := Read(Options{Tables: []string{"peers"}, Log: &log}, bench, path)
	if err != nil {
		t.Fatal(err)
	}
	var text strings.Builder
	if err := r.Write(&text, "text"); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"1 thread, recorded 2026-11-24T03:04:05Z, commit ca78fc9d\n" +
			"network        type     ms  fastest peer  its ms  × Firebench   95% interval\n" +
			"squeezenet1.0  f32   4.000  openvino       2.000       0.5000  0.5000–0.5000\n",
		"2 threads, recorded 2026-11-24T03:04:05Z, commit ca78fc9d\n" +
			"network        type     ms  fastest peer  its ms  × Firebench  95% interval\n" +
			"squeezenet1.0  f32   4.000  openvino       6.000        1.500   1.500–1.500\n",
	} {
		if !strings.Contains(text.String(), want) {
			t.Errorf("no\n%s\nin\n%s", want, &text)
		}
	}
	if strings.Contains(text.String(), "alexnet") || log.Len() > 0 || len(r.Unreadable) > 0 {
		t.Errorf("log %q, unreadable %v, text\n%s", &log, r.Unreadable, &text)
	}

	if _, err := Read(Options{}, path); err == nil || !strings.HasSuffix(err.Error(), "only times of peers, which go run ./compare/peers -print FILE prints") {
		t.Errorf("alone: error %v", err)
	}
	other := beside()
	other.Facts[1].Value = "64"
	save(other)
	if _, err := Read(Options{}, bench, path); err == nil || !strings.Contains(err.Error(), path+`: times of peers on another machine: its cores is "64", that of the other results "2"`) {
		t.Errorf("another machine: error %v", err)
	}
	if _, err := Read(Options{Mix: true}, bench, path); err != nil {
		t.Errorf("another machine with Mix: error %v", err)
	}
}
