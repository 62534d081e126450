package models_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"firebench/kernels"
	"firebench/net/graph"
	"firebench/net/layer"
	"firebench/net/models"
)

// facts are figures from outside this project: the papers, Caffe's model zoo and the
// descriptions of torchvision's models.
var facts = []struct {
	name         string
	params, macs int64
	input        layer.Shape
	preprocessor string
	stages       string
	head         string // the nodes of the last stage
}{
	{"squeezenet1.0", 1_248_424, 832_667_936, layer.Shape{H: 227, W: 227, C: 3}, "caffe-bgr-227", "stem 55 27 13 head", "conv10 conv10.relu pool10 prob"},
	// A simple bypass adds no parameters: it is a sum.
	{"squeezenet1.0-simple", 1_248_424, 832_667_936, layer.Shape{H: 227, W: 227, C: 3}, "caffe-bgr-227", "stem 55 27 13 head", "conv10 conv10.relu pool10 prob"},
	{"squeezenet1.0-complex",
		1_248_424 + (96*128 + 128) + (128*256 + 256) + (256*384 + 384) + (384*512 + 512),
		832_667_936 + 55*55*(96*128+128*256) + 27*27*(256*384+384*512),
		layer.Shape{H: 227, W: 227, C: 3}, "caffe-bgr-227", "stem 55 27 13 head", "conv10 conv10.relu pool10 prob"},
	{"squeezenet1.1", 1_235_496, 349_151_936, layer.Shape{H: 224, W: 224, C: 3}, "caffe-bgr-224", "stem 55 27 13 head", "conv10 conv10.relu pool10 prob"},
	{"alexnet", 60_965_224, 724_406_816, layer.Shape{H: 227, W: 227, C: 3}, "caffe-bgr-227", "stem 55 27 13 head", "pool5 fc6 fc6.relu drop6 fc7 fc7.relu drop7 fc8 prob"},
	{"alexnet-owt", 61_100_840, 714_188_480, layer.Shape{H: 224, W: 224, C: 3}, "torchvision-rgb-224", "stem 27 13 head", "pool5 drop6 fc6 fc6.relu drop7 fc7 fc7.relu fc8 prob"},
}

func TestFacts(t *testing.T) {
	all := models.All()
	if len(all) != len(facts) {
		t.Fatalf("%d models, want %d", len(all), len(facts))
	}
	for i, f := range facts {
		t.Run(f.name, func(t *testing.T) {
			m := all[i]
			infos, err := m.Infer()
			if err != nil {
				t.Fatal(err)
			}
			var cost kernels.Cost
			var stages, head []string
			for _, n := range infos {
				cost = cost.Add(n.Cost)
				if !slices.Contains(stages, n.Stage) {
					stages = append(stages, n.Stage)
				}
				if n.Stage == graph.Head {
					head = append(head, n.Name)
				}
			}
			if m.Name != f.name || m.Input != f.input || m.Preprocessor != f.preprocessor {
				t.Errorf("model %s has input %v by %s, want %s with %v by %s", m.Name, m.Input, m.Preprocessor, f.name, f.input, f.preprocessor)
			}
			if cost.Params != f.params || cost.MACs != f.macs {
				t.Errorf("%d parameters and %d multiply-adds, want %d and %d", cost.Params, cost.MACs, f.params, f.macs)
			}
			if got := strings.Join(stages, " "); got != f.stages {
				t.Errorf("stages are %s, want %s", got, f.stages)
			}
			if got := strings.Join(head, " "); got != f.head {
				t.Errorf("the head is %s, want %s", got, f.head)
			}
			if out := infos[len(infos)-1]; out.Layer.Op() != "softmax" || out.Out != (layer.Shape{H: 1, W: 1, C: 1000}) {
				t.Errorf("the last layer is %s with output %v, want a softmax over 1000 classes", out.Layer.Op(), out.Out)
			}

			params, err := m.Params()
			if err != nil {
				t.Fatal(err)
			}
			sum := int64(0)
			for _, p := range params {
				sum += int64(p.Dims[0] * (1 + p.Dims[1]*p.Dims[2]*p.Dims[3]))
			}
			if sum != f.params {
				t.Errorf("Params asks for %d weights and biases, want %d", sum, f.params)
			}
		})
	}
}

