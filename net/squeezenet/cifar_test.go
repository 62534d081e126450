package squeezenet_test

import (
	"reflect"
	"strings"
	"testing"

	"firebench/net/layer"
	"firebench/net/squeezenet"
)

func TestMicro(t *testing.T) {
	for _, c := range []struct {
		micro  squeezenet.Micro
		name   string
		params int64
	}{
		// The fire modules are those of v1.1, whose conv1 is the same and whose conv10 has 513·1000 parameters.
		{squeezenet.Micro{}, "squeezenet-cifar", 1_235_496 - 513*1000 + 513*10},
		{squeezenet.Micro{Bypass: squeezenet.SimpleBypass}, "squeezenet-cifar-simple", 1_235_496 - 513*1000 + 513*10},
		{
			squeezenet.Micro{Bypass: squeezenet.ComplexBypass}, "squeezenet-cifar-complex",
			1_235_496 - 513*1000 + 513*10 + (64*128 + 128) + (128*256 + 256) + (256*384 + 384) + (384*512 + 512),
		},
		{squeezenet.Micro{SqueezeRatio: 0.25, Share3x3: 0.75, Pools: []int{1, 8}}, "squeezenet-cifar-ratio0.25-share0.75-pools1,8", 0},
		{squeezenet.Micro{SqueezeRatio: 1, Share3x3: 0.01, Pools: []int{4}}, "squeezenet-cifar-ratio1-share0.01-pools4", 0},
		{squeezenet.Micro{Share3x3: 0.99}, "squeezenet-cifar-share0.99", 0},
	} {
		m, err := c.micro.New(10)
		if err != nil {
			t.Fatal(err)
		}
		if m.Name != c.name {
			t.Errorf("%+v: name %s, want %s", c.micro, m.Name, c.name)
		}
		infos, err := m.Infer()
		if err != nil {
			t.Fatal(err)
		}
		if out := infos[len(infos)-1].Out; out != (layer.Shape{H: 1, W: 1, C: 10}) {
			t.Errorf("%s: result %v, want 1×1×10", m.Name, out)
		}
		params := int64(0)
		for _, i := range infos {
			params += i.Cost.Params
		}
		if c.params > 0 && params != c.params {
			t.Errorf("%s: %d parameters, want %d", m.Name, params, c.params)
		}
		parsed, err := squeezenet.ParseMicro(m.Name)
		if err != nil {
			t.Fatal(err)
		}
		if again, err := parsed.New(10); err != nil || !reflect.DeepEqual(again, m) {
			t.Errorf("%s: parsed, the table is another one: %v", m.Name, err)
		}
	}
}

// TestMicroSquares checks the sides of activations: pools lie where Pools says.
func TestMicroSquares(t *testing.T) {
	m, err := squeezenet.Micro{Pools: []int{2, 6}}.New(10)
	if err != nil {
		t.Fatal(err)
	}
	infos, err := m.Infer()
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]int{"conv1": 32, "fire2.concat": 32, "fire3.concat": 16, "fire6.concat": 16, "fire7.concat": 8, "conv10": 8}
	for _, i := range infos {
		if side, ok := want[i.Name]; ok && i.Out.H != side {
			t.Errorf("%s: %v, want a side of %d", i.Name, i.Out, side)
		}
		delete(want, i.Name)
	}
	if len(want) > 0 {
		t.Errorf("missing: %v", want)
	}
}

func TestMicroErrors(t *testing.T) {
	for name, want := range map[string]string{
		"squeezenet":                     "unknown name",
		"squeezenet-cifars":              "unknown name",
		"squeezenet-cifar-":              `unknown part ""`,
		"squeezenet-cifar-ratio":         `part "ratio" has no number`,
		"squeezenet-cifar-ratio2":        "squeeze ratio is 2, expected",
		"squeezenet-cifar-rationan":      "squeeze ratio is NaN, expected",
		"squeezenet-cifar-share1":        "share of 3×3 filters is 1, expected",
		"squeezenet-cifar-pools5,3":      "pools behind the layers [5 3], expected ascending",
		"squeezenet-cifar-pools9":        "pools behind the layers [9], expected ascending",
		"squeezenet-cifar-pools3,":       `part "pools3," has no number`,
		"squeezenet-cifar-simple-bypass": `unknown part "bypass"`,
	} {
		if _, err := squeezenet.ParseMicro(name); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", name, err, want)
		}
	}
	if _, err := (squeezenet.Micro{}).New(0); err == nil {
		t.Error("no error for a network without classes")
	}
	if _, err := (squeezenet.Micro{Bypass: 3}).New(10); err == nil {
		t.Error("no error for an unknown bypass")
	}
}
