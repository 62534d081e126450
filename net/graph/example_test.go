package graph_test

import (
	"fmt"
	"log"

	"firebench/kernels"
	"firebench/net/graph"
	"firebench/net/layer"
	"firebench/net/weights"
)

// A model is a table; a node without inputs reads the one before.
func Example() {
	m := &graph.Model{
		Name:  "tiny",
		Input: layer.Shape{H: 32, W: 32, C: 3},
		Head:  "fc",
		Nodes: []graph.Node{
			{Name: "conv1", Layer: layer.Conv{Out: 16, Kernel: 5, Stride: 2}},
			{Name: "relu1", Layer: layer.ReLU{}},
			{Name: "a", Layer: layer.Conv{Out: 8, Kernel: 1}, Inputs: []string{"relu1"}},
			{Name: "b", Layer: layer.Conv{Out: 8, Kernel: 3, Pad: kernels.Pad(1)}, Inputs: []string{"relu1"}},
			{Name: "concat", Layer: layer.Concat{}, Inputs: []string{"a", "b"}},
			{Name: "fc", Layer: layer.Dense{Out: 10}},
			{Name: "prob", Layer: layer.Softmax{}},
		},
	}
	p, err := graph.Compile(m, weights.Random(1), graph.Options{Threads: 1})
	if err != nil {
		log.Fatal(err)
	}
	defer p.Close()

	// relu1 is part of conv1, and concat is where a and b write to.
	for _, s := range p.Steps() {
		fmt.Printf("%-4s %-5s %-7s %v, %d multiply-adds\n", s.Stage, s.Name, s.Op, s.Out, s.Cost.MACs)
	}
	copy(kernels.Pixel[float32](p.Input(), 0, 0, 0), []float32{1, 2, 3})
	if err := p.Run(); err != nil {
		log.Fatal(err)
	}
	sum := float32(0)
	for _, prob := range kernels.Pixel[float32](p.Output(), 0, 0, 0) {
		sum += prob
	}
	fmt.Printf("the probabilities add up to %.3f\n", sum)

	// Output:
	// stem conv1 conv5x5 14×14×16, 235200 multiply-adds
	// 14   a     conv1x1 14×14×8, 25088 multiply-adds
	// 14   b     conv3x3 14×14×8, 225792 multiply-adds
	// head fc    dense   1×1×10, 31360 multiply-adds
	// head prob  softmax 1×1×10, 0 multiply-adds
	// the probabilities add up to 1.000
}