// TestPaddedHead checks the published form of SqueezeNet v1.0.
func TestPaddedHead(t *testing.T) {
	m, err := models.Lookup("squeezenet1.0")
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(m.Nodes, func(n graph.Node) bool { return n.Name == "conv10" })
	conv10 := m.Nodes[i].Layer.(layer.Conv)
	conv10.Pad = kernels.Pad(1)
	m.Nodes[i].Layer = conv10
	infos, err := m.Infer()
	if err != nil {
		t.Fatal(err)
	}
	macs := int64(0)
	for _, n := range infos {
		macs += n.Cost.MACs
	}
	if want := int64(832_667_936 + (15*15-13*13)*512*1000); macs != want {
		t.Errorf("%d multiply-adds, want %d", macs, want)
	}
	if want := (layer.Shape{H: 15, W: 15, C: 1000}); infos[i].Out != want {
		t.Errorf("conv10 has the output %v, want %v", infos[i].Out, want)
	}

	again, err := models.Lookup("squeezenet1.0")
	if err != nil {
		t.Fatal(err)
	}
	if again.Nodes[i].Layer.(layer.Conv).Pad != kernels.Pad(0) {
		t.Error("changing one model changed the next")
	}
}

// TestShapes checks every node of SqueezeNet v1.0 against the paper's table 1.
func TestShapes(t *testing.T) {
	m, err := models.Lookup("squeezenet1.0")
	if err != nil {
		t.Fatal(err)
	}
	infos, err := m.Infer()
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, n := range infos {
		got = append(got, fmt.Sprintf("%s %s %v %s", n.Name, n.Layer.Op(), n.Out, n.Stage))
	}

	var want []string
	row := func(name, op string, side, c int, stage string) {
		want = append(want, fmt.Sprintf("%s %s %d×%d×%d %s", name, op, side, side, c, stage))
	}
	conv := func(name, op string, side, c int, stage string) {
		row(name, op, side, c, stage)
		row(name+".relu", "relu", side, c, stage)
	}
	fire := func(i, side, s, e int) {
		name, stage := fmt.Sprintf("fire%d", i), fmt.Sprint(side)
		conv(name+".squeeze1x1", "conv1x1", side, s, stage)
		conv(name+".expand1x1", "conv1x1", side, e, stage)
		conv(name+".expand3x3", "conv3x3", side, e, stage)
		row(name+".concat", "concat", side, 2*e, stage)
	}
	conv("conv1", "conv7x7", 111, 96, "stem")
	row("pool1", "maxpool", 55, 96, "55")
	fire(2, 55, 16, 64)
	fire(3, 55, 16, 64)
	fire(4, 55, 32, 128)
	row("pool4", "maxpool", 27, 256, "27")
	fire(5, 27, 32, 128)
	fire(6, 27, 48, 192)
	fire(7, 27, 48, 192)
	fire(8, 27, 64, 256)
	row("pool8", "maxpool", 13, 512, "13")
	fire(9, 13, 64, 256)
	row("drop9", "dropout", 13, 512, "13")
	conv("conv10", "conv1x1", 13, 1000, "head")
	row("pool10", "avgpool", 1, 1000, "head")
	row("prob", "softmax", 1, 1000, "head")

	for i := range max(len(got), len(want)) {
		g, w := "nothing", "nothing"
		if i < len(got) {
			g = got[i]
		}
		if i < len(want) {
			w = want[i]
		}
		if g != w {
			t.Errorf("node %d is %s, want %s", i, g, w)
		}
	}
}

