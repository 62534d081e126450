package preprocess_test

import (
	"bytes"
	"testing"

	"firebench/kernels/kerneltest"
)

// TestTop5 runs the example on a photograph.
func TestTop5(t *testing.T) {
	var out bytes.Buffer
	top5(&out, kerneltest.Shared(t, "weights/compressed_SqueezeNet.net"), kerneltest.Shared(t, "images/n02088238_basset.JPEG"))
	const want = `75.6 %  basset
11.8 %  Walker hound
 7.1 %  English foxhound
 3.5 %  beagle
 0.5 %  bloodhound
`
	if out.String() != want {
		t.Errorf("output:\n%swant:\n%s", &out, want)
	}
}
