package main

import "fmt"

// A published file has weights of a network, or a network with its weights, and never changes.
type published struct {
	name   string
	url    string
	size   int64
	sha256 string // in hexadecimal digits
	what   string // it is, and what a picture must become for it
}

// The table of all files. Where a repository keeps large files with Git LFS, its pointers say the size and SHA-256.
var table = []published{
	{
		name:   "compressed_SqueezeNet.net",
		url:    "https://github.com/songhan/SqueezeNet-Deep-Compression/raw/fb13faa2cf121ced9999f8a9d538ec6c56084733/compressed_SqueezeNet.net",
		size:   675763,
		sha256: "e4ab6960ae8cd81505e1c2136921201507e930966c53deaf15862a395b3a3261",
		what:   "weights of squeezenet1.0 by its authors, compressed; BSD",
	},
	{
		name:   "squeezenet1.1_fp16.onnx",
		url:    "https://github.com/microsoft/Windows-Machine-Learning/raw/044757481c274e4749f5c192962168520807b4cc/SharedContent/models/SqueezeNet_fp16.onnx",
		size:   2484091,
		sha256: "21f25e3d9254af93e6218a359469fac714a017b3f9035c0f5c4acbf9a3ff7233",
		what:   "squeezenet1.1 by its authors in float16, from Windows Machine Learning; caffe-bgr-224; MIT",
	},
	torchvision("squeezenet1_0_Opset17", 5009885, "b356df899091f988b4856189baa481e19ede596d75b9521cccd87fa46da2056a"),
	torchvision("squeezenet1_1_Opset17", 4958202, "fbb553444cab298bcac72cf623694e277dfe11d78662108f91ff46b6acb2cc5f"),
	torchvision("alexnet_Opset17", 244407335, "d1fef6de9abfd04669ff0c450eaf02609f544c47623e6b80346180737863f5ee"),
	zoo("squeezenet", "squeezenet1.0-9", 4952222, "f2d3201f013b72988109e677e9244250f4cc02394529432972f05e1f6dcc7b62", "caffe-bgr-224"),
	zoo("squeezenet", "squeezenet1.0-12", 4952956, "dec81a8684617770b3cf13fadc1d92565d1d453d23935fc6388b792d99c992bd", "caffe-bgr-224"),
	zoo("squeezenet", "squeezenet1.0-12-int8", 1293388, "3da17dfad1b7ba23c93fac6dbf49f6db78cd42f7519e915a2e27d37c5c0a972b", "caffe-bgr-224"),
	zoo("squeezenet", "squeezenet1.0-13-qdq", 1345213, "4a567dd7542ef440890d57268fabf47211174c593d7a1837bd7f16a1067169e7", "caffe-bgr-224"),
	zoo("squeezenet", "squeezenet1.1-7", 4956208, "1eeff551a67ae8d565ca33b572fc4b66e3ef357b0eb2863bb9ff47a918cc4088", "torchvision-rgb-224"),
	zoo("alexnet", "bvlcalexnet-12", 243863787, "6b0da9510f27f234ee96a85dc3809dd210150fdefad87f6850f9788513216945", "caffe-bgr-224"),
}

// zooCommit is the state of the ONNX model zoo that the table is of.
const zooCommit = "https://github.com/onnx/models/raw/b1eeaa1ac722dcc1cd1a8284bde34393dab61c3d/"

// zoo returns a file of the ONNX model zoo.
func zoo(folder, name string, size int64, sha256, preprocessor string) published {
	return published{
		name:   name + ".onnx",
		url:    fmt.Sprintf("%svalidated/vision/classification/%s/model/%s.onnx", zooCommit, folder, name),
		size:   size,
		sha256: sha256,
		what:   fmt.Sprintf("%s of the ONNX model zoo; %s; Apache 2.0", folder, preprocessor),
	}
}

// torchvision returns a network of torchvision as the ONNX model zoo keeps it.
func torchvision(name string, size int64, sha256 string) published {
	return published{
		name:   name + ".onnx",
		url:    fmt.Sprintf("%sComputer_Vision/%s_torch_hub/%[2]s.onnx", zooCommit, name),
		size:   size,
		sha256: sha256,
		what:   "network of torchvision; torchvision-rgb-224; BSD",
	}
}

// find returns the file of that name; the error lists the names that there are.
func find(name string) (published, error) {
	names := ""
	for _, f := range table {
		if f.name == name {
			return f, nil
		}
		names += ", " + f.name
	}
	return published{}, fmt.Errorf("unknown file %q, expected one of %s", name, names[2:])
}
