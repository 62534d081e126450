package preprocess_test

import (
	"fmt"
	"io"
	"log"
	"os"

	"firebench/kernels"
	"firebench/net/graph"
	"firebench/net/models"
	"firebench/net/preprocess"
	"firebench/net/weights"
)

// top5 writes the five most probable classes of a picture to out.
func top5(out io.Writer, weightsFile, pictureFile string) {
	w := must(weights.Open(weightsFile))
	model := must(models.Lookup("squeezenet1.0"))
	plan := must(graph.Compile(model, w, graph.Options{})) // the best kernels, all processors
	defer plan.Close()

	picture := must(os.Open(pictureFile))
	defer picture.Close()
	preprocessor := must(preprocess.Lookup(plan.Model().Preprocessor))
	check(preprocessor.Read(plan.Input(), picture))

	check(plan.Run()) // as often as you like: it does not allocate
	classes, probs := preprocess.Classes(), kernels.Pixel[float32](plan.Output(), 0, 0, 0)
	for _, class := range preprocess.TopK(probs, 5) {
		fmt.Fprintf(out, "%4.1f %%  %s\n", 100*probs[class], classes[class].Label)
	}
}

func must[T any](v T, err error) T {
	check(err)
	return v
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}

// From nothing to the five most probable classes of a photograph. TestTop5 runs it.
func Example() {
	top5(os.Stdout, "compressed_SqueezeNet.net", "basset.jpg")
}
