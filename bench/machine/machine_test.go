package machine

import (
	"regexp"
	"testing"
	"time"

	"github.com/klauspost/cpuid/v2"
)

// TestName: machines whose brand strings are equal, as those of cloud providers are,
// have different names.
func TestName(t *testing.T) {
	tests := []struct {
		cpu   cpuid.CPUInfo
		cores int
		id    string
		name  string
	}{
		{cpuid.CPUInfo{BrandName: "AMD EPYC", Family: 25, Model: 17, Stepping: 1}, 2, "25/17/1", "amd-epyc-25.17.1-2cores"},
		{cpuid.CPUInfo{BrandName: "AMD EPYC", Family: 25, Model: 1, Stepping: 1}, 2, "25/1/1", "amd-epyc-25.1.1-2cores"},
		{cpuid.CPUInfo{BrandName: "Intel(R) Xeon(R) Platinum 8481C CPU @ 2.70GHz  ", Family: 6, Model: 143, Stepping: 8}, 16,
			"6/143/8", "intel-xeon-platinum-8481c-cpu-2.70ghz-6.143.8-16cores"},
		{cpuid.CPUInfo{}, 4, "unknown", "arm64-4cores"},
		{cpuid.CPUInfo{BrandName: "../../x"}, 1, "unknown", "..-..-x-1cores"},
	}
	for _, test := range tests {
		if got := name(&test.cpu, "arm64", test.cores); got != test.name {
			t.Errorf("%+q: name %q, expected %q", test.cpu.BrandName, got, test.name)
		}
		if got := id(&test.cpu, "/", "unknown"); got != test.id {
			t.Errorf("%+q: id %q, expected %q", test.cpu.BrandName, got, test.id)
		}
	}
	if n := Name(); !regexp.MustCompile(`^[a-z0-9.-]+-[0-9]+cores$`).MatchString(n) {
		t.Errorf("this machine is named %q", n)
	}
}

func TestParseLoad(t *testing.T) {
	if l, ok := parseLoad("0.72 0.68 12.59 1/89 15939\n"); !ok || l != (Load{0.72, 0.68, 12.59}) || l.String() != "0.72 0.68 12.59" {
		t.Errorf("%v, %v", l, ok)
	}
	for _, bad := range []string{"", "0.72 0.68", "a b c d"} {
		if l, ok := parseLoad(bad); ok {
			t.Errorf("%q: %v", bad, l)
		}
	}
}

func TestParseStat(t *testing.T) {
	d, ok := parseStat("cpu  1 20 300 99999 88888 4000 50000 600000 7000000 80000000\ncpu0 1 2\n")
	if want := 6543210 * time.Millisecond; !ok || d != want {
		t.Errorf("%v, %v, expected %v", d, ok, want)
	}
	for _, bad := range []string{"", "cpu  1 2 3 4", "cpu0 1 2 3 4 5 6 7 8", "cpu a 2 3 4 5 6 7 8"} {
		if d, ok := parseStat(bad); ok {
			t.Errorf("%q: %v", bad, d)
		}
	}
}
