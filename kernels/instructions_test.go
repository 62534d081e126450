//go:build !purego

package kernels

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"
)

// askedFor returns the features that the processor must have before the assembly of a package
// runs, by the names that generated files use. There are none for a package that belongs to no
// instruction set, or to one of another architecture than that of the test.
func askedFor(pkg string) (features []string) {
	for _, n := range native {
		if pkg == "firebench/kernels/"+folder(n.set.ISA) {
			for _, f := range n.features {
				features = append(features, f.name)
			}
		}
	}
	return features
}

// TestInstructions proves that no kernel runs on a processor that lacks one of its instructions.
// It assembles every .s file of the module, decodes the bytes, and looks up which feature each
// instruction needs. A function must need no feature that its package does not ask the processor
// for, and exactly those that the Requires comment above it names. An instruction that is not in
// the tables of decode_test.go is an error: whoever uses it must add it, with its feature.
func TestInstructions(t *testing.T) {
	checked := map[string]bool{}
	for _, arch := range []string{"amd64", "arm64"} {
		for _, pkg := range assemblyPackages(t, arch) {
			asked := askedFor(pkg.ImportPath)
			if arch != runtime.GOARCH {
				// This build does not have the other architecture's list. A test on that
				// architecture uses it.
				asked = everyFeature
			}
			for _, name := range pkg.SFiles {
				path := filepath.Join(pkg.Dir, name)
				checked[path] = true
				if err := checkAssembly(path, arch, asked); err != nil {
					t.Error(err)
				}
			}
		}
	}
	if len(checked) == 0 {
		t.Error("no assembly found")
	}
	root := filepath.Dir(goOutput(t, "env", "GOMOD"))
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err == nil && filepath.Ext(path) == ".s" && !checked[path] {
			t.Errorf("%s: no build for amd64 or arm64 has this file, so nobody knows what it needs", path)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

// TestInstructionsRefused has functions that TestInstructions must refuse, and some that it must
// accept. Each is in a file of its own, with the Requires comment that it might have by mistake.
func TestInstructionsRefused(t *testing.T) {
	avx2 := []string{"AVX", "FMA3", "MMX+"}
	avx512 := append([]string{"AVX512F"}, avx2...)
	for _, c := range []struct {
		arch, requires string
		asked          []string
		body           string
		want           string // part of the error; "" for none
	}{
		{"amd64", "AVX", avx2, "VADDPS Y2, Y1, Y0", ""},
		{"amd64", "AVX2", append([]string{"AVX2"}, avx2...), "VPADDD Y2, Y1, Y0", ""},
		{"amd64", "AVX512F", avx512, "VADDPS Z2, Z1, Z0", ""},
		{"amd64", "MMX+", avx2, "PREFETCHT0 64(AX)", ""},

		// A Requires that is missing, or not the truth.
		{"amd64", "", avx2, "VADDPS Y2, Y1, Y0", "F needs [AVX], the Requires above it has []"},
		{"amd64", "", avx2, "ADDQ AX, BX", "F needs [], the Requires above it has []"},
		{"amd64", "AVX, FMA3", avx2, "VADDPS Y2, Y1, Y0", "F needs [AVX], the Requires above it has [AVX FMA3]"},
		{"amd64", "AVX", avx2, "VFMADD231PS Y2, Y1, Y0", "F needs [FMA3], the Requires above it has [AVX]"},

		// Features that the processor is not asked for.
		{"amd64", "AVX", nil, "VADDPS Y2, Y1, Y0", "VADDPS needs AVX"},
		{"amd64", "FMA3", []string{"AVX"}, "VFMADD231PS Y2, Y1, Y0", "VFMADD231PS needs FMA3"},
		{"amd64", "AVX", avx2, "VBROADCASTSS X0, Y0", "VBROADCASTSS from a register needs AVX2"},
		{"amd64", "AVX", avx2, "VADDPS Z2, Z1, Z0", "VADDPS needs AVX512F"},
		{"amd64", "AVX2", avx2, "VPADDD Y2, Y1, Y0", "VPADDD needs AVX2"},
		{"amd64", "AVX512BW", avx512, "VPMADDWD Z2, Z1, Z0", "VPMADDWD needs AVX512BW"},
		{"amd64", "AVX512VNNI", avx512, "VPDPBUSD Z2, Z1, Z0", "VPDPBUSD needs AVX512VNNI"},

		// Instructions of neither set, and forms of others that need more.
		{"amd64", "AVX", avx2, "VPDPBUSD Y2, Y1, Y0", "EVEX.256.66.0F38.W0 50"},
		{"amd64", "AVX512F", avx512, "VPDPBUSDS Z2, Z1, Z0", "EVEX.512.66.0F38.W0 51"},
		{"amd64", "AVX", avx2, "BYTE $0xc4; BYTE $0xe2; BYTE $0x75; BYTE $0x50; BYTE $0xc2", "VEX.256.66.0F38.W0 50"}, // VPDPBUSD of AVX-VNNI
		{"amd64", "AVX", avx2, "VPTERNLOGD $255, Y2, Y1, Y0", "EVEX.256.66.0F3A.W0 25"},
		{"amd64", "AVX512F", avx512, "VPTERNLOGD $255, Z2, Z1, Z0", "EVEX.512.66.0F3A.W0 25"},
		{"amd64", "AVX", avx2, "VADDPS Y16, Y1, Y0", "EVEX.256.0F.W0 58"},
		{"amd64", "AVX", avx2, "VMOVUPS (AX), Y31", "EVEX.256.0F.W0 10"},
		{"amd64", "AVX512F", avx512, "VANDPS Z2, Z1, Z0", "EVEX.512.0F.W0 54"}, // AVX512DQ
		{"amd64", "AVX512F", avx512, "VADDPD Z2, Z1, Z0", "EVEX.512.66.0F.W1 58"},
		{"amd64", "AVX512F", avx512, "VADDPS.RU_SAE Z2, Z1, Z0", "rounding"},
		{"amd64", "AVX512F", avx512, "KMOVW AX, K1", "VEX.128.0F.W0 92"},
		{"amd64", "AVX2", avx2, "VPMADDUBSW Y2, Y1, Y0", "VEX.256.66.0F38.W0 04"},
		{"amd64", "AVX", avx2, "MULXQ AX, BX, CX", "VEX.128.F2.0F38.W1 F6"},
		{"amd64", "AVX", avx2, "VADDSS X2, X1, X0", "VEX.128.F3.0F.W0 58"},
		{"amd64", "AVX", avx2, "ADDPS X1, X0", "0F 58"},
		{"amd64", "AVX", avx2, "POPCNTQ AX, BX", "F3 48"},
		{"amd64", "AVX", avx2, "CALL AX", "55 48"},

		// Bytes that are no instruction, so that the bytes behind them are decoded as part of one.
		{"amd64", "AVX", avx2, "BYTE $0x62", "truncated"},
		{"amd64", "AVX", avx2, "BYTE $0x62; VADDPS Y2, Y1, Y0; VADDPS Y2, Y1, Y0", "EVEX"},
		{"amd64", "AVX", avx2, "BYTE $0xc4; BYTE $0xe5", "truncated"},

		{"arm64", "ASIMD", []string{"ASIMD"}, "VFMLA V2.S4, V1.S4, V0.S4", ""},
		{"arm64", "ASIMD", []string{"ASIMD"}, "FMOVQ (R0), F1", ""},
		{"arm64", "ASIMD", nil, "FMOVQ (R0), F1", "LDR needs ASIMD"},
		{"arm64", "", []string{"ASIMD"}, "FMOVQ (R0), F1", "F needs [ASIMD], the Requires above it has []"},
		{"arm64", "ASIMDDP", []string{"ASIMDDP"}, "WORD $0x4e829420", ""},                                       // sdot v0.4s, v1.16b, v2.16b
		{"arm64", "ASIMDDP", []string{"ASIMDDP"}, "WORD $0x4fa2e820", ""},                                       // sdot v0.4s, v1.16b, v2.4b[3]
		{"arm64", "ASIMDDP", []string{"ASIMD"}, "WORD $0x4e829420", "SDOT needs ASIMDDP"},                       // sdot v0.4s, v1.16b, v2.16b
		{"arm64", "ASIMD", []string{"ASIMD", "ASIMDDP"}, "WORD $0x4fa2e820", "F needs [ASIMDDP]"},               // sdot v0.4s, v1.16b, v2.4b[3]
		{"arm64", "ASIMDDP", []string{"ASIMDDP"}, "WORD $0x4e82a420", "unknown instruction"},                    // smmla v0.4s, v1.16b, v2.16b
		{"arm64", "ASIMDDP", []string{"ASIMDDP"}, "WORD $0x4f82f820", "unknown instruction"},                    // usdot v0.4s, v1.16b, v2.4b[2]
		{"arm64", "ASIMD", []string{"ASIMD"}, "WORD $0x4e421420", "unknown instruction"},                        // fadd v0.8h, v1.8h, v2.8h
		{"arm64", "ASIMD", []string{"ASIMD"}, "WORD $0x4e420c20", "unknown instruction"},                        // fmla v0.8h, v1.8h, v2.8h
		{"arm64", "ASIMD", []string{"ASIMD"}, "WORD $0x65820020", "unknown instruction"},                        // fadd z0.s, z1.s, z2.s
		{"arm64", "ASIMD", []string{"ASIMD"}, "WORD $0xb8200041", "unknown instruction"},                        // ldadd w0, w1, [x2]
		{"arm64", "ASIMD", []string{"ASIMD"}, "AESE V1.B16, V0.B16", "not an instruction that kernels may use"}, // cryptography
	} {
		source := "#include \"textflag.h\"\n\n// func F()\n"
		if c.requires != "" {
			source += "// Requires: " + c.requires + "\n"
		}
		source += "TEXT ·F(SB), NOSPLIT, $0-0\n\t" + c.body + "\n\tRET\n"
		path := filepath.Join(t.TempDir(), "f_"+c.arch+".s")
		if err := os.WriteFile(path, []byte(source), 0o666); err != nil {
			t.Fatal(err)
		}
		err := checkAssembly(path, c.arch, c.asked)
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: Requires %q, %v asked for: error %v, expected one with %q", c.body, c.requires, c.asked, err, c.want)
		}
	}
}

// everyFeature is all features in the tables of decode_test.go.
var everyFeature = func() []string {
	all := []string{"ASIMD", "ASIMDDP"}
	for _, i := range amd64Instructions {
		all = append(all, i.feature)
	}
	return all
}()

// An assemblyPackage is a package with assembly, as go list describes it.
type assemblyPackage struct {
	ImportPath, Dir string
	SFiles          []string
}

// assemblyPackages returns the module's packages that have assembly for an architecture.
func assemblyPackages(t *testing.T, arch string) (packages []assemblyPackage) {
	t.Helper()
	cmd := exec.Command("go", "list", "-json=ImportPath,Dir,SFiles", "firebench/...")
	cmd.Env = append(os.Environ(), "GOARCH="+arch)
	cmd.Stderr = t.Output()
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	for d := json.NewDecoder(bytes.NewReader(out)); ; {
		var p assemblyPackage
		if err := d.Decode(&p); err == io.EOF {
			return packages
		} else if err != nil {
			t.Fatalf("go list: %v", err)
		}
		if len(p.SFiles) > 0 {
			packages = append(packages, p)
		}
	}
}

// goOutput returns what the go command prints.
func goOutput(t *testing.T, args ...string) string {
	t.Helper()
	out, err := exec.Command("go", args...).Output()
	if err != nil {
		t.Fatalf("go %s: %v", strings.Join(args, " "), err)
	}
	return strings.TrimSpace(string(out))
}

// checkAssembly assembles a file and checks each of its functions: the features that it needs
// must all be in asked, and must be those that the Requires comment above its TEXT names.
func checkAssembly(path, arch string, asked []string) error {
	functions, err := assemble(path, arch)
	if err != nil {
		return err
	}
	requires, err := required(path)
	if err != nil {
		return err
	}
	var all error
	for _, name := range slices.Sorted(maps.Keys(functions)) {
		needs, err := needed(functions[name], arch)
		if err != nil {
			all = errors.Join(all, fmt.Errorf("%s: %s: %w", path, name, err))
			continue
		}
		for f, instruction := range needs {
			if !slices.Contains(asked, f) {
				all = errors.Join(all, fmt.Errorf("%s: %s: %s needs %s, the processor is asked for %v", path, name, instruction, f, asked))
			}
		}
		list, ok := requires[name]
		if found := slices.Sorted(maps.Keys(needs)); !ok || !slices.Equal(list, found) {
			all = errors.Join(all, fmt.Errorf("%s: %s needs %v, the Requires above it has %v", path, name, found, list))
		}
	}
	if len(functions) != len(requires) {
		all = errors.Join(all, fmt.Errorf("%s: %d functions assembled, %d have a Requires", path, len(functions), len(requires)))
	}
	return all
}

var textLine = regexp.MustCompile(`^TEXT\s+·(\w+)`)

// required returns the features that the Requires comment above each TEXT of a file names,
// sorted, by function. It leaves out functions without such a comment.
func required(path string) (map[string][]string, error) {
	content, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	all := map[string][]string{}
	var list []string
	for line := range strings.Lines(string(content)) {
		switch requires, ok := strings.CutPrefix(strings.TrimSpace(line), "// Requires: "); {
		case ok:
			list = slices.Sorted(slices.Values(strings.Split(requires, ", ")))
		case strings.HasPrefix(line, "//"):
		default:
			if f := textLine.FindStringSubmatch(line); f != nil && list != nil {
				all[f[1]] = list
			}
			list = nil
		}
	}
	return all, nil
}

var (
	listedSymbol = regexp.MustCompile(`^\S*?\.?(\w+)(?:<\S*>)? (STEXT|S\w+) .*size=(\d+)`)
	listedBytes  = regexp.MustCompile(`^\t0x[0-9a-f]+((?: [0-9a-f]{2})+)  `)
)

// assemble returns the bytes of each function of a file, by Go's assembler.
func assemble(path, arch string) (map[string][]byte, error) {
	root, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		return nil, fmt.Errorf("go env GOROOT: %w", err)
	}
	cmd := exec.Command("go", "tool", "asm", "-S", "-p", "p", "-I", filepath.Join(strings.TrimSpace(string(root)), "pkg", "include"),
		"-o", os.DevNull, path)
	cmd.Env = append(os.Environ(), "GOARCH="+arch)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	listing, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("%s: %w: %s", path, err, &stderr)
	}
	functions := map[string][]byte{}
	sizes := map[string]string{}
	current := ""
	for line := range strings.Lines(string(listing)) {
		if f := listedSymbol.FindStringSubmatch(line); f != nil {
			if current = ""; f[2] == "STEXT" {
				current = f[1]
				functions[current], sizes[current] = nil, f[3]
			}
		} else if f := listedBytes.FindStringSubmatch(line); f != nil && current != "" {
			code, err := hex.DecodeString(strings.ReplaceAll(f[1], " ", ""))
			if err != nil {
				return nil, err
			}
			functions[current] = append(functions[current], code...)
		}
	}
	for name, code := range functions {
		if size := fmt.Sprint(len(code)); size != sizes[name] {
			return nil, fmt.Errorf("%s: %s bytes of %s in the assembler's listing, expected %s", path, size, name, sizes[name])
		}
	}
	return functions, nil
}

// needed returns the features that a function's instructions need, each with one that
// needs it.
func needed(code []byte, arch string) (map[string]string, error) {
	needs := map[string]string{}
	for at := 0; at < len(code); {
		i, err := decoders[arch](code[at:])
		if err != nil {
			return nil, fmt.Errorf("offset %#x: % x: %w", at, code[at:min(at+12, len(code))], err)
		}
		if i.feature != "" {
			needs[i.feature] = i.name
		}
		at += i.size
	}
	return needs, nil
}
