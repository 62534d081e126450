package kernels

import (
	"fmt"
	"os"
	"runtime"
	"strings"
)

// unusable says why For has no kernels of isa: what the build, the processor or the
// operating system lacks, or that GODEBUG switches it off.
func unusable(isa ISA) error {
	for _, n := range native {
		if n.set.ISA != isa {
			continue
		}
		var missing []string
		for _, f := range n.features {
			if !f.has() {
				missing = append(missing, f.avo)
			}
		}
		if len(missing) > 0 {
			return fmt.Errorf("kernels: %v needs %s, which the processor or the operating system lacks", isa, strings.Join(missing, ", "))
		}
		return fmt.Errorf("kernels: %v needs something that GODEBUG=%q switches off", isa, os.Getenv("GODEBUG"))
	}
	return fmt.Errorf("kernels: this build, for %s, has no %v kernels", runtime.GOARCH, isa)
}
