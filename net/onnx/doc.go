// Package onnx reads and writes networks as files of ONNX, the Open Neural Network Exchange, which
// other engines have in common: https://onnx.ai/onnx/repo-docs/IR.html describes the files,
// https://onnx.ai/onnx/operators the operators.
//
// Names of nodes in these files are any text. Those that layers cannot have are encoded, reversibly: a
// slash becomes a colon, all else %XX, one for each byte.
package onnx
