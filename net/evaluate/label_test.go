package evaluate

import (
	"path/filepath"
	"testing"

	"firebench/net/graph"
)

func TestLabel(t *testing.T) {
	for _, test := range []struct {
		path string
		want int
	}{
		{"n02088238_basset.JPEG", 161},
		{"/pictures/n01440764_10026.JPEG", 0},
		{"/pictures/n02088238.jpg", 161},
		{"n02088238/1.jpg", 161},
		{"n02088238_basset/1.jpg", 161},
		{"n02088238/n01440764_10026.JPEG", 0}, // the file's name comes first
		{"daisy/1.jpg", 985},
		{"great white shark/1.jpg", 2},
		{"Great_White_Shark/1.jpg", 2},
		{"daisy/n02088238 a.jpg", 161},

		{"daisy/n00000000_nothing.jpg", Unknown}, // no class has this number
		{"n00000000/1.jpg", Unknown},
		{"crane/1.jpg", Unknown}, // a bird or a machine
		{"n02012849_crane/1.jpg", 134},
		{"tulips/1.jpg", Unknown},
		{"daisy/more/1.jpg", Unknown},
		{"daisy.jpg", Unknown},
		{"n0208823/1.jpg", Unknown},
		{"n020882381_basset.jpg", Unknown},
		{"n02088238a.jpg", Unknown},
		{"xn02088238.jpg", Unknown},
		{"", Unknown},
	} {
		if got := Label(filepath.FromSlash(test.path)); got != test.want {
			t.Errorf("Label(%q) = %d, want %d", test.path, got, test.want)
		}
	}
}

// TestLabelHere: a file in the current folder has that folder's label.
func TestLabelHere(t *testing.T) {
	t.Chdir(t.TempDir())
	if got := Label("1.jpg"); got != Unknown {
		t.Errorf("label %d", got)
	}
	dir := filepath.Join(t.TempDir(), "n02088238")
	mkdir(t, dir)
	t.Chdir(dir)
	if got := Label("1.jpg"); got != 161 {
		t.Errorf("label %d, want 161", got)
	}
}

// TestLabels: a model's own names of classes are what folders have, and nothing else is.
func TestLabels(t *testing.T) {
	m := &graph.Model{Classes: []string{"Daisy", "sun_flower", "rose", "Rose"}}
	for path, want := range map[string]int{
		"daisy/1.jpg": 0, "sun flower/n02088238.jpg": 1, "rose/1.jpg": Unknown, "tulip/1.jpg": Unknown, "n02088238/1.jpg": Unknown,
	} {
		if got := Labels(m, 4)(filepath.FromSlash(path)); got != want {
			t.Errorf("Labels(%q) = %d, want %d", path, got, want)
		}
	}
	unnamed := &graph.Model{}
	if got := Labels(unnamed, 1000)("daisy/1.jpg"); got != 985 {
		t.Errorf("of 1000 classes without names, daisy is %d, want 985", got)
	}
	if got := Labels(unnamed, 5)("daisy/1.jpg"); got != Unknown {
		t.Errorf("of 5 classes without names, daisy is %d", got)
	}
}
