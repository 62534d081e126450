package scalar

import (
	"go/ast"
	"go/parser"
	"go/token"
	"slices"
	"testing"
)

// TestPeakFMAs: PeakFMAs must be the number of multiply-adds in the loop of FMAPeak. A wrong
// number would falsify every peak-% of the scalar kernels.
func TestPeakFMAs(t *testing.T) {
	file, err := parser.ParseFile(token.NewFileSet(), "peak.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	products, sums := 0, 0
	i := slices.IndexFunc(file.Decls, func(d ast.Decl) bool {
		f, ok := d.(*ast.FuncDecl)
		return ok && f.Name.Name == "FMAPeak"
	})
	ast.Inspect(file.Decls[i], func(n ast.Node) bool {
		loop, ok := n.(*ast.RangeStmt)
		if !ok {
			return true
		}
		ast.Inspect(loop.Body, func(n ast.Node) bool {
			if e, ok := n.(*ast.BinaryExpr); ok {
				switch e.Op {
				case token.MUL:
					products++
				case token.ADD:
					sums++
				default:
					t.Errorf("a %v in the loop", e.Op)
				}
			}
			return true
		})
		return false
	})
	if products != PeakFMAs || sums != PeakFMAs {
		t.Errorf("a round has %d multiplications and %d additions, PeakFMAs says %d", products, sums, PeakFMAs)
	}
}