// TestOutputs checks the shapes by which the networks besides SqueezeNet v1.0 differ.
func TestOutputs(t *testing.T) {
	tests := []struct{ model, nodes string }{
		{"squeezenet1.0-simple", "fire3.add 55×55×128, fire5.add 27×27×256, fire7.add 27×27×384, fire9.add 13×13×512"},
		{"squeezenet1.0-complex", "fire2.bypass1x1 55×55×128, fire2.add 55×55×128, fire3.add 55×55×128, fire4.bypass1x1 55×55×256, fire4.add 55×55×256, " +
			"fire5.add 27×27×256, fire6.bypass1x1 27×27×384, fire6.add 27×27×384, fire7.add 27×27×384, fire8.bypass1x1 27×27×512, fire8.add 27×27×512, fire9.add 13×13×512"},
		{"squeezenet1.1", "conv1 111×111×64, pool1 55×55×64, fire3.concat 55×55×128, pool3 27×27×128, fire5.concat 27×27×256, pool5 13×13×256, fire9.concat 13×13×512"},
		{"alexnet", "conv1 55×55×96, norm1 55×55×96, pool1 27×27×96, conv2 27×27×256, norm2 27×27×256, pool2 13×13×256, conv3 13×13×384, conv4 13×13×384, conv5 13×13×256, pool5 6×6×256, fc6 1×1×4096, fc7 1×1×4096, fc8 1×1×1000"},
		{"alexnet-owt", "conv1 55×55×64, pool1 27×27×64, conv2 27×27×192, pool2 13×13×192, conv3 13×13×384, conv4 13×13×256, conv5 13×13×256, pool5 6×6×256, fc6 1×1×4096, fc7 1×1×4096, fc8 1×1×1000"},
	}
	for _, test := range tests {
		m, err := models.Lookup(test.model)
		if err != nil {
			t.Fatal(err)
		}
		infos, err := m.Infer()
		if err != nil {
			t.Fatal(err)
		}
		// Every sum and every bypass must be named; of all other nodes, those that are named count.
		var got []string
		for _, n := range infos {
			if n.Layer.Op() == "add" || strings.HasSuffix(n.Name, ".bypass1x1") || strings.Contains(test.nodes, n.Name+" ") {
				got = append(got, fmt.Sprintf("%s %v", n.Name, n.Out))
			}
		}
		if got := strings.Join(got, ", "); got != test.nodes {
			t.Errorf("%s has\n%s, want\n%s", test.model, got, test.nodes)
		}
	}
}

func TestLookup(t *testing.T) {
	for _, f := range facts {
		if m, err := models.Lookup(f.name); err != nil || m.Name != f.name {
			t.Errorf("Lookup(%s) = %v, %v", f.name, m, err)
		}
	}
	const small = "squeezenet-cifar-pools2,4-simple"
	if m, err := models.Lookup(small); err != nil || m.Name != small {
		t.Errorf("Lookup(%s) = %v, %v", small, m, err)
	}
	if m, err := models.Lookup("squeezenet-cifar-pools0"); err == nil {
		t.Errorf("Lookup of pools behind layer 0 = %v", m)
	}
	_, err := models.Lookup("resnet50")
	var names []string
	for _, f := range facts {
		names = append(names, f.name)
	}
	want := `unknown model "resnet50", expected one of ` + strings.Join(append(names, "squeezenet-cifar"), ", ")
	if err == nil || err.Error() != want {
		t.Errorf("error %v, want %s", err, want)
	}
}

// TestAlexNetNormalization compares the parameters with bvlc_alexnet's deploy.prototxt, as Caffe
// distributes it. No other test can see them, as random weights have no expected results.
func TestAlexNetNormalization(t *testing.T) {
	m, err := models.Lookup("alexnet")
	if err != nil {
		t.Fatal(err)
	}
	want, found := layer.LRN{Size: 5, Alpha: 0.0001, Beta: 0.75, K: 1}, 0
	for _, n := range m.Nodes {
		if l, ok := n.Layer.(layer.LRN); ok {
			found++
			if l != want {
				t.Errorf("%s is %+v, want %+v", n.Name, l, want)
			}
		}
	}
	if found != 2 {
		t.Errorf("%d layers normalize, want 2", found)
	}
}
