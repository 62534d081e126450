// Package alexnet holds the AlexNet networks as tables: Krizhevsky et al., "ImageNet
// Classification with Deep Convolutional Neural Networks", NIPS 2012, in the
// single-machine form that Caffe distributes, and Krizhevsky, "One weird trick for
// parallelizing convolutional neural networks", arXiv:1404.5997, as torchvision
// ships it.
package alexnet

import (
	"slices"

	"firebench/kernels"
	"firebench/net/graph"
	"firebench/net/layer"
)

// Models returns alexnet and alexnet-owt.
func Models() []*graph.Model { return []*graph.Model{caffe(), owt()} }

// caffe is the original network, with two groups in conv2, conv4 and conv5, and normalization
// before the first two pools.
func caffe() *graph.Model {
	norm := layer.LRN{Size: 5, Alpha: 1e-4, Beta: 0.75, K: 1}
	pool := layer.MaxPool{Kernel: 3, Stride: 2, Ceil: true}
	return &graph.Model{
		Name:         "alexnet",
		Input:        layer.Shape{H: 227, W: 227, C: 3},
		Preprocessor: "caffe-bgr-227",
		Head:         "pool5",
		Nodes: slices.Concat(
			relu("conv1", layer.Conv{Out: 96, Kernel: 11, Stride: 4}),
			node("norm1", norm),
			node("pool1", pool),
			relu("conv2", layer.Conv{Out: 256, Kernel: 5, Pad: kernels.Pad(2), Groups: 2}),
			node("norm2", norm),
			node("pool2", pool),
			relu("conv3", layer.Conv{Out: 384, Kernel: 3, Pad: kernels.Pad(1)}),
			relu("conv4", layer.Conv{Out: 384, Kernel: 3, Pad: kernels.Pad(1), Groups: 2}),
			relu("conv5", layer.Conv{Out: 256, Kernel: 3, Pad: kernels.Pad(1), Groups: 2}),
			node("pool5", pool),
			relu("fc6", layer.Dense{Out: 4096}),
			node("drop6", layer.Dropout{Rate: 0.5}),
			relu("fc7", layer.Dense{Out: 4096}),
			node("drop7", layer.Dropout{Rate: 0.5}),
			node("fc8", layer.Dense{Out: 1000}),
			node("prob", layer.Softmax{}),
		),
	}
}

// owt is the network of "One weird trick", without groups and normalization.
func owt() *graph.Model {
	pool := layer.MaxPool{Kernel: 3, Stride: 2}
	return &graph.Model{
		Name:         "alexnet-owt",
		Input:        layer.Shape{H: 224, W: 224, C: 3},
		Preprocessor: "torchvision-rgb-224",
		Head:         "pool5",
		Nodes: slices.Concat(
			relu("conv1", layer.Conv{Out: 64, Kernel: 11, Stride: 4, Pad: kernels.Pad(2)}),
			node("pool1", pool),
			relu("conv2", layer.Conv{Out: 192, Kernel: 5, Pad: kernels.Pad(2)}),
			node("pool2", pool),
			relu("conv3", layer.Conv{Out: 384, Kernel: 3, Pad: kernels.Pad(1)}),
			relu("conv4", layer.Conv{Out: 256, Kernel: 3, Pad: kernels.Pad(1)}),
			relu("conv5", layer.Conv{Out: 256, Kernel: 3, Pad: kernels.Pad(1)}),
			node("pool5", pool),
			node("drop6", layer.Dropout{Rate: 0.5}),
			relu("fc6", layer.Dense{Out: 4096}),
			node("drop7", layer.Dropout{Rate: 0.5}),
			relu("fc7", layer.Dense{Out: 4096}),
			node("fc8", layer.Dense{Out: 1000}),
			node("prob", layer.Softmax{}),
		),
	}
}

// node is one row of a table. Its layer reads the result of the row before.
func node(name string, l layer.Layer) []graph.Node {
	return []graph.Node{{Name: name, Layer: l}}
}

// relu is two rows of a table: a layer and the ReLU that follows it.
func relu(name string, l layer.Layer) []graph.Node {
	return []graph.Node{{Name: name, Layer: l}, {Name: name + ".relu", Layer: layer.ReLU{}}}
}
