package arm64

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/arch/arm64/arm64asm"
)

// A word is an instruction that Go's assembler lacks, as a generated file has it.
type word struct {
	bits uint32
	text string // the comment beside it
	at   string // file:line; "" for the table's
}

// lines returns the lines of the generated files by file:line.
func lines(t *testing.T) map[string]string {
	t.Helper()
	files, err := filepath.Glob("../../kernels/*/*_arm64.s")
	if err != nil || len(files) == 0 {
		t.Fatalf("no generated files: %v", err)
	}
	all := map[string]string{}
	for _, name := range files {
		content, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for i, line := range strings.Split(string(content), "\n") {
			all[fmt.Sprintf("%s:%d", name, i+1)] = line
		}
	}
	return all
}

// generated returns the words of the generated files.
func generated(t *testing.T) []word {
	t.Helper()
	format := regexp.MustCompile(`^\tWORD +\$0x([0-9a-f]{8}) // (.+)$`)
	var words []word
	for at, line := range lines(t) {
		if !strings.Contains(line, "WORD") && !strings.Contains(line, "BYTE") {
			continue
		}
		f := format.FindStringSubmatch(line)
		if f == nil {
			t.Fatalf("%s: not a word with its comment: %q", at, line)
		}
		bits, err := strconv.ParseUint(f[1], 16, 32)
		if err != nil {
			t.Fatal(err)
		}
		words = append(words, word{uint32(bits), f[2], at})
	}
	if len(words) == 0 {
		t.Fatal("no words in the generated files")
	}
	return words
}

// table returns every instruction that the table can encode: all registers in
// each place, all lanes.
func table() []word {
	var words []word
	for _, e := range encodings {
		operands := make([]int, e.form.operands())
		var fill func(i int)
		fill = func(i int) {
			if i == len(operands) {
				bits, text := e.encode(operands...)
				words = append(words, word{bits, text, ""})
				return
			}
			for operands[i] = 0; operands[i] < e.form.limit(i); operands[i]++ {
				fill(i + 1)
			}
		}
		fill(0)
	}
	return words
}

// decode reports an error unless the word is the instruction that its comment
// names.
func (w word) decode() error {
	if text, ok := decodeSDOT(w.bits); ok {
		if text != w.text {
			return fmt.Errorf("%s: %#08x is %s, the comment says %s", w.at, w.bits, text, w.text)
		}
		return nil
	}
	i, err := arm64asm.Decode(binary.LittleEndian.AppendUint32(nil, w.bits))
	if err != nil {
		return fmt.Errorf("%s: %#08x // %s: %w", w.at, w.bits, w.text, err)
	}
	// The decoder writes addresses without a space.
	if got := strings.ReplaceAll(arm64asm.GNUSyntax(i), ",x", ", x"); got != w.text {
		return fmt.Errorf("%s: %#08x is %s, the comment says %s", w.at, w.bits, got, w.text)
	}
	return nil
}

// decodeSDOT returns the text of an SDOT of 128 bits, which arm64asm does not know, or false. By the
// manual, Arm DDI 0487, where Q is 1, size is 10, and H:L is the lane, its bits are
//
//	0Q001110 size 0 Rm  10010 1 Rn Rd // by vector
//	0Q001111 size LM Rm 1110 H0 Rn Rd // by element
func decodeSDOT(bits uint32) (string, bool) {
	d, n, m := bits&31, bits>>5&31, bits>>16&31
	h, l := bits>>11&1, bits>>21&1
	switch {
	case bits&^(31<<16|1023) == 0b0100_1110_1000_0000_1001_0100_0000_0000:
		return fmt.Sprintf("sdot v%d.4s, v%d.16b, v%d.16b", d, n, m), true
	case bits&^(1<<21|31<<16|1<<11|1023) == 0b0100_1111_1000_0000_1110_0000_0000_0000:
		return fmt.Sprintf("sdot v%d.4s, v%d.16b, v%d.4b[%d]", d, n, m, h<<1|l), true
	}
	return "", false
}

// TestWords decodes every word of the generated files, and of the table.
func TestWords(t *testing.T) {
	for _, w := range append(generated(t), table()...) {
		if err := w.decode(); err != nil {
			t.Error(err)
		}
	}
}

// TestWordsMutated flips each bit of the generated words: no such mistake may
// pass.
func TestWordsMutated(t *testing.T) {
	seen := map[uint32]bool{}
	for _, w := range generated(t) {
		if seen[w.bits] {
			continue
		}
		seen[w.bits] = true
		for bit := range 32 {
			m := w
			m.bits ^= 1 << bit
			if m.decode() == nil {
				t.Errorf("%s: %#08x passes as %s", w.at, m.bits, w.text)
			}
		}
	}
}

var gnu = flag.Bool("gnu", false, "fail, not skip, without GNU's assembler")

// TestGNU compares the words of the generated files and the whole table with what
// GNU's assembler makes of their comments.
func TestGNU(t *testing.T) {
	const as = "aarch64-linux-gnu-as"
	if _, err := exec.LookPath(as); err != nil {
		if *gnu {
			t.Fatalf("%v (package binutils-aarch64-linux-gnu)", err)
		}
		t.Skip(err)
	}
	fromFiles := generated(t)
	words := append(table(), fromFiles...)
	var source bytes.Buffer
	for _, w := range words {
		fmt.Fprintln(&source, w.text)
	}
	object := filepath.Join(t.TempDir(), "words.o")
	cmd := exec.Command(as, "-march=armv8.2-a+dotprod", "-o", object, "-")
	cmd.Stdin = &source
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%.1000s", as, err, out)
	}
	f, err := elf.Open(object)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	code, err := f.Section(".text").Data()
	if err != nil {
		t.Fatal(err)
	}
	if len(code) != 4*len(words) {
		t.Fatalf("%d bytes of %d instructions", len(code), len(words))
	}
	wrong := 0
	for i, w := range words {
		if got := binary.LittleEndian.Uint32(code[4*i:]); got != w.bits {
			if wrong++; wrong <= 10 {
				t.Errorf("%s: %s is %#08x, not %#08x", w.at, w.text, got, w.bits)
			}
		}
	}
	t.Logf("%d words, %d of them generated, %d wrong", len(words), len(fromFiles), wrong)
}

// TestReserved checks the generated files' registers, in Go's notation and in
// GNU's.
func TestReserved(t *testing.T) {
	reserved := regexp.MustCompile(`\b(R(18|27|28|29|3[01])|RSP|g|[xw](18|2[789]|3[01])|sp)\b`)
	for at, line := range lines(t) {
		if !strings.HasPrefix(line, "\t") || strings.HasPrefix(line, "\t//") {
			continue
		}
		if r := reserved.FindString(line); r != "" {
			t.Errorf("%s: uses %s: %s", at, r, line)
		}
	}
}
