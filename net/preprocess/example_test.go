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
func top5(out io.Writer, weightsFile, pictureFile string) error {
	w, err := weights.Open(weightsFile)
	if err != nil {
		return err
	}
	model, err := models.Lookup("squeezenet1.0")
	if err != nil {
		return err
	}
	plan, err := graph.Compile(model, w, graph.Options{}) // for the best kernels, and all processors
	if err != nil {
		return err
	}
	defer plan.Close()
	preprocessor, err := preprocess.Lookup(plan.Model().Preprocessor)
	if err != nil {
		return err
	}
	picture, err := os.Open(pictureFile)
	if err != nil {
		return err
	}
	defer picture.Close()
	if err := preprocessor.Read(plan.Input(), picture); err != nil {
		return err
	}
	if err := plan.Run(); err != nil { // as often as you like: it does not allocate
		return err
	}
	classes, probs := preprocess.Classes(), kernels.Pixel[float32](plan.Output(), 0, 0, 0)
	for _, class := range preprocess.TopK(probs, 5) {
		fmt.Fprintf(out, "%4.1f %%  %s\n", 100*probs[class], classes[class].Label)
	}
	return nil
}

// From nothing to the five most probable classes of a photograph. TestTop5 runs it.
func Example() {
	if err := top5(os.Stdout, "compressed_SqueezeNet.net", "basset.jpg"); err != nil {
		log.Fatal(err)
	}
}
