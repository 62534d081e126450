package compression

import (
	"flag"
	"io"
	"strings"
	"testing"
)

func TestMethods(t *testing.T) {
	var names []string
	for _, m := range Methods() {
		names = append(names, m.String())
		text, err := m.MarshalText()
		var again Method
		if err == nil {
			err = again.UnmarshalText(text)
		}
		if err != nil || again != m {
			t.Errorf("%v is written as %q and read as %v: error %v", m, text, again, err)
		}
	}
	if got := strings.Join(names, " "); got != "minmax percentile kl" {
		t.Errorf("methods %s", got)
	}
	for m, want := range map[Method]string{
		0: "no method, expected minmax, percentile or kl",
		4: "unknown method Method(4), expected minmax, percentile or kl",
	} {
		if _, err := m.MarshalText(); err == nil || err.Error() != want {
			t.Errorf("%v: error %v, want %q", m, err, want)
		}
	}
}

// TestMethodFlag: a flag takes the names, and says which there are.
func TestMethodFlag(t *testing.T) {
	flags := flag.NewFlagSet("", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	var m Method
	flags.TextVar(&m, "method", Default, "")
	if m != Default {
		t.Errorf("the default is %v", m)
	}
	if err := flags.Parse([]string{"-method", "percentile"}); err != nil || m != Percentile {
		t.Errorf("-method percentile: %v, error %v", m, err)
	}
	err := flags.Parse([]string{"-method", "mean"})
	if want := `unknown method "mean", expected minmax, percentile or kl`; err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("-method mean: error %v, want one with %q", err, want)
	}
}
