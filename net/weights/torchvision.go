package weights

import (
	"errors"
	"fmt"

	"firebench/kernels"
)

// torchvision says whose weights the tensors, which have torchvision's names, are, and checks that they
// are all there. torchvision trained all of its networks on 224×224 pixels, and its squeezenet1_0
// without a padding in the last convolution. Its dense layers flatten C, H, W as ours.
func (t *tensors) torchvision() error {
	var model string
	var modules map[string]string
	has := func(module string) bool { _, ok := t.arrays[module+".weight"]; return ok }
	switch {
	case has("classifier.6"):
		model, modules = "alexnet-owt", alexnetModules()
	case has("features.5.squeeze"):
		model, modules = "squeezenet1.0", squeezenetModules(3, 4, 5, 7, 8, 9, 10, 12)
	case has("features.6.squeeze"):
		model, modules = "squeezenet1.1", squeezenetModules(3, 4, 6, 7, 9, 10, 11, 12)
	default:
		return errors.New("it has a tensor features.0.weight, but is none of torchvision's squeezenet1_0, squeezenet1_1 and alexnet")
	}
	t.names = func(node string) (weights, bias string) { return modules[node] + ".weight", modules[node] + ".bias" }
	t.recipe = recipe{height: 224, width: 224, preprocessor: "torchvision-rgb-224", padding: map[string]kernels.Padding{"conv10": {}}}
	return t.published(model)
}

// alexnetModules returns the modules of torchvision's alexnet by the names of our nodes.
func alexnetModules() map[string]string {
	modules := map[string]string{}
	for i, at := range []int{0, 3, 6, 8, 10} {
		modules[fmt.Sprintf("conv%d", i+1)] = fmt.Sprintf("features.%d", at)
	}
	for i, at := range []int{1, 4, 6} {
		modules[fmt.Sprintf("fc%d", i+6)] = fmt.Sprintf("classifier.%d", at)
	}
	return modules
}

// squeezenetModules does the same for a squeezenet, whose features are its fire modules at these places.
func squeezenetModules(fires ...int) map[string]string {
	modules := map[string]string{"conv1": "features.0", "conv10": "classifier.1"}
	for i, at := range fires {
		fire, module := fmt.Sprintf("fire%d", i+2), fmt.Sprintf("features.%d", at)
		modules[fire+".squeeze1x1"] = module + ".squeeze"
		modules[fire+".expand1x1"] = module + ".expand1x1"
		modules[fire+".expand3x3"] = module + ".expand3x3"
	}
	return modules
}
