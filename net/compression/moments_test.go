package compression

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"firebench/kernels"
)

// TestNotFinite: weights so large that values of the network overflow are refused where statistics of these values
// are needed, whether the values are the inputs of a layer or the logits.
func TestNotFinite(t *testing.T) {
	m, w, images := small(t)
	for node, want := range map[string]string{
		"a": "layer b: the mean of an input is ",
		"e": "image 0: a logit is ",
	} {
		w := maps.Clone(w)
		values := slices.Clone(w[node].Values)
		for i := range values {
			values[i] *= 3e38
		}
		w[node] = kernels.Weights{Values: values, Bias: w[node].Bias}
		for _, o := range []ShareOptions{{Bits: 4, Images: each(images...)}, {Bytes: 1000, Images: each(images...)}} {
			_, _, err := Share(o).Apply(m, w)
			if node == "e" && o.Bytes == 0 {
				if err != nil {
					t.Errorf("%v, but without a budget nobody asks for logits", err)
				}
			} else if err == nil || !strings.HasPrefix(err.Error(), "compression: small: "+want) || !strings.HasSuffix(err.Error(), ", expected a finite number") {
				t.Errorf("%s overflows, budget %d: error %v, want %s…", node, o.Bytes, err, want)
			}
		}
	}
}
