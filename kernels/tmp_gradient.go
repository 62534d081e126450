package kernels

import ("errors";"firebench/kernels/workers")
var errTmp = errors.New("not yet")
func BindWeightGradient(set *Set, s ConvShape, dst, src, grad View, threads int) ([]workers.Task, error) { return nil, errTmp }
func BindReLUGradient(set *Set, dst, y, grad View, threads int) (workers.Task, error) { return nil, errTmp }
func BindMul(set *Set, dst, a, b View, threads int) (workers.Task, error) { return nil, errTmp }
func BindMaxPoolGradient(set *Set, s PoolShape, dst, src, y, grad View, threads int) (workers.Task, error) { return nil, errTmp }
func BindAvgPoolGradient(set *Set, s PoolShape, dst, grad View, threads int) (workers.Task, error) { return nil, errTmp }
func BindLRNGradient(set *Set, s LRNShape, dst, src, grad View, threads int) (workers.Task, error) { return nil, errTmp }
func BindDilate(dst, src View, stride int, threads int) (workers.Task, error) { return nil, errTmp }
func BindCrossEntropy(dst, logits, target View) (workers.Task, error) { return nil, errTmp }
func BindCrossEntropyGradient(dst, logits, target View) (workers.Task, error) { return nil, errTmp }
func TransposeWeights(s ConvShape, dst, src []float32) {}

// A Loader is a Conv whose weights may be replaced.
type Loader interface {
	Conv
	Load(w Weights) error
}
