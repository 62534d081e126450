package preprocess

import (
	"cmp"
	"math"
	"math/rand/v2"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"firebench/kernels/kerneltest"
)

func TestClasses(t *testing.T) {
	if n := len(Classes()); n != 1000 {
		t.Fatalf("%d classes, want 1000", n)
	}
	wnid := regexp.MustCompile(`^n\d{8}$`)
	label := regexp.MustCompile(`^\S(.*\S)?$`)
	for i, c := range Classes() {
		if !wnid.MatchString(c.WNID) || !label.MatchString(c.Label) {
			t.Errorf("class %d is %q %q", i, c.WNID, c.Label)
		}
		// The competition numbered the synsets in the order of their identifiers.
		if i > 0 && c.WNID <= Classes()[i-1].WNID {
			t.Errorf("class %d, %s, follows %s", i, c.WNID, Classes()[i-1].WNID)
		}
	}
}

func TestClassesShared(t *testing.T) {
	list, err := os.ReadFile(kerneltest.Shared(t, "images/classes.txt"))
	if err != nil {
		t.Fatal(err)
	}
	want := strings.Split(strings.TrimSpace(string(list)), "\n")
	if len(want) != len(Classes()) {
		t.Fatalf("%d classes, want %d", len(Classes()), len(want))
	}
	for i, c := range Classes() {
		if got := c.WNID + " " + c.Label; got != want[i] {
			t.Errorf("class %d is %q, want %q", i, got, want[i])
		}
	}
}

// TestClassNumbers: the numbers in the table are there for readers; they must be
// the line's.
func TestClassNumbers(t *testing.T) {
	i := 0
	for line := range strings.Lines(classTable) {
		if number, _, _ := strings.Cut(line, "\t"); number != strconv.Itoa(i) {
			t.Errorf("line %d has number %s", i, number)
		}
		i++
	}
}

func TestTopK(t *testing.T) {
	nan := float32(math.NaN())
	for _, test := range []struct {
		probs []float32
		k     int
		want  []int
	}{
		{[]float32{0.1, 0.5, 0.2}, 2, []int{1, 2}},
		{[]float32{0.1, 0.5, 0.2}, 3, []int{1, 2, 0}},
		{[]float32{0.1, 0.5, 0.2}, 9, []int{1, 2, 0}},
		{[]float32{0.1, 0.5, 0.2}, 0, nil},
		{[]float32{0.1, 0.5, 0.2}, -1, nil},
		{nil, 5, []int{}},
		{[]float32{1, 2, 1, 2, 1, 2}, 4, []int{1, 3, 5, 0}},
		{[]float32{nan, -1, nan, 1}, 4, []int{3, 1, 0, 2}},
		{[]float32{1, 2, 3, 4, 5}, 1, []int{4}},
		{[]float32{5, 4, 3, 2, 1}, 1, []int{0}},
	} {
		if got := TopK(test.probs, test.k); !slices.Equal(got, test.want) {
			t.Errorf("the %d largest of %v are %v, want %v", test.k, test.probs, got, test.want)
		}
	}
}

// TestTopKSort compares with a stable sort of all classes.
func TestTopKSort(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	probs := make([]float32, 1000)
	want := make([]int, len(probs))
	for i := range probs {
		probs[i] = float32(r.IntN(300))
		want[i] = i
	}
	slices.SortStableFunc(want, func(i, j int) int { return cmp.Compare(probs[j], probs[i]) })
	for _, k := range []int{1, 5, 999, 1000} {
		if got := TopK(probs, k); !slices.Equal(got, want[:k]) {
			t.Errorf("the %d largest are %v, want %v", k, got, want[:k])
		}
	}
}
